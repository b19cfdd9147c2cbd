"""Whole networks of the StyleGAN family, timed; see `stylegan.py`."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from stylegan_plain import plain_layers, relative
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vgbench.models.stylesv.generator import Generator
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator
from vgbench.nn.stylegan3.options import LayerSchedule

CLIPS, FRAMES = 4, 3
# Dense bf16 without sparsity, TFLOP/s; tf32 is half of it. fp32 is not on tensor cores.
PEAKS = {"H200": 989.0, "H100": 989.0, "A100": 312.0}
FP32_SHARE = {"H200": 67 / 989, "H100": 67 / 989, "A100": 19.5 / 312}

Step = Callable[[], list[Tensor]]


def generator(resolution: int, device: str, base: int, most: int, layers: int) -> Generator:
    torch.manual_seed(0)
    width = min(most, 512)
    schedule = LayerSchedule(resolution, channel_base=base, channel_max=most, num_layers=layers)
    motion = MotionConfig(z_dim=width, v_dim=width, frequencies=width // 2)
    return Generator(schedule, motion, z_dim=width, w_dim=width).to(device)


def generator_step(network: Generator, clips: int, device: str) -> Step:
    """Forward and backward of the images' sum against fixed numbers."""
    random = torch.Generator().manual_seed(1)
    z = torch.randn(clips, network.mapping.fc0.weight.shape[1], generator=random).to(device)
    t = torch.tensor([[0.0, 5.0, 17.0]] * clips, device=device)
    noise = torch.randn(clips, 60, z.shape[1], generator=random).to(device)
    parameters = [p for p in network.parameters() if p.requires_grad]
    cotangent: list[Tensor] = []

    def step() -> list[Tensor]:
        video = network(z, t, noise)
        if not cotangent:
            cotangent.append(torch.randn(video.shape, generator=random).to(video))
        grads = torch.autograd.grad(video, parameters, cotangent[0], allow_unused=True)
        return [video.detach(), *(g for g in grads if g is not None)]

    return step


def discriminator_step(device: str) -> Step:
    """Forward and backward, of first order, of the discriminator in setting S."""
    torch.manual_seed(0)
    fusion = FrameFusion(frames=FRAMES, merge="mean", temporal_shift=True)
    network = VideoDiscriminator(Pyramid(64, 3, 2048, 64, 256.0), fusion).to(device)
    video = torch.randn(CLIPS, 3, FRAMES, 64, 64).to(device)
    t = torch.tensor([[0.0, 5.0, 17.0]] * CLIPS, device=device)

    def step() -> list[Tensor]:
        logits = network(video, t)
        return [logits.detach(), *torch.autograd.grad(logits.sum(), list(network.parameters()))]

    return step


def steps(device: str) -> dict[str, Step]:
    network = generator(64, device, 2048, 64, 6)
    return {
        "generator": generator_step(network, CLIPS, device),
        "discriminator": discriminator_step(device),
    }


def seconds(step: Step, device: str) -> float:
    synchronize = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    synchronize()
    start = time.perf_counter()
    step()
    synchronize()
    return time.perf_counter() - start


def medians(sides: dict[str, tuple[Step, Any]], repeats: int, device: str) -> dict[str, float]:
    """Medians in ms; the sides take turns. A side is a step and the context it runs in."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, (step, context) in sides.items():
            with context():
                spent = seconds(step, device)
            if turn:  # the first one warms up
                times[name].append(1e3 * spent)
    return {name: statistics.median(values) for name, values in times.items()}


def networks(options: argparse.Namespace) -> str:
    """Ours against the plain layers, with the allocator of this process and untouched."""
    if options.json:
        sides = {name: (step, plain_layers) for name, step in steps(options.device).items()}
        return json.dumps(medians(sides, options.repeats, options.device))
    memory = "untouched" if options.untouched else "kept"
    lines = [
        f"\n**networks**, setting S, {options.device}, {options.threads} thread(s), memory "
        f"{memory}, ms forward and backward, medians of {options.repeats}\n",
        "| network | plain | ours | plain / ours | plain, untouched | untouched / ours |",
        "|---|---|---|---|---|---|",
    ]
    untouched = _plain_untouched(options)
    for name, step in steps(options.device).items():
        _check(name, step)
        sides = {"plain": (step, plain_layers), "ours": (step, nullcontext)}
        ms = medians(sides, options.repeats, options.device)
        lines.append(
            f"| {name} | {ms['plain']:.0f} | {ms['ours']:.0f} | {ms['plain'] / ms['ours']:.2f} | "
            f"{untouched[name]:.0f} | {untouched[name] / ms['ours']:.2f} |"
        )
    return "\n".join(lines)


def _check(name: str, step: Step) -> None:
    """Both sides compute the same images and gradients."""
    ours = step()
    with plain_layers():
        plain = step()
    worst = max(relative(a, b) for a, b in zip(ours, plain, strict=True) if b.norm() > 1e-6)
    assert worst < 1e-2, f"{name}: the sides differ by {worst:.1e}"


def _plain_untouched(options: argparse.Namespace) -> dict[str, float]:
    """The plain layers in a process of its own whose allocator is left alone."""
    script = Path(__file__).with_name("stylegan.py")
    words = ["--parts", "networks", "--json", "--untouched", "--device", options.device]
    words += ["--threads", str(options.threads), "--repeats", str(options.repeats)]
    command = [sys.executable, str(script), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


# On a GPU.


@contextmanager
def route(name: str) -> Iterator[None]:
    """Inside, every separable filter takes one route."""
    with mock.patch("vgbench.nn.upfirdn._route", return_value=name):
        yield


@contextmanager
def precision(name: str) -> Iterator[None]:
    """fp32, tf32 or bf16 for matrix products and convolutions."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.autocast(device, torch.bfloat16, enabled=name == "bf16"):
        yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def gpu(options: argparse.Namespace) -> str:
    """The generator of full size in every form."""
    device, clips = options.device, CLIPS
    full = options.resolution >= 128
    sizes = (16384, 512, 14) if full else (2048, 64, 6)
    lines = [
        f"\n**gpu**, generator {options.resolution}x{options.resolution}, {clips} clips of "
        f"{FRAMES} frames, {_device_name(device)}, medians of {options.repeats}, forward and "
        "backward\n",
        "| route | mode | precision | ms | images/s | share of peak | peak MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for way in ("matrix", "depthwise"):
        for mode in ("eager", "compile"):
            for number in ("fp32", "tf32", "bf16"):
                network = generator(options.resolution, device, *sizes)
                with route(way), precision(number):
                    row = _measured(network, mode, number, clips, options)
                lines.append(f"| {way} | {mode} | {number} | {row} |")
    return "\n".join(lines)


def _measured(
    network: Generator, mode: str, number: str, clips: int, options: argparse.Namespace
) -> str:
    device = options.device
    step = generator_step(network, clips, device)
    with FlopCounterMode(display=False) as counter:
        step()
    if mode == "compile":
        _compile(network)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    ms = medians({"": (step, nullcontext)}, options.repeats, device)[""]
    peak = _peak(number, options)
    share = f"{counter.get_total_flops() / (ms * 1e9) / peak:.3f}" if peak else "?"
    memory = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if device == "cuda" else "?"
    return f"{ms:.1f} | {clips * FRAMES / ms * 1e3:.1f} | {share} | {memory}"


def _compile(network: nn.Module) -> None:
    """Compiles every layer of the synthesis network by itself, in place."""
    # All layers share their code: each is a compilation of it for its own sizes.
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = 64
    for name in network.synthesis.layer_names:  # type: ignore[union-attr]
        network.synthesis.get_submodule(name).compile(dynamic=False)  # type: ignore[union-attr]


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def _peak(number: str, options: argparse.Namespace) -> float | None:
    """TFLOP/s that the device is sold with; None if it is not known."""
    name = _device_name(options.device)
    known = next((key for key in PEAKS if key in name), None)
    peak = options.peak or (PEAKS[known] if known else None)
    if peak is None:
        return None
    share = {"bf16": 1.0, "tf32": 0.5, "fp32": FP32_SHARE.get(known or "", 0.07)}
    return float(peak * share[number])
