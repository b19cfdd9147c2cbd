"""Speed of G3AN against the same networks written layer by layer with torch's 3-D modules.

    python benchmarks/g3an_step.py [--threads 1] [--repeats 7] [--parts a,b,c]

Prints one Markdown table per part:
  a  training step of the demo preset (32x32x16): ours with kept memory
     (`vgbench.runtime.keep_memory`) against the plain modules with the allocator untouched;
  b  generator with F-SA, forward and backward (64x64x16, channels 64, batch 4), kept memory on
     both sides;
  c  our training step at that size against its floor, counted FLOPs at the measured speed of a
     matrix product, with F-SA and without.

Each side runs in a process of its own; the sides take turns, so that load on the machine meets
all of them alike, and medians are compared.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm
from torch.utils.flop_counter import FlopCounterMode

from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.generator import Generator, Plan, Scale, block_plans
from vgbench.models.g3an.module import G3AN, FrameChoice, Latents
from vgbench.runtime import keep_memory
from vgbench.types import VideoSpec

BARS = {"a": 1.4, "b": 1.25}


# The networks once more, module by module; they load the state dicts of ours.


def plain_stage(c_in: int, c_out: int, *scales: tuple[Scale, Scale]) -> nn.Sequential:
    """Transposed convolution, norm and ReLU for each (time, space)."""
    layers: list[nn.Module] = []
    for i, (time_scale, space) in enumerate(scales):
        triples = zip(time_scale, space, space, strict=True)
        up = nn.ConvTranspose3d(c_out if i else c_in, c_out, *triples)
        layers += [spectral_norm(up), nn.BatchNorm3d(c_out), nn.ReLU()]
    return nn.Sequential(*layers)


class PlainBlock(nn.Module):
    """G3 block in 1p2d mode on `b c t h w` maps."""

    def __init__(self, c_s: int, c_v: int, c_t: int, plan: Plan) -> None:
        super().__init__()
        point = Scale(1, 1, 0)
        self.conv_v = plain_stage(c_v, plan.width, (plan.time, point), (point, plan.space))
        self.conv_s = plain_stage(c_s, plan.width, (point, plan.space))
        self.conv_t = plain_stage(c_t, plan.width, (plan.time, point))

    def forward(self, s: Tensor, v: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the three maps after this block."""
        s, v, t = self.conv_s(s), self.conv_v(v), self.conv_t(t)
        return s, torch.cat([s.expand_as(v), v + t], dim=1), t


class PlainAttention(nn.Module):
    """Self-attention with explicit score maps, `softmax(q k') v`."""

    def __init__(self, channels: int, over_time: bool) -> None:
        super().__init__()
        self.over_time = over_time
        self.q_conv = spectral_norm(nn.Conv3d(channels, channels // 8, 1))
        self.k_conv = spectral_norm(nn.Conv3d(channels, channels // 8, 1))
        self.v_conv = spectral_norm(nn.Conv3d(channels, channels, 1))
        self.gamma = nn.Parameter(torch.zeros(1))

    def _tokens(self, x: Tensor) -> Tensor:
        order = (0, 3, 4, 2, 1) if self.over_time else (0, 2, 3, 4, 1)
        x = x.permute(order)
        return (x.flatten(0, 2) if self.over_time else x.flatten(2, 3).flatten(0, 1)).contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the attended map."""
        q, k, v = (self._tokens(f(x)) for f in (self.q_conv, self.k_conv, self.v_conv))
        out = torch.softmax(q @ k.mT, dim=-1) @ v
        b, c, t, h, w = x.shape
        if self.over_time:
            out = out.view(b, h, w, t, c).permute(0, 4, 3, 1, 2)
        else:
            out = out.view(b, t, h, w, c).permute(0, 4, 1, 2, 3)
        return x + self.gamma * out


class PlainGenerator(nn.Module):
    """The generator on `b c t h w` maps."""

    def __init__(self, config: G3ANConfig, spec: VideoSpec) -> None:
        super().__init__()
        self.fsa_after = config.fsa_after_block
        c_s, c_t = config.appearance_dim, config.motion_dim
        c_v = c_s + c_t
        plans = block_plans(config.widths(spec))
        for i, plan in enumerate(plans, start=1):
            self.add_module(f"block{i}", PlainBlock(c_s, c_v, c_t, plan))
            c_s = c_t = plan.width
            c_v = 2 * plan.width
        self.blocks = len(plans)
        self.fsa = nn.Sequential()
        if config.use_attention:
            width = 2 * plans[self.fsa_after - 1].width
            self.fsa.add_module("tsa", PlainAttention(width, over_time=True))
            self.fsa.add_module("ssa", PlainAttention(width, over_time=False))
        rgb = nn.Conv3d(c_v, spec.channels, (1, 3, 3), padding=(0, 1, 1))
        self.to_rgb = nn.Sequential(rgb, nn.Tanh())

    def forward(self, za: Tensor, zm: Tensor) -> Tensor:
        """Returns videos `b c t h w`."""
        s, t = za[:, :, None, None, None], zm.mT[..., None, None]
        v = torch.cat([s.expand(-1, -1, t.shape[2], -1, -1), t], dim=1)
        for i in range(1, self.blocks + 1):
            s, v, t = self.get_submodule(f"block{i}")(s, v, t)
            v = self.fsa(v) if i == self.fsa_after else v
        return self.to_rgb(v)


class PlainDiscriminator(nn.Module):
    """Either discriminator, with the layers of ours as `Conv3d` or `Conv2d`."""

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in ours.net[::2]:
            c_out, c_in, *kernel = layer.weight_orig.shape
            build = nn.Conv3d if len(kernel) == 3 else nn.Conv2d
            tail = slice(-len(kernel), None)
            conv = build(c_in, c_out, kernel, layer.stride[tail], layer.padding[tail])
            layers += [spectral_norm(conv), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Returns one logit per sample."""
        return self.net(x).flatten()


def plain_copy(ours: nn.Module, config: G3ANConfig, spec: VideoSpec) -> nn.Module:
    """The same network with the same state, module by module."""
    is_generator = isinstance(ours, Generator)
    plain = PlainGenerator(config, spec) if is_generator else PlainDiscriminator(ours)
    plain.load_state_dict(ours.state_dict(), strict=True)
    return plain


# What is timed.


def make_model(side: str, config: G3ANConfig, spec: VideoSpec) -> G3AN:
    """Our model, or its training loop around the plain networks."""
    model = G3AN(config, spec).train()
    if side == "plain":
        for name in ("generator", "d_video", "d_image"):
            setattr(model, name, plain_copy(getattr(model, name), config, spec))
    return model


def latents(config: G3ANConfig, batch: int) -> Latents:
    generator = torch.Generator().manual_seed(1)
    za = torch.randn(batch, config.appearance_dim, generator=generator)
    return Latents(za, torch.randn(batch, 1, config.motion_dim, generator=generator))


def training_step(
    side: str, config: G3ANConfig, spec: VideoSpec, batch: int
) -> Callable[[], object]:
    model = make_model(side, config, spec)
    optimizers = model.configure_optimizers()
    codes = latents(config, batch)
    shape = (batch, spec.channels, config.frames, spec.height, spec.width)
    real = 2 * torch.rand(shape, generator=torch.Generator().manual_seed(2)) - 1
    return lambda: model.step(real, codes, FrameChoice([3], [8]), optimizers)


def generator_pass(
    side: str, config: G3ANConfig, spec: VideoSpec, batch: int
) -> Callable[[], object]:
    model = make_model(side, config, spec)
    codes = latents(config, batch)

    def forward_backward() -> None:
        model.generator.zero_grad()
        model.generator(*codes).square().mean().backward()

    return forward_backward


PRESET = G3ANConfig.budgets["demo"]
DEMO, FULL = G3ANConfig(**PRESET["model"]), G3ANConfig()
DEMO_BATCH = PRESET["budget"]["batch_size"]
BARE = G3ANConfig(use_attention=False)
SMALL, LARGE = VideoSpec(3, 32, 32), VideoSpec(3, 64, 64)
# part, side: what is timed, its sizes, and whether memory is kept
CASES = {
    ("a", "ours"): (training_step, "ours", DEMO, SMALL, DEMO_BATCH, True),
    ("a", "plain"): (training_step, "plain", DEMO, SMALL, DEMO_BATCH, False),
    ("b", "ours"): (generator_pass, "ours", FULL, LARGE, 4, True),
    ("b", "plain"): (generator_pass, "plain", FULL, LARGE, 4, True),
    ("c", "F-SA on"): (training_step, "ours", FULL, LARGE, 4, True),
    ("c", "F-SA off"): (training_step, "ours", BARE, LARGE, 4, True),
}


def gemm_seconds(size: int = 2048) -> float:
    a, b = torch.randn(size, size), torch.randn(size, size)
    return seconds(lambda: a @ b)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def serve(part: str, side: str, threads: int) -> None:
    """Runs in a child: for each line read, times the work and a matrix product once."""
    build, kind, config, spec, batch, kept = CASES[part, side]
    torch.set_num_threads(threads)
    if kept:
        keep_memory()
    work = build(kind, config, spec, batch)
    with FlopCounterMode(display=False) as counter:
        work()
    gemm_seconds()
    for _ in sys.stdin:
        timed = {"work": seconds(work), "gemm": gemm_seconds(), "flops": counter.get_total_flops()}
        print(json.dumps(timed), flush=True)


# The parent.


class Side:
    """A child process that does its work once whenever it is told to."""

    def __init__(self, part: str, name: str, threads: int) -> None:
        command = [sys.executable, __file__, "--serve", part, name, "--threads", str(threads)]
        self.name = name
        self.runs: list[dict[str, float]] = []
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def once(self) -> None:
        """Has the child do its work and keeps what it measured."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.runs.append(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """Ends the child."""
        self.process.stdin.close()
        self.process.wait()

    def median(self, key: str) -> float:
        """Returns the median of one measured value."""
        return statistics.median(run[key] for run in self.runs)


def compare(part: str, threads: int, repeats: int) -> list[Side]:
    sides = [Side(part, name, threads) for case, name in CASES if case == part]
    for _ in range(repeats):
        for side in sides:
            side.once()
    for side in sides:
        side.close()
    return sides


def table(part: str, sides: list[Side], threads: int) -> str:
    rows = [f"\n**Part {part}**, {threads} thread(s), medians of {len(sides[0].runs)}\n"]
    rows += ["| side | ms | TFLOP | GEMM GFLOP/s | floor ms | times the floor |", "|---" * 6 + "|"]
    for side in sides:
        work, flops = side.median("work"), side.median("flops")
        peak = 2 * 2048**3 / side.median("gemm")
        floor = flops / peak
        cells = [f"{work * 1e3:.0f}", f"{flops / 1e12:.3f}", f"{peak / 1e9:.0f}"]
        cells += [f"{floor * 1e3:.0f}", f"{work / floor:.2f}"]
        rows.append(f"| {side.name} | {' | '.join(cells)} |")
    if part in BARS:
        ours, plain = (side.median("work") for side in sides)
        rows.append(f"\nplain / ours = {plain / ours:.2f}, bar {BARS[part]}")
    return "\n".join(rows)


def check_sameness() -> None:
    """Both sides compute the same: logits of the plain networks are those of ours."""
    config = G3ANConfig(channels=4)
    codes = latents(config, 2)
    outputs = []
    for side in ("ours", "plain"):
        torch.manual_seed(0)
        model = make_model(side, config, SMALL).double()
        video = model.generator(*(code.double() for code in codes))
        outputs.append(torch.cat([model.d_video(video), model.d_image(video[:, :, 0])]))
    torch.testing.assert_close(*outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--parts", default="a,b,c")
    parser.add_argument("--serve", nargs=2, metavar=("PART", "SIDE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve, options.threads)
        return
    check_sameness()
    for part in options.parts.split(","):
        print(table(part, compare(part, options.threads, options.repeats), options.threads))


if __name__ == "__main__":
    main()
