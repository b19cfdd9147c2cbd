"""The ladders that feature cores are validated on, in four levels each."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.random import Generator

from vgbench.metrics import damage
from vgbench.metrics.damage import Clip
from vgbench.metrics.probes import elastic_warp
from vgbench.metrics.validation import Ladder, Shot

_QUARTERS = (0.25, 0.5, 0.75, 1.0)


def standard_ladders(frames: int = 16) -> tuple[Ladder, ...]:
    """Returns the ladders that any footage allows.

    Args:
        frames: Frames of a clip; frozen and looped lengths are those of 16 frames, in proportion.
    """

    def counts(*of_16: int) -> tuple[float, ...]:
        return tuple(float(min(math.ceil(count * frames / 16), frames - 1)) for count in of_16)

    return (
        _random("noise, sd", damage.noise, 0.01, 0.03, 0.08, 0.2),
        _plain("blur, sigma in pixels", damage.blur, 0.4, 0.8, 1.5, 3.0),
        _plain("JPEG, quality", damage.jpeg, 75.0, 40.0, 20.0, 8.0),
        _random("frames shuffled, share", damage.shuffle, *_QUARTERS),
        _plain("last frames frozen", damage.freeze, *counts(2, 4, 8, 15)),
        _random("jitter, pixels", damage.jitter, 0.5, 1.0, 2.0, 4.0),
        _plain("red up, blue down, share", damage.tint, 0.02, 0.05, 0.12, 0.3),
        Ladder("speed x2, share of clips", _QUARTERS, "share", _fast),
        Ladder("speed x0.5, share of clips", _QUARTERS, "share", _slow, base="fast"),
        Ladder("content swap, share of clips", _QUARTERS, "share", _swapped),
        Ladder("copies of 4 clips, share", (0.25, 0.5, 0.75, 0.95), "copies"),
        *held_out_ladders(counts(14, 11, 8, 4)),
        reversal("time reversal, share of clips", gated=False),
        *content_bias_ladders(),
    )


def held_out_ladders(loops: tuple[float, ...]) -> tuple[Ladder, ...]:
    """Returns the ladders that the `jet` core was never adjusted to.

    Args:
        loops: Lengths of loops in frames.
    """
    return (
        _random("stutter, share of frames", damage.stutter, 0.1, 0.2, 0.4, 0.8, held_out=True),
        _random("flicker, sd", damage.flicker, 0.01, 0.03, 0.08, 0.2, held_out=True),
        _plain("temporal blur, share", damage.temporal_blur, 0.1, 0.3, 0.6, 1.0, held_out=True),
        _plain("desaturation, share", damage.desaturate, 0.1, 0.3, 0.6, 1.0, held_out=True),
        _plain("checkerboard, levels", damage.checkerboard, 1.0, 2.0, 4.0, 8.0, held_out=True),
        _plain("loop, frames", damage.loop, *loops, held_out=True),
    )


def content_bias_ladders() -> tuple[Ladder, Ladder]:
    """Returns two ladders of equal harm to every frame, of which only the first harms motion."""
    redrawn, constant = (partial(_warp, per_frame=flag) for flag in (True, False))
    return (
        _random("warp of every frame, pixels", redrawn, 1.0, 2.0, gated=False),
        _random("warp of the clip, pixels", constant, 1.0, 2.0, gated=False),
    )


def reversal(name: str, *, gated: bool) -> Ladder:
    """Returns the ladder of clips played backwards; seen only where motion has a direction."""
    shares = (0.1, 0.25, 0.5, 1.0)
    return Ladder(name, shares, "share", _reversed, held_out=True, gated=gated)


def groups_left() -> Ladder:
    """Returns the ladder of sets that lack some of the groups, e.g. files."""
    return Ladder("files left, share", (0.8, 0.6, 0.4, 0.2), "groups")


def _plain(name: str, apply: Callable[..., Clip], *levels: float, held_out: bool = False) -> Ladder:
    def apply_to(shot: Shot, level: float, rng: Generator) -> Clip:
        return apply(shot.clip, level)

    return Ladder(name, levels, damage=apply_to, held_out=held_out)


def _random(
    name: str,
    apply: Callable[..., Clip],
    *levels: float,
    held_out: bool = False,
    gated: bool = True,
) -> Ladder:
    def apply_to(shot: Shot, level: float, rng: Generator) -> Clip:
        return apply(shot.clip, level, rng)

    return Ladder(name, levels, damage=apply_to, held_out=held_out, gated=gated)


def _warp(clip: Clip, pixels: float, rng: Generator, *, per_frame: bool) -> Clip:
    seed = int(rng.integers(2**62))
    batch = torch.from_numpy(np.ascontiguousarray(clip))[None]
    return elastic_warp(batch, pixels=pixels, per_frame=per_frame, seed=seed)[0].numpy()


def _fast(shot: Shot, level: float, rng: Generator) -> Clip:
    return shot.fast


def _slow(shot: Shot, level: float, rng: Generator) -> Clip:
    return shot.clip


def _swapped(shot: Shot, level: float, rng: Generator) -> Clip:
    return damage.swap(shot.clip, shot.other)


def _reversed(shot: Shot, level: float, rng: Generator) -> Clip:
    return damage.reverse(shot.clip)
