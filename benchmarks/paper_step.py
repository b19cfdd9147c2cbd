"""One training step of a method at its paper's size, on as few clips as the machine can hold.

    python benchmarks/paper_step.py styleganv stylesv [--batch 1] [--side 256] [--threads 1]

Composes `budget=paper` and trains on noise. The first step has R1 (and whatever else is lazy), the
second one has not. Each method runs in a process of its own; time is of the processor, memory is
the peak of the process.
"""

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

from vgbench.config.compose import compose
from vgbench.models.base import Clips
from vgbench.models.checkpoint import build_model
from vgbench.runtime import keep_memory
from vgbench.types import VideoSpec


def noise(n: int, frames: int, side: int) -> Clips:
    """Returns clips of noise, their frames ten frames apart."""
    draw = torch.Generator().manual_seed(0)
    video = torch.rand(n, 3, frames, side, side, generator=draw) * 2 - 1
    times = 10 * torch.arange(float(frames)).expand(n, -1)
    return Clips(video, times, torch.full((n,), -1))


def measure(name: str, batch: int, side: int) -> None:
    """Prints a table row per step."""
    words = [f"model={name}", "dataset=shapes", "budget=paper", f"dataset.resolution={side}"]
    config = compose(words, Path())
    model = build_model(config.model, VideoSpec(height=side, width=side), 0).train()
    optimizers = list(model.configure_optimizers())
    real = noise(batch, model.clips.frames, side)
    for step in range(2):
        start = time.process_time()
        scalars = model.train_clips(real, optimizers)
        spent = time.process_time() - start
        model.clips_seen += batch
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        losses = ", ".join(f"{key} {float(value):.3f}" for key, value in scalars.items())
        print(f"| {name} | {step} | {spent:.1f} | {peak:.1f} | {losses} |", flush=True)


def main() -> None:
    """Measures the methods that the command line names, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        torch.set_num_threads(given.threads)
        keep_memory()
        measure(given.models[0], given.batch, given.side)
        return
    print("| model | step | seconds | GiB | losses |\n|---|---|---|---|---|", flush=True)
    rest = [f"--{key}={getattr(given, key)}" for key in ("batch", "side", "threads")]
    for name in given.models:
        subprocess.run([sys.executable, __file__, name, *rest, "--here"], check=True)


if __name__ == "__main__":
    main()
