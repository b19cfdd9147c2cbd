"""Real clips for evaluation: fixed by (seed, video), whoever reads them and in whatever batches."""

from collections.abc import Iterable, Iterator
from itertools import count, groupby, islice
from operator import itemgetter
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch import Tensor

from vgbench.data.draws import Draws, permutation
from vgbench.data.policies import choose
from vgbench.data.sources import EndlessSource, VideoSource
from vgbench.errors import UsageError
from vgbench.sampling import EvalClips, Image, SamplingPolicy
from vgbench.seeds import stream_seed

Order = Literal["shuffled", "path", "random", "cycle"]
Shard = tuple[int, int]
# A video, and how many clips of this set it has given before.
_Turn = tuple[int, int]
_CHUNK = 64


def eval_clips(
    source: VideoSource,
    policy: EvalClips,
    *,
    n: int = 2048,
    order: Order = "shuffled",
    seed: int = 0,
    draw: int = 0,
    shard: Shard = (0, 1),
) -> Iterator[UInt8[Tensor, "t h w 3"]]:
    """Yields one clip of each of the first `n` videos that are long enough, never mirrored.

    If there are fewer such videos, what there is; nothing is repeated.

    Args:
        source: Where the videos are.
        policy: Which frames of a video, and how long it must be.
        n: Largest number of clips over all shards.
        order: Which videos are the first: `shuffled` by the seed, or by `path` as in the source;
            `random` draws a video n times, so that it may come again, with another start;
            `cycle` shuffles them anew and again until there are n.
        seed: Seed of the evaluation.
        draw: Number of the real set. Another number gives another set of the same distribution, to
            measure the floor of a metric: other videos of an endless source, else other starts.
        shard: Rank and number of processes; rank r of W takes the clips r, r + W, ...

    Raises:
        UsageError: If there is no such order.
    """
    if isinstance(source, EndlessSource):
        source, draw = source.redraw(draw), 0
    turns = _turns(source, policy, order, seed, draw)
    mine = _mine(turns, n, shard)
    return (
        torch.from_numpy(source.read(i, _frames(source, policy, (i, turn), seed, draw)))
        for i, turn in mine
    )


def eval_videos(
    source: VideoSource,
    policy: EvalClips,
    *,
    n: int,
    order: Order = "shuffled",
    seed: int = 0,
    draw: int = 0,
) -> list[int]:
    """Returns the video that each clip of `eval_clips` is from; the arguments are the same."""
    if isinstance(source, EndlessSource):
        source, draw = source.redraw(draw), 0
    return [video for video, _ in islice(_turns(source, policy, order, seed, draw), n)]


def image_clips(
    source: VideoSource,
    *,
    n: int | None = 50_000,
    every_frame: bool = False,
    order: Literal["shuffled", "path"] = "shuffled",
    seed: int = 0,
    draw: int = 0,
    shard: Shard = (0, 1),
) -> Iterator[UInt8[Tensor, "1 h w 3"]]:
    """Yields single frames as clips of one frame, for metrics of images.

    Args:
        source: Where the videos are.
        n: Largest number of frames over all shards; None takes every frame of `every_frame`.
        every_frame: All frames of all videos in the order of the source (StyleGAN-V's real images)
            instead of one random frame per video, cycling through the videos until there are `n`.
        order: Order of the videos in each cycle, as in `eval_clips`.
        seed: Seed of the evaluation.
        draw: As in `eval_clips`.
        shard: As in `eval_clips`.

    Raises:
        UsageError: If `n` is None without `every_frame`: random frames have no end.
    """
    if n is None and not every_frame:
        raise UsageError("n=None is for every_frame=True only: random frames have no end")
    if isinstance(source, EndlessSource):
        source, draw = source.redraw(draw), 0
    if every_frame:
        return _images(source, _mine(_all_frames(source), n, shard))
    videos = _ordered(source, order, seed)
    turns = _mine(((i, cycle) for cycle in count() for i in videos), n, shard)
    return _images(
        source,
        ((i, int(_frames(source, Image(), (i, turn), seed, draw)[0])) for i, turn in turns),
    )


def _turns(
    source: VideoSource, policy: EvalClips, order: Order, seed: int, draw: int
) -> Iterable[_Turn]:
    if order not in get_args(Order):
        raise UsageError(f"order='{order}': choose from {', '.join(get_args(Order))}")
    if order == "random":
        return _random_turns(source, policy.min_frames, seed, draw)
    if order == "cycle":
        return _cycled_turns(source, policy.min_frames, seed)
    long_enough = _long_enough(source, policy.min_frames, _ordered(source, order, seed))
    return ((video, 0) for video in long_enough)


def _ordered(source: VideoSource, order: str, seed: int) -> Iterable[int]:
    if order == "path":
        return range(len(source))
    places: list[int] = permutation(len(source), seed, "eval-order").tolist()
    return places


def _long_enough(source: VideoSource, min_frames: int, videos: Iterable[int]) -> Iterator[int]:
    # one by one, as they are read: a folder of files decodes a video to know its length
    return (i for i in videos if source.meta(i).n_frames >= min_frames)


def _random_turns(source: VideoSource, min_frames: int, seed: int, draw: int) -> Iterator[_Turn]:
    usable = list(_long_enough(source, min_frames, range(len(source))))
    for turn in count() if usable else ():
        yield usable[int(_draws(seed, "eval-video", draw, turn).below(len(usable))[0])], turn


def _cycled_turns(source: VideoSource, min_frames: int, seed: int) -> Iterator[_Turn]:
    usable = list(_long_enough(source, min_frames, range(len(source))))
    for turn in count() if usable else ():
        places = permutation(len(usable), seed, "eval-order", turn).tolist()
        yield from ((usable[place], turn) for place in places)


def _all_frames(source: VideoSource) -> Iterator[tuple[int, int]]:
    for i in range(len(source)):
        yield from ((i, frame) for frame in range(source.meta(i).n_frames))


def _mine(turns: Iterable[_Turn], n: int | None, shard: Shard) -> Iterator[_Turn]:
    rank, world = shard
    return islice(islice(turns, n), rank, None, world)


def _draws(seed: int, name: str, *position: int) -> Draws:
    return Draws(np.array([stream_seed(seed, name, *position)], np.uint64))


def _frames(
    source: VideoSource, policy: SamplingPolicy, turn: _Turn, seed: int, draw: int
) -> Int64[ndarray, "t"]:
    meta = source.meta(turn[0])
    draws = _draws(seed, f"eval/{meta.video_id}", draw, turn[1])
    frames: Int64[ndarray, "t"] = choose(policy, np.array([meta.n_frames]), draws).index[0]
    return frames


def _images(
    source: VideoSource, places: Iterator[tuple[int, int]]
) -> Iterator[UInt8[Tensor, "1 h w 3"]]:
    for video, run in groupby(places, key=itemgetter(0)):
        while chunk := [frame for _, frame in islice(run, _CHUNK)]:
            pictures = torch.from_numpy(source.read(video, np.array(chunk)))
            yield from (picture.unsqueeze(0) for picture in pictures)
