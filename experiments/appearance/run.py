"""Measures how long generated videos keep the appearance of their first frame.

    python experiments/appearance/run.py runs/styleinv-faces-1a2b runs/styleganv-faces-3c4d
    python experiments/appearance/run.py RUN RUN --videos 64 --frames 128 --lags 1,8,64 --out DIR

Compares frame t of each video with its frame 0, by two measures:

colour layout   root mean square difference of the mean colours of 8x8 cells, 0 (the same) to 1
features        cosine of image features, 1 (the same) to -1: of Inception's pooled ones where the
                weights `inception-2015` are installed, else of the weight-free `jet-image`, each
                number relative to its mean and deviation over frames of real videos

Real videos of the first run's data set are measured too: what moves changes both, and a model whose
curve lies above theirs is as wrong as one below. Writes a Markdown table (mean +- deviation over
videos) and a CSV.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vgbench.data.eval_clips import eval_clips
from vgbench.data.sources import open_dataset
from vgbench.errors import DataError, VGBenchError, WeightsError
from vgbench.metrics.extractors.base import FeatureExtractor, open_extractor
from vgbench.models.checkpoint import load_model
from vgbench.nn.noise import seeded_generator
from vgbench.sampling import EvalClips
from vgbench.training.run_folder import RunFolder
from vgbench.video import to_uint8

_CELLS, _AT_A_TIME = 8, 4


class Measured(NamedTuple):
    """One measure of some videos at one lag.

    Attributes:
        videos: Whose they are.
        measure: Name of the measure.
        lag: Frames between the two that are compared.
        mean: Mean over the videos.
        sd: Standard deviation over the videos.
        count: Number of videos.
    """

    videos: str
    measure: str
    lag: int
    mean: float
    sd: float
    count: int


def generated(run: Path, options: argparse.Namespace) -> Iterator[Tensor]:
    """Yields videos of the generator that samples, uint8 `(T, H, W, 3)`."""
    model = load_model(run, options.device)
    for first in range(0, options.videos, _AT_A_TIME):
        numbers = range(first, min(first + _AT_A_TIME, options.videos))
        sources = [seeded_generator(options.seed, "appearance", i) for i in numbers]
        yield from to_uint8(model.sample(len(numbers), options.frames, sources)).cpu()


def real(run: Path, options: argparse.Namespace) -> Iterator[Tensor]:
    """Yields clips of the data set that a run learned from, as long as they get."""
    config: Any = RunFolder.open(run, writes=False).config().dataset
    if 0 < getattr(config, "frames", 0) < options.frames:  # drawn on the fly, of any length
        config = replace(config, frames=options.frames)
    source = open_dataset(config, "train")
    longest = max(source.meta(i).n_frames for i in range(min(len(source), 1000)))
    policy = EvalClips(min(options.frames, longest), 1, "uniform", "span")
    return islice(eval_clips(source, policy, n=options.videos, seed=options.seed), options.videos)


def colour_layout(frames: Tensor) -> Tensor:
    """Returns the mean colours of the cells of each frame `(T, H, W, 3)`, in [0, 1]."""
    images = rearrange(frames.float() / 255, "t h w c -> t c h w")
    return F.adaptive_avg_pool2d(images, _CELLS).flatten(1)


def features_of(extractor: FeatureExtractor) -> Callable[[Tensor], Tensor]:
    """Returns how the frames of a video become features, each frame by itself."""
    return lambda frames: extractor(rearrange(frames, "t h w c -> t 1 h w c")).cpu()


def image_features(options: argparse.Namespace) -> tuple[str, FeatureExtractor]:
    """Returns the name of the measure, and the best features that need nothing to be installed."""
    try:
        return "cosine of inception-2015", open_extractor("inception-2015", options.weights_dir)
    except WeightsError:
        return "cosine of jet-image (no weights)", open_extractor("jet-image")


def compared(
    name: str, videos: Iterator[Tensor], lags: list[int], measures: dict[str, Any]
) -> list[Measured]:
    """Returns how alike frames 0 and t are, per measure and lag."""
    values: dict[tuple[str, int], list[float]] = {}
    for video in videos:
        usable = [lag for lag in lags if lag < len(video)]
        frames = video[[0, *usable]]
        for measure, of_frames in measures.items():
            for lag, value in zip(usable, of_frames(frames).tolist(), strict=True):
                values.setdefault((measure, lag), []).append(value)
    rows = []
    for (measure, lag), found in values.items():
        sample = torch.tensor(found, dtype=torch.float64)
        sd = float(sample.std()) if len(found) > 1 else 0.0
        rows.append(Measured(name, measure, lag, float(sample.mean()), sd, len(found)))
    return rows


def measures_of(options: argparse.Namespace) -> dict[str, Callable[[Tensor], Tensor]]:
    """Returns the measures: from frames to how alike the first is to each of the others."""
    name, extractor = image_features(options)
    features, centre, scale = features_of(extractor), torch.zeros(()), torch.ones(())
    if "jet" in name:  # numbers of different units: relative to those of real frames
        frames = [clip[:: max(1, len(clip) // 4)] for clip in real(options.runs[0], options)]
        seen = torch.cat([features(some) for some in frames])
        centre, scale = seen.mean(dim=0), seen.std(dim=0).clamp(min=1e-3)

    def layout(frames: Tensor) -> Tensor:
        first, *_ = cells = colour_layout(frames)
        return (cells[1:] - first).square().mean(dim=1).sqrt()

    def cosine(frames: Tensor) -> Tensor:
        found = (features(frames) - centre) / scale
        return F.cosine_similarity(found[1:], found[:1], dim=1)

    return {"colour layout distance": layout, name: cosine}


def table(rows: list[Measured], lags: list[int]) -> str:
    """Returns the measures side by side as Markdown."""
    cells = {(r.videos, r.measure, r.lag): f"{r.mean:.3f} ± {r.sd:.3f}" for r in rows}
    lines = [f"| measure | videos | {' | '.join(f't = {lag}' for lag in lags)} |"]
    lines.append("|---" * (len(lags) + 2) + "|")
    for measure in dict.fromkeys(row.measure for row in rows):
        for videos in dict.fromkeys(row.videos for row in rows):
            found = " | ".join(cells.get((videos, measure, lag), "") for lag in lags)
            lines.append(f"| {measure} | {videos} | {found} |")
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """Returns the options of the command line."""
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders; their data are alike")
    parser.add_argument("--videos", type=int, default=64, help="per model, and real ones")
    parser.add_argument("--frames", type=int, default=128, help="per video")
    parser.add_argument("--lags", default="1,2,4,8,16,32,64,96,127", help="frames after the first")
    parser.add_argument("--seed", type=int, default=0, help="of the videos")
    parser.add_argument("--device", default="cpu", help="of the models, e.g. cuda")
    parser.add_argument("--weights-dir", type=Path, help="folder of installed weights")
    parser.add_argument("--out", type=Path, default=Path("appearance"), help="folder of the tables")
    return parser.parse_args()


def main() -> int:
    """Measures and writes; returns the exit code."""
    options = parsed()
    lags = [lag for lag in map(int, options.lags.split(",")) if 0 < lag < options.frames]
    try:
        if not lags:
            raise DataError(
                f"--lags {options.lags}: expected numbers from 1 to {options.frames - 1}"
            )
        measures = measures_of(options)
        rows = compared("real videos", real(options.runs[0], options), lags, measures)
        for run in options.runs:
            rows += compared(run.resolve().name, generated(run, options), lags, measures)
            print(f"measured {run}", file=sys.stderr)
    except VGBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "appearance.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([Measured._fields, *rows])
    text = table(rows, lags)
    (options.out / "appearance.md").write_text(f"{text}\n", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
