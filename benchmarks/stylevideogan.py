"""Speed and memory of StyleVideoGAN's temporal model.

    python benchmarks/stylevideogan.py [--parts step,rollout] [--sizes toy,small,full]
                                       [--batch 32] [--threads 1] [--repeats 5]
                                       [--device cpu|cuda]  (a GPU, if there is one)

Prints one Markdown table per part:
  step     training steps per second, where a step is `critic_steps` of the critic and one of the
           generator, penalties included. Sides: the recurrence along the diagonals of time and
           depth (ours), the loop over `nn.GRUCell`s, and `nn.GRU` (with cuDNN off, which cannot be
           differentiated twice). The sides take turns and are checked to compute the same.
           The floor is the step's counted FLOPs at the speed of a 2048x2048 product in the same
           run; elementwise work and the 24 steps that follow one another are not in it.
  rollout  frames per second of long sequences and how far the process grows while they are made.

The first line names the machine. Freed memory is kept (`vgbench.runtime.keep_memory`), as in
training runs.
"""

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions, TrainingOptions
from vgbench.models.stylevideogan.recurrence import StackedGRU, Unrolled
from vgbench.models.stylevideogan.rollout import rollout
from vgbench.models.stylevideogan.training import Noise, TemporalGAN, draw_noise
from vgbench.nn.noise import seeded_generator
from vgbench.runtime import keep_memory

# Style vectors, numbers per vector, hidden widths of the embedding, critic steps.
SIZES: dict[str, tuple[int, int, tuple[int, ...], int]] = {
    "toy": (4, 16, (64,), 2),
    "small": (8, 64, (256, 64), 5),
    "full": (18, 512, (), 5),
}


class CellLoop(nn.Module):
    """The recurrence as it is written: time outside, depth inside."""

    def __init__(self, stacked: StackedGRU) -> None:
        super().__init__()
        size = stacked.weight_hh.shape[2]
        self.cells = nn.ModuleList(nn.GRUCell(size, size) for _ in range(stacked.layers))
        for q, cell in enumerate(self.cells):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(cell, name).data.copy_(getattr(stacked, name)[q])

    def forward(self, inputs: Tensor, state: Tensor) -> Unrolled:
        """Returns what `StackedGRU` returns."""
        memories, outputs = list(state), []
        for step in inputs.unbind(1):
            x = step
            for q, cell in enumerate(self.cells):
                x = memories[q] = cell(x, memories[q])
            outputs.append(x)
        return Unrolled(torch.stack(outputs, 1), torch.stack(memories))


class FusedGRU(nn.Module):
    """`nn.GRU` without cuDNN."""

    def __init__(self, stacked: StackedGRU) -> None:
        super().__init__()
        size = stacked.weight_hh.shape[2]
        self.gru = nn.GRU(size, size, stacked.layers, batch_first=True)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            for q in range(stacked.layers):
                self.gru.get_parameter(f"{name}_l{q}").data.copy_(getattr(stacked, name)[q])

    def forward(self, inputs: Tensor, state: Tensor) -> Unrolled:
        """Returns what `StackedGRU` returns."""
        with torch.backends.cudnn.flags(enabled=False):
            return Unrolled(*self.gru(inputs, state))


SIDES: dict[str, Callable[[StackedGRU], nn.Module]] = {
    "ours": lambda stacked: stacked,
    "cell loop": CellLoop,
    "nn.GRU": FusedGRU,
}


def gan_of(size: str, side: str, device: str) -> TemporalGAN:
    num_ws, w_dim, widths, critic_steps = SIZES[size]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        options = TrainingOptions(critic_steps=critic_steps)
        critic = CriticOptions(embed_widths=widths)
        gan = TemporalGAN.build(num_ws, w_dim, GeneratorOptions(), critic, options)
    gan.generator.recurrence = SIDES[side](gan.generator.recurrence)
    for network in (gan.generator, gan.critic, gan.angle):
        network.to(device)
    return gan


def descend(loss: Tensor, optimizer: Optimizer, name: str) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


class Step:
    """Whole training steps of one side, one after another."""

    def __init__(self, size: str, side: str, device: str, batch: int) -> None:
        self.gan = gan_of(size, side, device)
        self.optimizers = self.gan.configure_optimizers()
        shape = (batch, self.gan.options.frames, *SIZES[size][:2])
        self.real = torch.randn(shape, generator=seeded_generator(0, "real")).to(device)
        self.done = 0

    def __call__(self) -> dict[str, Tensor]:
        """Makes the critic's steps and the generator's, and returns the last scalars."""
        for _ in range(self.gan.options.critic_steps):
            found = self.gan.train_clips(self.real, self.done, self.noise, self.optimizers, descend)
            self.done += 1
        return found

    def noise(self, name: str) -> Noise:
        """Returns the noise of a stream at the current batch."""
        source = seeded_generator(0, name, self.done)
        z_dim = self.gan.generator.options.z_dim
        return draw_noise(*self.real.shape[:2], z_dim, source, self.real.device)


def seconds(work: Callable[[], object], device: str) -> float:
    synchronize = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start


def gemm_flops_per_second(device: str, repeats: int) -> float:
    a, b = torch.randn(2, 2048, 2048, device=device)
    times = [seconds(lambda: a @ b, device) for _ in range(repeats + 1)]
    return 2 * 2048**3 / statistics.median(times[1:])


class CountedFlops(TorchDispatchMode):
    """Adds up the FLOPs of matrix products and convolutions.

    `FlopCounterMode` hooks modules, which a gradient inside a forward pass does not allow.
    """

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def counted_flops(step: Step) -> int:
    with CountedFlops() as counter:
        step()
    return counter.total


def check_sameness(found: dict[str, dict[str, Tensor]]) -> None:
    for name, value in found["ours"].items():
        for side, scalars in found.items():
            error = abs(float(scalars[name] - value)) / max(1.0, abs(float(value)))
            assert error < 1e-3, f"{side}: {name} differs by {error:.1e}"


def step(options: argparse.Namespace) -> str:
    lines = [
        f"\n**step**, {options.device}, {options.threads} thread(s), batch {options.batch}, "
        f"25 frames, medians of {options.repeats}\n",
        f"| size | {' | '.join(f'{side}, steps/s' for side in SIDES)} | ours / cell loop "
        "| GFLOP | floor, steps/s | ours, times the floor |",
        "|---" * (len(SIDES) + 5) + "|",
    ]
    speed = gemm_flops_per_second(options.device, options.repeats)
    for size in options.sizes.split(","):
        steps = {side: Step(size, side, options.device, options.batch) for side in SIDES}
        check_sameness({side: work() for side, work in steps.items()})
        times: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(options.repeats):
            for side, work in steps.items():
                times[side].append(seconds(work, options.device))
        median = {side: statistics.median(values) for side, values in times.items()}
        flops = counted_flops(steps["ours"])
        floor = flops / speed
        cells = [f"{1 / median[side]:.3g}" for side in SIDES]
        cells += [f"{median['cell loop'] / median['ours']:.2f}", f"{flops / 1e9:.3g}"]
        cells += [f"{1 / floor:.3g}", f"{median['ours'] / floor:.2f}"]
        lines.append(f"| {size} | {' | '.join(cells)} |")
    return "\n".join(lines)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rollout_frames(options: argparse.Namespace) -> str:
    lines = [
        f"\n**rollout**, {options.device}, {options.threads} thread(s), one clip of W+ latents\n",
        "| size | frames | frames/s | growth of the peak, MiB | all frames, MiB |",
        "|---|---|---|---|---|",
    ]
    for size in options.sizes.split(","):
        generator = gan_of(size, "ours", options.device).generator.eval()
        for _ in rollout(generator, 1, 200, seeded_generator(0, "warm")):
            pass
        for frames in (1000, 10_000):
            before = peak_mib()

            def work(frames: int = frames) -> None:
                for _ in rollout(generator, 1, frames, seeded_generator(0, "long")):  # noqa: B023
                    pass

            spent = seconds(work, options.device)
            whole = frames * generator.num_ws * generator.w_dim * 4 / 2**20
            lines.append(
                f"| {size} | {frames} | {frames / spent:.0f} | {peak_mib() - before:.1f} "
                f"| {whole:.1f} |"
            )
    return "\n".join(lines)


# Rollouts first: the peak of the process is to be theirs.
PARTS = {"rollout": rollout_frames, "step": step}


def machine(device: str) -> str:
    cpu = platform.processor() or platform.machine()
    name = torch.cuda.get_device_name() if device == "cuda" else cpu
    return f"{name}, {torch.get_num_threads()} thread(s), torch {torch.__version__}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--sizes", default="toy,small,full")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cpu", "cuda"), default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_memory()
    print(machine(options.device))
    for name, part in PARTS.items():
        if name in options.parts.split(","):
            print(part(options))


if __name__ == "__main__":
    main()
