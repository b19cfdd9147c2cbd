"""Measures how a feature core responds to damage; writes a Markdown and a CSV table.

    python experiments/metric_validation/run.py                           shapes, jet, n = 256
    python experiments/metric_validation/run.py --core i3d --n 128        shapes, installed I3D
    python experiments/metric_validation/run.py --clips FOLDER            real videos
    python experiments/metric_validation/run.py --checkpoints RUN_FOLDER  samples of a training run

Needs the memory of one video at a time, except for `--clips`, whose windows are all kept.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator, Philox
from PIL import Image

from vgbench.config.store import from_yaml
from vgbench.data.config import ShapesConfig
from vgbench.data.geometry import centre_square
from vgbench.data.sources import VideoSource, open_dataset
from vgbench.data.synthetic import TRAJECTORIES, Factors, ShapesSource, pose
from vgbench.data.synthetic_render import Renderer
from vgbench.errors import DataError, VGBenchError
from vgbench.metrics.damage import Clip
from vgbench.metrics.extractors.base import FeatureExtractor, open_extractor
from vgbench.metrics.extractors.jet import Jet, JetNormalizer
from vgbench.metrics.ladders import groups_left, reversal, standard_ladders
from vgbench.metrics.normalise import ZScore
from vgbench.metrics.statistics import two_sample
from vgbench.metrics.validation import Footage, Ladder, Response, Settings, validate
from vgbench.metrics.validation_table import markdown_table, write_csv
from vgbench.models.checkpoint import load_model
from vgbench.nn.noise import seeded_generator
from vgbench.seeds import stream_seed
from vgbench.subjects import open_real
from vgbench.video import to_uint8

POOL = 1.25  # windows per clip of a draw
# How many values of a factor are left, mildest first.
FACTORS_LEFT = {"colour": (6, 4, 2, 1), "trajectory": (4, 3, 2, 1), "shape": (4, 3, 2, 1)}
SHARES = ("precision", "recall", "density", "coverage")  # larger is better
UNSEEN = ("shape",)  # too small a change to be asked for


@dataclass(frozen=True)
class Trial:
    """Two sets of footage and the ladders to be tried on them."""

    reference: Footage
    test: Footage
    ladders: tuple[Ladder, ...]


class OnDemand(Sequence[Clip]):
    """Windows that are made when they are asked for."""

    def __init__(self, count: int, make: Callable[[int], Clip]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Clip:
        if not 0 <= i < self._count:
            raise IndexError(i)
        return self._make(i)


# Shapes ----------------------------------------------------------------------------------------


def balanced_factors(count: int, draw: int, **fixed: int) -> list[Factors]:
    """Returns factors of which every choice occurs equally often, in independent random order."""
    source = ShapesSource(ShapesConfig(), draw=draw)
    table = source.factor_table(np.arange(max(count, 4096)))
    choices = {name: column.max() + 1 for name, column in table.items() if column.dtype == np.int64}
    for name, values in choices.items():
        rng = Generator(Philox(key=stream_seed(draw, f"balance/{name}")))
        table[name] = rng.permutation(np.resize(np.arange(values), count))
    table |= {name: np.full(count, value) for name, value in fixed.items()}
    return [Factors(**{k: column[i].item() for k, column in table.items()}) for i in range(count)]


def shapes_footage(factors: list[Factors], frames: int, resolution: int) -> Footage:
    """Returns footage of known factors; windows are twice as long as clips."""
    renderer = Renderer(ShapesConfig(resolution=resolution))
    times = np.arange(2.0 * frames)

    def draw(i: int) -> Clip:
        place = pose(factors[i], times)
        return renderer.draw(factors[i], place.centre, place.angle, times)

    windows = OnDemand(len(factors), draw)
    return Footage(windows, [str(i) for i in range(len(factors))], frames)


def shapes_trials(n: int, frames: int, resolution: int) -> Iterator[Trial]:
    """Yields all ladders on shapes, then the reversal of motion with one direction."""
    footage = partial(shapes_footage, frames=frames, resolution=resolution)
    count = round(POOL * n)
    reference, test = (balanced_factors(count, draw) for draw in (1, 2))
    fewer = [
        Ladder(
            f"values of {name} left",
            tuple(map(float, left)),
            "footage",
            footage=tuple(footage(limited(test, name, k)) for k in left),
            gated=name not in UNSEEN,
        )
        for name, left in FACTORS_LEFT.items()
    ]
    yield Trial(footage(reference), footage(test), (*standard_ladders(frames), *fewer))
    moving = [
        balanced_factors(count, draw, trajectory=TRAJECTORIES.index("circle"), direction=0)
        for draw in (3, 4)
    ]
    turned = reversal("reversal of clockwise motion, share", gated=False)
    yield Trial(footage(moving[0]), footage(moving[1]), (turned,))


def limited(factors: list[Factors], name: str, left: int) -> list[Factors]:
    """Returns the same videos with only the first `left` values of one factor, equally often."""
    instead = cycle(range(left))
    return [
        one if getattr(one, name) < left else replace(one, **{name: next(instead)})
        for one in factors
    ]


# Real videos -----------------------------------------------------------------------------------


def real_trials(source: VideoSource, n: int, frames: int, resolution: int) -> Iterator[Trial]:
    """Yields all ladders on real videos, then the reversal of pans to the right."""
    footage = partial(real_footage, source, frames, resolution, round(POOL * n))
    reference, test = footage(pan=False)
    yield Trial(reference, test, (*standard_ladders(frames), groups_left()))
    reference, test = footage(pan=True)
    pans = reversal("reversal of a pan to the right, share", gated=False)
    if min(len(reference.windows), len(test.windows)) >= 16:
        yield Trial(reference, test, (pans,))


def real_footage(
    source: VideoSource, frames: int, resolution: int, count: int, *, pan: bool
) -> tuple[Footage, Footage]:
    """Returns up to `count` windows a side, as many of every video on one side as on the other.

    Every video is cut into windows that follow one another and go to either side in the order
    0 1 1 0 and so on. Videos that are damaged, too small, or too short for two are left out.
    """
    sides: tuple[list[tuple[Clip, str]], ...] = ([], [])
    length = 2 * frames
    quota = -(-8 * count // len(source))  # windows of one video and side, where there are many
    for i in range(len(source)):
        try:
            meta = source.meta(i)
        except DataError:
            continue
        pairs = meta.n_frames // (2 * length)
        if not pairs or min(meta.height, meta.width) < resolution or len(sides[1]) >= count:
            continue
        video = source.read(i, np.arange(meta.n_frames))
        crops = panned(video, resolution) if pan else cropped(video, resolution)
        for side in (0, 1):
            starts = [(2 * k + (k + side) % 2) * length for k in range(pairs)]
            cuts = [crop[start : start + length] for start in starts for crop in crops]
            sides[side].extend((cut, meta.video_id) for cut in cuts[:quota])
    made = [Footage([c for c, _ in side], [name for _, name in side], frames) for side in sides]
    return made[0], made[1]


def cropped(video: Clip, resolution: int) -> list[Clip]:
    """Returns squares that overlap by half, of the video at 1.5 times the resolution if it can."""
    if min(video.shape[1:3]) < 1.5 * resolution:
        return [np.stack([centre_square(frame, resolution) for frame in video])]
    small = resized(video, round(1.5 * resolution))
    tops, lefts = (range(0, side - resolution + 1, resolution // 2) for side in small.shape[1:3])
    return [small[:, y : y + resolution, x : x + resolution] for y in tops for x in lefts]


def panned(video: Clip, resolution: int) -> list[Clip]:
    """Returns squares that move to the right by a pixel per frame, again and again."""
    if min(video.shape[1:3]) < 1.5 * resolution:
        return []
    small = resized(video, round(1.5 * resolution))
    spare = small.shape[2] - resolution
    paths = [(np.arange(len(small)) + first) % (spare + 1) for first in (0, spare // 2)]
    tops = range(0, small.shape[1] - resolution + 1, resolution // 2)
    return [_moved(small, path, y, resolution) for y in tops for path in paths]


def _moved(video: Clip, path: np.ndarray, top: int, side: int) -> Clip:
    rows = video[:, top : top + side]
    return np.stack([frame[:, x : x + side] for frame, x in zip(rows, path, strict=True)])


def resized(video: Clip, side: int) -> Clip:
    """Returns the video with its shorter side at `side` pixels, by Lanczos-3."""
    scale = side / min(video.shape[1:3])
    size = (round(video.shape[2] * scale), round(video.shape[1] * scale))
    images = (Image.fromarray(np.ascontiguousarray(frame)) for frame in video)
    return np.stack([np.asarray(im.resize(size, Image.Resampling.LANCZOS)) for im in images])


# Samples of a training run ---------------------------------------------------------------------


def checkpoint_trials(run: Path, n: int, frames: int) -> Iterator[Trial]:
    """Yields the checkpoints of a run as one ladder, the last one as its mildest level."""
    config = from_yaml((run / "config.yaml").read_text("utf-8"))
    source = open_dataset(config.dataset)
    count = min(round(POOL * n), len(source) // 2)
    sides = [random_clips(source, range(i * count, (i + 1) * count), frames) for i in (0, 1)]
    files = sorted((run / "checkpoints").glob("kclip-*.ckpt"), reverse=True)
    samples = tuple(sampled(file, count, frames) for file in files)
    kclips = tuple(float(file.stem.removeprefix("kclip-")) for file in files)
    ladder = Ladder("kclips of training", kclips, "footage", footage=samples, gated=False)
    yield Trial(sides[0], sides[1], (ladder,))


def random_clips(source: VideoSource, videos: range, frames: int) -> Footage:
    """Returns one clip of each video, from a random start."""
    windows = []
    for i in videos:
        starts = source.meta(i).n_frames - frames + 1
        first = stream_seed(0, "start", i) % starts
        windows.append(source.read(i, np.arange(first, first + frames)))
    return Footage(windows, [str(i) for i in videos], frames)


def sampled(checkpoint: Path, count: int, frames: int) -> Footage:
    """Returns samples of a checkpoint."""
    model = load_model(checkpoint)
    windows: list[Clip] = []
    numbers = iter(range(count))
    while batch := list(islice(numbers, 16)):
        generators = [seeded_generator(0, "eval", i) for i in batch]
        windows.extend(to_uint8(model.sample(len(batch), frames, generators)).cpu().numpy())
    return Footage(windows, [str(i) for i in range(count)], frames)


# Features and report ---------------------------------------------------------------------------


def extract(
    clips: Sequence[Clip], extractor: FeatureExtractor, device: torch.device, batch: int
) -> np.ndarray:
    """Returns a feature row per clip; of one frame per clip if the core looks at images."""
    tensor = torch.from_numpy(np.stack(clips))
    if extractor.name.startswith("inception"):
        middle = tensor.shape[1] // 2
        tensor = tensor[:, middle : middle + 1]
    parts = [extractor(part.to(device)).cpu() for part in tensor.split(batch)]
    return torch.cat(parts).double().numpy()


def statistics_for(extractor: FeatureExtractor, names: list[str]) -> dict[str, Callable]:
    """Returns statistics by the names that tables show; shares are turned into losses."""
    prefix = "h" if isinstance(extractor, Jet) else ""
    shown = {"energy": "ED", "frechet": "FD", "mmd-poly3": "KVD", "mmd-rational-quadratic": "RQ"}
    shown = {name: prefix + letters for name, letters in shown.items()}
    shown |= {name: f"{name} lost" for name in SHARES}

    def distance(x: np.ndarray, y: np.ndarray, name: str) -> float:
        return -two_sample(name, x, y) if name in SHARES else two_sample(name, x, y)

    return {shown.get(name, name): partial(distance, name=name) for name in names}


def normaliser_for(extractor: FeatureExtractor) -> Callable | None:
    """Returns how features are made comparable before distances are taken."""
    if isinstance(extractor, Jet):
        return JetNormalizer.fit
    return ZScore.fit if extractor.name.startswith("i3d-random") else None


def trials_for(options: argparse.Namespace) -> Iterator[Trial]:
    """Yields what is to be tried."""
    sizes = options.n, options.frames, options.resolution
    if options.checkpoints:
        return checkpoint_trials(options.checkpoints, options.n, options.frames)
    if options.clips:
        return real_trials(open_real(options.clips), *sizes)
    return shapes_trials(*sizes)


def measure(options: argparse.Namespace) -> list[Response]:
    """Returns all responses that the options ask for."""
    device = torch.device(options.device)
    core = open_extractor(options.core, options.weights_dir)
    found = []
    for trial in trials_for(options):
        wanted = [one for one in trial.ladders if any(w in one.name for w in options.ladders)]
        if not wanted:
            continue
        height, width = trial.reference.windows[0].shape[1:3]
        sized = core.for_frames(height, width).to(device)
        available = min(len(trial.reference.windows), len(trial.test.windows))
        found += validate(
            trial.reference,
            trial.test,
            wanted,
            partial(extract, extractor=sized, device=device, batch=options.batch),
            statistics_for(sized, options.statistics),
            Settings(min(options.n, int(available / POOL)), options.draws, seed=options.seed),
            normaliser=normaliser_for(sized),
            on_progress=tell,
        )
    return found


def undamaged(responses: list[Response]) -> str:
    """Returns how far the undamaged sets are apart; footage that is not alike shows here."""
    first = [one for one in responses if one.ladder is responses[0].ladder]
    sizes = [
        f"{one.statistic} {one.distances[0]:.4f} = {one.distances[0] / one.null_sd:.1f} null sd"
        for one in first
    ]
    return f"n = {first[0].n}; undamaged sets: {', '.join(sizes)}"


def tell(stage: str, done: int, total: int) -> None:
    """Shows progress on stderr."""
    if done == total or (sys.stderr.isatty() and done % 16 == 0):
        end = "\n" if done == total else "\r"
        print(f"{stage}: {done}/{total} windows", end=end, file=sys.stderr)


def parse() -> argparse.Namespace:
    """Returns the options of the command line."""
    kind = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=kind)
    parser.add_argument("--core", default="jet", help="extractor, e.g. jet, i3d, i3d-random:0")
    parser.add_argument("--n", type=int, default=256, help="clips per set and draw")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--frames", type=int, default=16, help="frames of a clip")
    parser.add_argument("--resolution", type=int, default=64, help="of shapes and of --clips")
    parser.add_argument("--clips", type=Path, help="folder of videos, or a prepared cache")
    parser.add_argument("--checkpoints", type=Path, help="run folder with kclip-*.ckpt")
    parser.add_argument(
        "--ladders", type=lambda t: t.split(","), default=[""], help="parts of names"
    )
    parser.add_argument(
        "--statistics", type=lambda t: t.split(","), default=["energy", "frechet"], help="names"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=8, help="clips through the core at a time")
    parser.add_argument("--weights-dir", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("metric_validation"), help="NAME.md, .csv")
    parser.add_argument("--gate", action="store_true", help="exit 1 if a ladder is not passed")
    return parser.parse_args()


def main() -> int:
    """Runs the recipe and returns the exit code."""
    options = parse()
    try:
        responses = measure(options)
    except VGBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    about = {"core": options.core, "frames": options.frames, "seed": options.seed}
    table = markdown_table(responses) + "\n\n" + undamaged(responses)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".md").write_text(f"{table}\n", encoding="utf-8")
    write_csv(options.out.with_suffix(".csv"), responses, about)
    print(f"\n{table}")
    first = responses[0].statistic
    gated = [one for one in responses if one.statistic == first and one.ladder.gated]
    failed = [one.ladder.name for one in gated if not one.passes]
    print(f"\n{first}: {len(gated) - len(failed)} of {len(gated)} ladders passed")
    return 1 if failed and options.gate else 0


if __name__ == "__main__":
    sys.exit(main())
