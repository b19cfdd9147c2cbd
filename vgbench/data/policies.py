"""Sampling policies: which frames of a video make a clip.

Each is a pure function of the videos' lengths, the policy's options (`vgbench.sampling`) and a
source of random numbers, for all clips of a batch at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from vgbench.data.draws import Draws
from vgbench.errors import UsageError
from vgbench.sampling import (
    BetaPair,
    Contiguous,
    EvalClips,
    FirstFrameSparse,
    Image,
    SamplingPolicy,
    Spaced,
    Sparse,
    UniformSparse,
)

Lengths = Int64[ndarray, "n"]
Chosen = Int64[ndarray, "n t"]
_DYADIC = 2 ** np.arange(12)


@dataclass(frozen=True)
class Frames:
    """The frames of some clips.

    Attributes:
        index: Frame numbers in the video.
        times: Their times, in the unit that the policy says.
    """

    index: Int64[ndarray, "n t"]
    times: Float32[ndarray, "n t"]


def choose(policy: SamplingPolicy, lengths: Lengths, draws: Draws) -> Frames:
    """Returns the frames of one clip of each video, drawn by `policy`.

    Args:
        policy: The options.
        lengths: Frames of each video, at least `policy.min_frames`.
        draws: Random numbers, one stream per video.

    Raises:
        UsageError: If nothing draws this kind of policy.
    """
    if type(policy) not in POLICIES:
        known = ", ".join(kind.name for kind in POLICIES)
        raise UsageError(f"unknown sampling policy '{policy.name}'; choose from {known}")
    return POLICIES[type(policy)](lengths, policy, draws)


def contiguous(lengths: Lengths, options: Contiguous, draws: Draws) -> Frames:
    """One of the strides, then a start uniform over all valid ones."""
    strides = np.array(options.strides)[draws.below(len(options.strides))]
    taken = options.frames * strides if options.parity else (options.frames - 1) * strides + 1
    return _evenly(draws.below(lengths - taken + 1), strides, options.frames)


def sparse(lengths: Lengths, options: Sparse, draws: Draws) -> Frames:
    """A random span at a random offset, and distinct frames inside of it."""
    start, inside = _window(lengths, options.window, draws)
    chosen = _spread(inside, options, draws)
    return Frames(start[:, None] + chosen, chosen.astype(np.float32))


def uniform_sparse(lengths: Lengths, options: UniformSparse, draws: Draws) -> Frames:
    """A random spacing at a random offset."""
    start, inside = _window(lengths, options.window, draws)
    gaps = max(options.frames - 1, 1)
    room = inside // options.frames if options.parity else (inside - 1) // gaps
    spacing = 1 + draws.below(np.clip(room, 1, options.max_dist))
    offset = draws.below(inside - (options.frames - 1) * spacing)
    chosen = _evenly(offset, spacing, options.frames).index
    return Frames(start[:, None] + chosen, chosen.astype(np.float32))


def first_frame_sparse(lengths: Lengths, options: FirstFrameSparse, draws: Draws) -> Frames:
    """The first frame of a random clip and sparse ones of the rest of it."""
    start = draws.below(lengths - options.clip + 1)
    skipped = 0 if options.parity else 1
    rest = np.full_like(lengths, options.clip - skipped)
    later = skipped + _spread(rest, options.sparse, draws)
    return _of_clip(start, np.concatenate([np.zeros_like(start)[:, None], later], 1), options.clip)


def beta_pair(lengths: Lengths, options: BetaPair, draws: Draws) -> Frames:
    """Two frames of a random clip.

    Beta(2, 1) is the larger of two uniform numbers and Beta(1, 2) the smaller, and so are their
    multiples rounded down: integers suffice.
    """
    start = draws.below(lengths - options.clip + 1)
    a, b, c, d = (draws.below(options.clip) for _ in range(4))
    pair = np.stack([np.maximum(a, b), np.minimum(c, d)], axis=1)
    return _of_clip(start, np.sort(pair, axis=1), options.clip)


def image(lengths: Lengths, options: Image, draws: Draws) -> Frames:
    """One frame, at time 0."""
    frame = draws.below(lengths)[:, None]
    return Frames(frame, np.zeros(frame.shape, np.float32))


def spaced(lengths: Lengths, options: Spaced, draws: Draws) -> Frames:
    """A random spacing that the video has room for, then a start."""
    room = (lengths - 1) // max(options.frames - 1, 1)
    widest = np.clip(room, options.min_spacing, options.max_spacing)
    spacing = options.min_spacing + draws.below(widest - options.min_spacing + 1)
    start = draws.below(lengths - (options.frames - 1) * spacing)
    return _evenly(start, spacing, options.frames)


def eval_clips(lengths: Lengths, options: EvalClips, draws: Draws) -> Frames:
    """Evenly spaced frames from the start that the options say."""
    if options.start == "uniform":
        start = draws.below(lengths - (options.frames - 1) * options.stride)
    elif options.start == "centre":
        start = np.maximum(lengths // 2 - options.frames * options.stride // 2, 0)
    else:
        start = np.zeros_like(lengths)
    return _evenly(start, np.full_like(lengths, options.stride), options.frames)


POLICIES: Mapping[type[SamplingPolicy], Callable[[Lengths, Any, Draws], Frames]] = {
    Contiguous: contiguous,
    Sparse: sparse,
    UniformSparse: uniform_sparse,
    FirstFrameSparse: first_frame_sparse,
    BetaPair: beta_pair,
    Image: image,
    Spaced: spaced,
    EvalClips: eval_clips,
}


def _evenly(start: Lengths, spacing: Lengths, frames: int) -> Frames:
    offsets = spacing[:, None] * np.arange(frames)
    return Frames(start[:, None] + offsets, offsets.astype(np.float32))


def _of_clip(start: Lengths, chosen: Chosen, clip: int) -> Frames:
    return Frames(start[:, None] + chosen, (chosen / (clip - 1)).astype(np.float32))


def _window(lengths: Lengths, window: int, draws: Draws) -> tuple[Lengths, Lengths]:
    """Returns where a random window of at most `window` frames starts, and its length."""
    inside = np.minimum(lengths, window)
    return draws.below(lengths - inside + 1), inside


def _spread(lengths: Lengths, options: Sparse, draws: Draws) -> Chosen:
    if options.frames == 1:
        return draws.below(lengths)[:, None]
    span = _span(np.minimum(lengths - 1, options.max_dist), options, draws)
    first = draws.below(lengths - span)
    between = 1 + _distinct(span - 1, options.frames - 2, draws)
    inner = np.concatenate([np.zeros_like(span)[:, None], between, span[:, None]], axis=1)
    chosen: Chosen = first[:, None] + np.sort(inner, axis=1)
    return chosen


def _span(longest: Lengths, options: Sparse, draws: Draws) -> Lengths:
    least = options.frames - 1
    if options.spans == "uniform":
        return least + draws.below(longest - least + (0 if options.parity else 1))
    spans: Lengths = _DYADIC[least <= _DYADIC]
    return np.take(spans, draws.below(np.searchsorted(spans, longest, side="right")))


def _distinct(n: Lengths, count: int, draws: Draws) -> Chosen:
    """Returns `count` distinct integers in [0, n) per row, every subset alike (Floyd's method)."""
    chosen = np.empty((len(n), count), np.int64)
    for i in range(count):
        top = n - count + i
        drawn = draws.below(top + 1)
        taken = (chosen[:, :i] == drawn[:, None]).any(axis=1)
        chosen[:, i] = np.where(taken, top, drawn)
    return chosen
