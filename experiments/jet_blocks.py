"""Measures in which respects generated videos differ: the distance of each block of `jet-2`.

    python experiments/jet_blocks.py runs/styleinv-shapes-1a2b runs/styleganv-shapes-3c4d
    python experiments/jet_blocks.py RUN --clips 256

hED16 is one number; its features are blocks of equal weight. This is the energy distance of each
block on its own, of 16 frames from the start of each video, against the data set of the first run,
normalised as in hED16. A model that can invert images adds the inversions of the real clips, frame
by frame: the best that its motion could be. The clips are not those of a protocol, so the whole
differs from hED16 in the second digit.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vgbench.data.sources import open_dataset
from vgbench.errors import VGBenchError
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.extractors.jet import JET_2, JetNormalizer, jet_features
from vgbench.models.animation import Animator
from vgbench.models.checkpoint import load_model
from vgbench.nn.noise import seeded_generator
from vgbench.training.run_folder import RunFolder
from vgbench.video import to_uint8

BLOCKS = ("layout", "texture", "motion", "dynamics", "jerk")
FRAMES = 16


def features(clips: Iterator[Tensor]) -> np.ndarray:
    """Returns the features of uint8 clips `(T, H, W, 3)`."""
    return np.stack([jet_features(clip, core=JET_2).numpy() for clip in clips])


def compared(run: Path, real: list[Tensor]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the features of what a run generates, and of its inversions of real clips."""
    model = load_model(run)
    sources = [seeded_generator(0, "blocks", i) for i in range(len(real))]
    yield run.resolve().name, features(iter(to_uint8(model.sample(len(real), FRAMES, sources))))
    if isinstance(model, Animator):
        signed = (rearrange(clip, "t h w c -> t c h w") / 127.5 - 1 for clip in real)
        inverted = (rearrange(model.invert(clip), "t c h w -> 1 c t h w") for clip in signed)
        yield f"{run.resolve().name}, inversions", features(to_uint8(v)[0] for v in inverted)


def main(words: list[str] | None = None) -> int:
    """Prints a Markdown table; see the module. Returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="run folders")
    parser.add_argument("--clips", type=int, default=256)
    options = parser.parse_args(words)
    try:
        config = RunFolder.open(options.runs[0], writes=False).config()
        source = open_dataset(config.dataset, "train")
        numbers = range(2 * options.clips)
        real = [torch.from_numpy(source.read(i, np.arange(FRAMES))) for i in numbers]
        normalise = JetNormalizer.fit(features(iter(real)), JET_2)
        against = normalise(features(iter(real[: options.clips])))
        edges, whole = np.cumsum([0, *JET_2.sizes(3)]), len(BLOCKS) ** 0.5
        parts = [(0, edges[-1], 1.0), *((i, j, whole) for i, j in pairwise(edges))]
        print(f"| videos | all | {' | '.join(BLOCKS)} |\n|{'---|' * (len(BLOCKS) + 2)}")
        for run in options.runs:
            for name, found in compared(run, real[options.clips :]):
                rows = normalise(found)
                each = [energy_distance(against[:, i:j] * s, rows[:, i:j] * s) for i, j, s in parts]
                print(f"| {name} | {' | '.join(f'{d:.3f}' for d in each)} |", flush=True)
    except VGBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
