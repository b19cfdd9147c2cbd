"""Times the evaluator: feature networks, the weight-free core and the distances.

Usage: python -m benchmarks.eval [--threads N] [--device cuda] [--parts i3d,memory,...]

`i3d`: I3D as the evaluator runs it against a plain eager one (padding, convolution, normalisation
and ReLU one after the other, as the architecture is written down) on the same drawn weights and
clips in one process, turn about; both start from uint8 clips. `gpu`: clips per second, error
against fp32 and share of the peak. `memory`: largest resident memory for one long clip, in a
process of its own. Memory that is freed is kept by the allocator on both sides (`--free` hands it
back), as in `vgbench eval`.
"""

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from vgbench.errors import UsageError
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.extractors.base import NetworkExtractor
from vgbench.metrics.extractors.i3d import I3D, ConvUnit, I3DLogits, MaxPool, Mixed, same_padding
from vgbench.metrics.extractors.i3d_random import drawn_parameters
from vgbench.metrics.extractors.inception import InceptionPool, InceptionV3
from vgbench.metrics.extractors.jet import Jet
from vgbench.metrics.extractors.precision import PRECISIONS, Precision, check_precision
from vgbench.metrics.extractors.resize import styleganv
from vgbench.metrics.extractors.resnext import ResNeXt101, ResNeXtPool
from vgbench.metrics.frechet import GaussianStats, frechet_terms
from vgbench.metrics.null import permutation_null
from vgbench.runtime import keep_memory
from vgbench.weights.record import WeightsRef

DRAWN = WeightsRef("drawn", "random")
# GMAC of I3D per clip of 224x224, counted from the architecture.
I3D_GMAC = {16: 27.8, 128: 222.3}
# Dense peak in TFLOP/s by a part of the device's name: (fp32, tf32, bf16), from the data sheets.
PEAKS = {
    "H200": (67, 495, 989),
    "H100": (67, 495, 989),
    "A100": (19.5, 156, 312),
    "L40": (90.5, 90.5, 181),
    "4090": (82.6, 82.6, 165.2),
}


class PlainI3D(nn.Module):
    """I3D operation by operation, in PyTorch's default memory format."""

    def __init__(self, net: I3D) -> None:
        super().__init__()
        self.net = net.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Returns the logits of videos in [-1, 1]."""
        for name, layer in self.net.named_children():
            if name != "logits":
                x = self.layer(layer, x)
        head = self.net.logits.conv3d
        return head(F.avg_pool3d(x, (2, 7, 7), stride=1)).mean(dim=(2, 3, 4))

    def layer(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Returns the activations behind one layer."""
        if isinstance(layer, Mixed):
            branches = (
                self.layer(layer.b0, x),
                self.layer(layer.b1b, self.layer(layer.b1a, x)),
                self.layer(layer.b2b, self.layer(layer.b2a, x)),
                self.layer(layer.b3b, self.layer(layer.b3a, x)),
            )
            return torch.cat(branches, dim=1)
        assert isinstance(layer, (ConvUnit, MaxPool))
        axes = zip(x.shape[2:], layer.kernel, layer.stride, strict=True)
        x = F.pad(x, [n for axis in reversed(list(axes)) for n in same_padding(*axis)])
        if isinstance(layer, MaxPool):
            return F.max_pool3d(x, layer.kernel, layer.stride)
        return F.relu(layer.bn(layer.conv3d_plain(x)))


def drawn(network: type[nn.Module], seed: int = 0) -> nn.Module:
    """Returns a network with drawn weights whose activations stay near one."""
    net = network()
    net.load_state_dict(drawn_parameters(net, seed), strict=False)
    return net.eval().requires_grad_(False)


def plain_i3d() -> PlainI3D:
    net = drawn(I3D)
    for unit in (m for m in net.modules() if isinstance(m, ConvUnit)):
        conv = unit.conv3d
        unit.conv3d_plain = nn.Conv3d(  # its own padding is the one written down
            conv.in_channels, conv.out_channels, unit.kernel, unit.stride, bias=False
        )
        unit.conv3d_plain.weight = conv.weight
    return PlainI3D(net)


def clips_of(n: int, frames: int, side: int = 128) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    size = (n, frames, side, side, 3)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)


def interleaved(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Returns the median seconds of each work, done turn about after one turn to warm up."""
    times = np.zeros((repeats + 1, len(works)))
    for turn in range(repeats + 1):
        for i, work in enumerate(works):
            start = time.perf_counter()
            work()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[turn, i] = time.perf_counter() - start
    return np.median(times[1:], axis=0).tolist()


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def has(precision: str, device: torch.device) -> bool:
    try:
        check_precision(precision, device)
    except UsageError:
        return False
    return True


def i3d(args: argparse.Namespace) -> None:
    """Speed and error of I3D on the CPU, 16 and 128 frames."""
    cpu = torch.device("cpu")
    print(f"\n### I3D on the CPU, batch {args.batch}, uint8 clips at 128x128\n")
    row("clips", "network", "s per clip", "against plain", "relative L2 of logits")
    row(*["---"] * 5)
    for frames in (16, 128):
        clips = clips_of(args.batch if frames == 16 else 1, frames)
        names: list[Precision] = [p for p in ("fp32", "bf16") if has(p, cpu)]
        nets = [I3DLogits(drawn(I3D), DRAWN, precision=name) for name in names]
        plain = plain_i3d()

        def reference(plain=plain, clips=clips) -> Tensor:
            n = len(clips)
            x = styleganv(rearrange(clips, "b t h w c -> (b t) h w c"))
            return plain(rearrange(x, "(b t) c h w -> b c t h w", b=n).contiguous())

        works = [reference, *(lambda net=net, clips=clips: net(clips) for net in nets)]
        with torch.inference_mode():
            want = reference()
            errors = [float((net(clips) - want).norm() / want.norm()) for net in nets]
            base, *times = interleaved(works, args.repeats if frames == 16 else 1)
        what = f"{len(clips)} x {frames} frames"
        row(what, "plain eager, fp32", f"{base / len(clips):.3f}", "1", "")
        for name, seconds, error in zip(names, times, errors, strict=True):
            speed = f"{base / seconds:.2f}x"
            row(what, f"vgbench, {name}", f"{seconds / len(clips):.3f}", speed, f"{error:.1e}")


def networks(args: argparse.Namespace) -> None:
    """Speed of the other networks on the chosen device."""
    print("\n### Other networks\n")
    row("work", "s per item")
    row("---", "---")
    image, clip = clips_of(4, 1, 128), clips_of(4, 16, 64)
    made: list[tuple[str, NetworkExtractor, Tensor]] = [
        ("inception-2015, one image", InceptionPool(drawn(InceptionV3), DRAWN), image),
        ("resnext101-k400, 16 frames", ResNeXtPool(drawn(ResNeXt101), DRAWN), clip),
    ]
    for name, net, items in made:
        net.to(args.device)
        on_device = items.to(args.device)
        (seconds,) = interleaved([lambda net=net, x=on_device: net(x)], args.repeats)
        row(name, f"{seconds / len(items):.4f}")


def memory(args: argparse.Namespace) -> None:
    """Largest resident memory of a process that reads one clip of 128 frames."""
    print("\n### Resident memory of one clip of 128 frames at 256x256\n")
    row("I3D", "peak")
    row("---", "---")
    for precision in [p for p in ("fp32", "bf16") if has(p, torch.device("cpu"))]:
        code = f"""
from benchmarks.eval import *
{"" if args.free else "keep_memory()"}
torch.set_num_threads({torch.get_num_threads()})
I3DLogits(drawn(I3D), DRAWN, precision="{precision}")(clips_of(1, 128, 256))
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        )
        row(precision, f"{int(done.stdout) / 1e6 * 1.024:.2f} GB")


def jet(args: argparse.Namespace) -> None:
    """Speed of the weight-free core."""
    print("\n### The weight-free core\n")
    row("clip", "ms, one at a time", "ms, 16 at a time")
    row(*["---"] * 3)
    for size in (64, 128, 256):
        net = Jet.load().for_frames(size, size)
        works = []
        for batch in (1, 16):
            clips = clips_of(batch, 16, size).to(args.device)
            works.append(lambda net=net, x=clips: net(x))
        one, many = interleaved(works, args.repeats)
        row(f"16x{size}x{size}", f"{1e3 * one:.1f}", f"{1e3 * many / 16:.1f}")


def distances(args: argparse.Namespace, n: int = 2048) -> None:
    """Speed of the statistics."""
    print(f"\n### Statistics, n = {n} on both sides\n")
    row("work", "s")
    row("---", "---")
    rng = np.random.default_rng(0)
    for dim in (400, 2048):
        x, y = (rng.normal(size=(n, dim)) for _ in range(2))

        def frechet(x=x, y=y) -> float:
            return frechet_terms(GaussianStats.of(x), GaussianStats.of(y)).distance

        row(f"Fréchet distance, d = {dim}", f"{interleaved([frechet], 1)[0]:.2f}")
    x, y = (rng.normal(size=(n, 198)) for _ in range(2))
    works = {
        "energy distance, d = 198": lambda: energy_distance(x, y),
        "energy null of 24 re-splits": lambda: permutation_null("energy", x, y),
        "Fréchet null of 24 re-splits": lambda: permutation_null("frechet", x, y),
    }
    for name, work in works.items():
        row(name, f"{interleaved([work], 1)[0]:.2f}")


def gpu(args: argparse.Namespace) -> None:
    """I3D on a GPU: clips per second, error against fp32, share of the peak."""
    if not torch.cuda.is_available():
        print("\n(no NVIDIA GPU here: the part `gpu` is left out)")
        return
    device = torch.device("cuda")
    name = torch.cuda.get_device_name(device)
    peaks = next((peak for part, peak in PEAKS.items() if part in name), (None,) * 3)
    print(f"\n### I3D on {name}, from pinned uint8 clips\n")
    row("clips at 224x224", "precision", "clips/s", "TFLOP/s", "of peak", "relative L2")
    row(*["---"] * 6)
    for frames, batch in ((16, 32), (128, 16)):
        clips = clips_of(batch, frames, 224).pin_memory()
        want = None
        for precision, peak in zip(PRECISIONS, peaks, strict=True):
            if not has(precision, device):
                continue
            net = I3DLogits(drawn(I3D), DRAWN, precision=precision).to(device)
            got = net(clips)
            want = got if want is None else want
            error = float((got - want).norm() / want.norm())
            (seconds,) = interleaved([lambda net=net, x=clips: net(x)], args.repeats)
            rate = batch / seconds
            tflops = 2e-3 * I3D_GMAC[frames] * rate
            share = f"{100 * tflops / peak:.0f} %" if peak else "unknown"
            row(frames, precision, f"{rate:.1f}", f"{tflops:.1f}", share, f"{error:.1e}")


PARTS = {"i3d": i3d, "networks": networks, "memory": memory, "jet": jet, "distances": distances}
PARTS["gpu"] = gpu


def main() -> None:
    """Runs the chosen parts and prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="separated by commas")
    parser.add_argument("--threads", type=int, help="of the CPU (default: torch's choice)")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--batch", type=int, default=4, help="clips of 16 frames at a time")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--free", action="store_true", help="hand freed memory back")
    args = parser.parse_args()
    if not args.free:
        keep_memory()
    if args.threads:
        torch.set_num_threads(args.threads)
    kept = "handed back" if args.free else "kept"
    print(
        f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch "
        f"{torch.__version__}, Python {platform.python_version()}, freed memory {kept}"
    )
    for name in args.parts.split(","):
        PARTS[name](args)


if __name__ == "__main__":
    main()
