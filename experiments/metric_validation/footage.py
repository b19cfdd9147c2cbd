"""The videos that metrics are tried on: shapes of known factors, real videos, and samples.

Real videos are read one at a time, but all their windows are kept.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.random import Generator, Philox
from PIL import Image

from vgbench.config.store import from_yaml
from vgbench.data.config import ShapesConfig
from vgbench.data.geometry import centre_square
from vgbench.data.sources import VideoSource, open_dataset
from vgbench.data.synthetic import TRAJECTORIES, Factors, ShapesSource, pose
from vgbench.data.synthetic_render import Renderer
from vgbench.errors import DataError
from vgbench.metrics.damage import Clip
from vgbench.metrics.ladders import groups_left, reversal, standard_ladders
from vgbench.metrics.validation import Footage, Ladder
from vgbench.models.checkpoint import load_model
from vgbench.nn.noise import seeded_generator
from vgbench.seeds import stream_seed
from vgbench.video import to_uint8

POOL = 1.25  # windows per clip of a draw, where there is no end of them
# How many values of a factor are left, mildest first.
FACTORS_LEFT = {"colour": (6, 4, 2, 1), "trajectory": (4, 3, 2, 1), "shape": (4, 3, 2, 1)}
CLUSTERS_LEFT = (0.8, 0.6, 0.4, 0.2)
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
    clusters = Ladder(
        "clusters left, share",
        CLUSTERS_LEFT,
        "footage",
        footage=tuple(footage(in_clusters(test, share)) for share in CLUSTERS_LEFT),
    )
    ladders = (*standard_ladders(frames), *fewer, clusters)
    yield Trial(footage(reference), footage(test), ladders)
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


def in_clusters(factors: list[Factors], share: float) -> list[Factors]:
    """Returns the same videos in a random `share` of the pairs of trajectory and background."""
    pairs = sorted({(one.trajectory, one.background) for one in factors})
    order = Generator(Philox(key=stream_seed(0, "clusters"))).permutation(len(pairs))
    kept = [pairs[i] for i in order[: round(share * len(pairs))]]
    instead = cycle(kept)

    def moved(one: Factors) -> Factors:
        if (one.trajectory, one.background) in kept:
            return one
        trajectory, background = next(instead)
        return replace(one, trajectory=trajectory, background=background)

    return [moved(one) for one in factors]


# Real videos -----------------------------------------------------------------------------------


def real_trials(
    source: VideoSource, frames: int, resolution: int, *, exchange: bool = False
) -> Iterator[Trial]:
    """Yields all ladders on real videos, then the reversal of pans to the right.

    Args:
        source: The videos.
        frames: Frames of a clip.
        resolution: Side of a crop.
        exchange: Whether the side that is otherwise the reference is damaged.
    """
    pans = reversal("reversal of a pan to the right, share", gated=False)
    for pan, ladders in ((False, (*standard_ladders(frames), groups_left())), (True, (pans,))):
        reference, test = real_footage(source, frames, resolution, pan=pan)
        yield Trial(test, reference, ladders) if exchange else Trial(reference, test, ladders)


def real_footage(
    source: VideoSource, frames: int, resolution: int, *, pan: bool
) -> tuple[Footage, Footage]:
    """Returns the windows of both sides.

    Every video is cut into slots of two clips, which go to either side in turn. A slot has the
    three clips that overlap by half, up to three crops of each. The windows of the last two reach
    into the next slot, at which ladders of speed alone look. Videos that are damaged or smaller
    than a crop are left out, as are windows that would reach beyond the end.
    """
    sides: tuple[list[tuple[Clip, str]], ...] = ([], [])
    slot = 2 * frames
    for i in range(len(source)):
        try:
            meta = source.meta(i)
        except DataError:
            continue
        if min(meta.height, meta.width) < resolution or meta.n_frames < slot:
            continue
        video = small_video(source, i, round(1.5 * resolution))
        crops = panned(video, resolution) if pan else cropped(video, resolution)
        for start in range(0, meta.n_frames - slot + 1, frames // 2):
            if start % slot <= frames:
                cuts = [crop[start : start + slot] for crop in crops]
                sides[start // slot % 2].extend((cut, meta.video_id) for cut in cuts)
    made = [Footage([c for c, _ in side], [name for _, name in side], frames) for side in sides]
    return made[0], made[1]


def cropped(video: Clip, resolution: int) -> list[Clip]:
    """Returns three squares along the diagonal; of a video without room to spare the middle."""
    below, beside = (side - resolution for side in video.shape[1:3])
    if min(below, beside) < resolution // 2:
        return [np.stack([centre_square(frame, resolution) for frame in video])]
    places = [(below * part // 2, beside * part // 2) for part in range(3)]
    return [video[:, y : y + resolution, x : x + resolution] for y, x in places]


def panned(video: Clip, resolution: int) -> list[Clip]:
    """Returns squares at three heights that move to the right by a pixel per frame, in turns."""
    below, beside = (side - resolution for side in video.shape[1:3])
    if min(below, beside) < resolution // 2:
        return []
    path = np.arange(len(video)) % (beside + 1)
    return [_moved(video, path, below * part // 2, resolution) for part in range(3)]


def _moved(video: Clip, path: np.ndarray, top: int, side: int) -> Clip:
    rows = video[:, top : top + side]
    return np.stack([frame[:, x : x + side] for frame, x in zip(rows, path, strict=True)])


def small_video(source: VideoSource, number: int, side: int) -> Clip:
    """Returns all frames of a video; by Lanczos-3 if its shorter side is above `side` pixels."""
    meta = source.meta(number)
    scale = min(1.0, side / min(meta.height, meta.width))
    size = (round(meta.width * scale), round(meta.height * scale))
    parts = np.array_split(np.arange(meta.n_frames), -(-meta.n_frames // 64))
    frames = (np.ascontiguousarray(frame) for part in parts for frame in source.read(number, part))
    images = (Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames)
    return np.stack([np.asarray(image) for image in images])


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
