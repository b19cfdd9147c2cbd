"""Speed of the StyleGAN layers against their plain definitions.

    python benchmarks/stylegan.py [--parts ops,networks,gpu] [--threads 1] [--repeats 7]
                                  [--untouched] [--device cpu|cuda] [--resolution 256]

Prints one Markdown table per part:
  ops  each layer at sizes of StyleSV's generator (64x64, w 64, 12 frames) and of 256x256 models,
       forward and forward with backward: the plain composition (zeros inserted at the full rate,
       a weight for every sample), the depthwise route, the matrix route, and what the layer
       chooses by itself.
  networks  generator and discriminator of StyleSV in setting S (64x64, w 64, channel_base 2048, at
       most 64 channels, 6 layers, 4 clips of 3 frames), forward with backward: the plain layers
       against ours, and against the plain layers in a process of its own whose allocator is left
       alone.
  gpu  the generator of full size: matrix against depthwise route, eager against torch.compile,
       fp32, tf32 and bf16; images per second, share of the device's peak, peak memory.

The allocator is the same on all sides: kept memory (`vgbench.runtime.keep_memory`), or glibc as it
is with `--untouched`. The sides take turns, so that load on the machine meets all of them alike,
and medians are compared. All sides are checked to compute the same.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from stylegan_networks import gpu, networks
from stylegan_plain import (
    plain_down_conv,
    plain_filtered_lrelu,
    plain_modulated,
    plain_upfirdn,
)
from torch import Tensor

from vgbench.nn.conv_resample import conv2d_resample
from vgbench.nn.filtered_lrelu import Resampling, filtered_lrelu
from vgbench.nn.lowpass import design_lowpass_filter
from vgbench.nn.modulated_conv import modulated_conv2d, normalized_modulated_conv2d
from vgbench.nn.upfirdn import setup_filter, upfirdn2d
from vgbench.runtime import keep_memory

Work = Callable[..., Tensor]


# What is timed: name, inputs, and the sides by name.


def lowpass(factor: int, device: str) -> Tensor:
    return design_lowpass_filter(6 * factor, 2.0, 12.0, 16.0 * factor).to(device)


def normal(*shape: int, device: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).to(device).requires_grad_()


def resampling_rows(device: str) -> list[tuple[str, tuple[Tensor, ...], dict[str, Work]]]:
    rows = []
    # frames, channels, size, up, down, pads
    for n, c, size, up, down, pads in [
        (12, 64, 36, 2, 1, (9, 8)),
        (12, 64, 82, 1, 2, (0, 0)),
        (12, 64, 36, 4, 1, (-6, -9)),
        (12, 32, 84, 2, 1, (9, 8)),
        (2, 32, 276, 2, 1, (9, 8)),
        (2, 32, 562, 1, 2, (0, 0)),
    ]:
        sides_of, f = (*pads, *pads), lowpass(up * down, device)
        gain = float(up**2)
        ours = partial(upfirdn2d, f=f, up=up, down=down, padding=sides_of, gain=gain)
        name = f"{'up' if up > 1 else 'down'} {up * down}, {size} px, {n}x{c}"
        sides: dict[str, Work] = {
            "plain": partial(plain_upfirdn, f=f, up=up, down=down, pads=sides_of, gain=gain),
            "depthwise": partial(ours, route="depthwise"),
            "matrix": partial(ours, route="matrix"),
            "chosen": ours,
        }
        rows.append((name, (normal(n, c, size, size, device=device),), sides))
    return rows


def activation_rows(device: str) -> list[tuple[str, tuple[Tensor, ...], dict[str, Work]]]:
    rows = []
    for n, c, size, up, pads in [
        (12, 64, 38, 2, (9, 8)),
        (12, 64, 38, 4, (-6, -9)),
        (12, 32, 86, 2, (9, 8)),
        (2, 64, 150, 2, (9, 8)),
    ]:
        shape = Resampling(lowpass(up, device), lowpass(2, device), up, 2, (*pads, *pads))
        ours = partial(filtered_lrelu, resampling=shape, clamp=256.0)
        sides: dict[str, Work] = {
            "plain": partial(plain_filtered_lrelu, resampling=shape),
            "depthwise": partial(ours, route="depthwise"),
            "matrix": partial(ours, route="matrix"),
            "chosen": ours,
        }
        inputs = (normal(n, c, size, size, device=device), normal(c, device=device))
        rows.append((f"filtered lrelu, up {up}, {size} px, {n}x{c}", inputs, sides))
    return rows


def convolution_rows(device: str) -> list[tuple[str, tuple[Tensor, ...], dict[str, Work]]]:
    rows = []
    f = setup_filter([1.0, 3.0, 3.0, 1.0], separable=True).to(device)
    for n, c, size in [(12, 64, 36), (12, 32, 84), (12, 512, 16)]:
        inputs = (
            normal(n, c, size, size, device=device),
            normal(c, c, 3, 3, device=device),
            normal(n, c, device=device),
        )
        sides: dict[str, Work] = {
            "plain": partial(plain_modulated, padding=2, normalize=True),
            "chosen": partial(normalized_modulated_conv2d, padding=2),
        }
        rows.append((f"modulated (3), {size} px, {n}x{c}", inputs, sides))
    for n, c, size in [(12, 64, 16), (4, 64, 64)]:
        image, weight = normal(n, c, size, size, device=device), normal(c, c, 3, 3, device=device)
        inputs = (image, weight, normal(n, c, device=device))
        sides = {
            "plain": partial(plain_modulated, padding=1, normalize=False, up=2),
            "chosen": partial(modulated_conv2d, f=f, up=2, padding=1),
        }
        rows.append((f"modulated (2) up 2, {size} px, {n}x{c}", inputs, sides))
        sides = {
            "plain": partial(plain_down_conv, f=f),
            "chosen": partial(conv2d_resample, f=f, down=2, padding=1),
        }
        rows.append((f"conv down 2, {size} px, {n}x{c}", (image, weight), sides))
    return rows


# How it is timed.


def seconds(work: Work, inputs: tuple[Tensor, ...], backward: bool) -> float:
    synchronize = torch.cuda.synchronize if inputs[0].is_cuda else (lambda: None)
    synchronize()
    start = time.perf_counter()
    y = work(*inputs)
    if backward:
        torch.autograd.grad(y, inputs, torch.ones_like(y))
    synchronize()
    return time.perf_counter() - start


def check_sameness(name: str, inputs: tuple[Tensor, ...], sides: dict[str, Work]) -> None:
    results = [side(*inputs).detach() for side in sides.values()]
    for result in results[1:]:
        error = float((result - results[0]).abs().max() / results[0].abs().max())
        assert error < 1e-4, f"{name}: the sides differ by {error:.1e}"


def timed(inputs: tuple[Tensor, ...], sides: dict[str, Work], repeats: int) -> dict[str, str]:
    """Medians in ms by side, forward / forward with backward."""
    kinds = (False, True)
    runs = {(name, kind): [] for name in sides for kind in kinds}
    for turn in range(repeats + 1):
        for (name, kind), times in runs.items():
            spent = seconds(sides[name], inputs, kind)
            if turn:  # the first one warms up
                times.append(1e3 * spent)
    median = {key: statistics.median(times) for key, times in runs.items()}
    cells = {name: f"{median[name, False]:.1f} / {median[name, True]:.1f}" for name in sides}
    gains = [f"{median['plain', kind] / median['chosen', kind]:.2f}" for kind in kinds]
    return cells | {"plain / chosen": " / ".join(gains)}


def ops(options: argparse.Namespace) -> str:
    columns = ["plain", "depthwise", "matrix", "chosen", "plain / chosen"]
    memory = "untouched" if options.untouched else "kept"
    lines = [
        f"\n**ops**, {options.device}, {options.threads} thread(s), memory {memory}, "
        f"ms forward / forward and backward, medians of {options.repeats}\n",
        f"| layer | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for rows in (resampling_rows, activation_rows, convolution_rows):
        for name, inputs, sides in rows(options.device):
            check_sameness(name, inputs, sides)
            cells = timed(inputs, sides, options.repeats)
            lines.append(f"| {name} | {' | '.join(cells.get(c, '') for c in columns)} |")
    return "\n".join(lines)


PARTS = {"ops": ops, "networks": networks, "gpu": gpu}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="ops,networks")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--untouched", action="store_true", help="leave the allocator alone")
    parser.add_argument("--resolution", type=int, default=256, help="of the part gpu")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the part gpu's device, dense bf16")
    parser.add_argument("--json", action="store_true", help="of `networks`: plain layers in ms")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.untouched:
        keep_memory()
    for part in options.parts.split(","):
        print(PARTS[part](options))


if __name__ == "__main__":
    main()
