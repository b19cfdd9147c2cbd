"""`jet`: handcrafted spatio-temporal statistics; no weights, no seed, 198 numbers per clip.

`jet-long` adds three numbers that see a long clip repeat itself; `jet-image` is the part of `jet`
that single frames have.

A clip becomes a pyramid of luminance plus two chroma planes. First differences in x, y and t are
squared or multiplied, averaged over a 2x2 grid and turned into bounded numbers; frame changes at
four lags say how the clip evolves. All formulas, constants and their order are those of vgbench's
evaluator definition ("core jet"), tabulated in the docstrings below.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, UInt8
from torch import Tensor

from vgbench.errors import DataError, ProtocolError
from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.video import check_clips
from vgbench.weights.record import WeightsRef

MIN_FRAMES = 9  # the longest lag of the dynamics is 8 frames
MIN_LONG_FRAMES = 32  # shorter clips have too few frames that could repeat an earlier one
MAX_LEVELS = 7  # frames of up to 2047 pixels

_EPS = 1e-4
_DYNAMICS_FLOOR = 1e-5
_TAUS = (2 / 255, 8 / 255, 32 / 255)  # grey levels at which a soft count reaches one half
_REPEAT_TAUS = (0.5 / 255, 2 / 255, 8 / 255)
_LAGS = (1, 2, 4, 8)  # frames
_LAYOUT, _TEXTURE, _MOTION, _DYNAMICS = 51, 19, 17, 13  # numbers; the last three per level
_REPEATS = 3  # numbers, of long clips alone


def jet_levels(height: int, width: int) -> int:
    """Returns the number of pyramid levels: 3 up to 64 pixels, one more per doubling."""
    return 3 + max(0, math.floor(math.log2(min(height, width) / 64)))


def block_sizes(levels: int, long: bool = False) -> tuple[int, ...]:
    """Returns how many numbers layout, texture, motion and dynamics have; repeats if `long`."""
    sizes = (_LAYOUT, levels * _TEXTURE, levels * _MOTION, levels * _DYNAMICS)
    return (*sizes, _REPEATS) if long else sizes


def jet_features(
    clip: UInt8[Tensor, "t h w 3"],
    levels: int = 3,
    dtype: torch.dtype = torch.float32,
    long: bool = False,
) -> Float[Tensor, "dim"]:
    """Returns the features of one clip: layout, then texture, motion and dynamics of all levels.

    Args:
        clip: RGB frames, 0..255; t >= 9, shorter side at least 7 at the coarsest level.
        levels: Pyramid levels; each halves the one before.
        dtype: Arithmetic and result type.
        long: Whether the numbers of `jet-long` follow; they need t >= 32.

    Raises:
        DataError: If the clip is too short or its frames too small.
    """
    frames, height, width, _ = clip.shape
    _check_size(frames, height, width, levels, MIN_LONG_FRAMES if long else MIN_FRAMES)
    y, u, v = _yuv(clip, dtype)
    layout = _layout(y, u, v)
    texture, motion, dynamics = [], [], []
    for level in range(levels):
        if level:
            y, u, v = (F.avg_pool2d(plane[:, None], 2)[:, 0] for plane in (y, u, v))
        slope_x, slope_y = _slopes(y)
        texture.append(_texture(y, slope_x, slope_y))
        texture.append(_lg(torch.stack([_horizontal_energy(u), _horizontal_energy(v)])))
        motion.append(_motion(y, slope_x, slope_y))
        dynamics.append(_dynamics(y))
    repeats = [_repeats(y)] if long else []
    return torch.cat([layout, *texture, *motion, *dynamics, *repeats])


def image_block_sizes(levels: int) -> tuple[int, int]:
    """Returns how many numbers layout and texture have, which are those of single frames."""
    return _LAYOUT, levels * _TEXTURE


def image_features(
    frame: UInt8[Tensor, "1 h w 3"], levels: int = 3, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "dim"]:
    """Returns layout and texture of one frame, as `jet_features` has them of a clip.

    Args:
        frame: RGB, 0..255; shorter side at least 7 at the coarsest level.
        levels: Pyramid levels; each halves the one before.
        dtype: Arithmetic and result type.

    Raises:
        DataError: If the frame is too small.
    """
    _, height, width, _ = frame.shape
    _check_size(1, height, width, levels, least=1)
    y, u, v = _yuv(frame, dtype)
    parts = [_layout(y, u, v)]
    for level in range(levels):
        if level:
            y, u, v = (F.avg_pool2d(plane[:, None], 2)[:, 0] for plane in (y, u, v))
        parts.append(_texture(y, *_slopes(y)))
        parts.append(_lg(torch.stack([_horizontal_energy(u), _horizontal_energy(v)])))
    return torch.cat(parts)


class Jet(FeatureExtractor):
    """The `jet` core: 51 numbers per clip and 49 per pyramid level.

    Clips are processed one by one: batches would not fit the processor's cache, and features are
    then the same bits for every batch size.

    Args:
        levels: Pyramid levels; `for_frames` returns the core with as many as frames take.
    """

    name = "jet"
    long: ClassVar[bool] = False
    dim = sum(block_sizes(3))
    preprocess_id = "yuv601-l3"

    def __init__(self, levels: int = 3) -> None:
        super().__init__()
        self.levels = levels
        self.dim = sum(block_sizes(levels, self.long))
        self.preprocess_id = f"yuv601-l{levels}"
        self.weights = WeightsRef(self.name, "handcrafted")

    @classmethod
    def load(cls, weights_dir: Path | None = None) -> "Jet":
        """Returns the extractor; it has no weights, so the folder is ignored."""
        return cls().eval()

    def for_frames(self, height: int, width: int) -> FeatureExtractor:
        """Returns the core with the levels that frames of this size take."""
        levels = jet_levels(height, width)
        if levels > MAX_LEVELS:
            raise DataError(
                f"jet takes frames whose shorter side is up to {32 * 2**MAX_LEVELS - 1} "
                f"pixels, got {height}x{width}; choose a smaller resolution"
            )
        return self if levels == self.levels else type(self)(levels)

    @torch.no_grad()
    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns the features of each clip, float32.

        Raises:
            DataError: If clips are not uint8 RGB, too short or too small.
        """
        clips = check_clips(clips)
        rows = [jet_features(clip, self.levels, long=self.long) for clip in clips]
        return torch.stack(rows)


class JetLong(Jet):
    """`jet` for clips of 32 frames and more: three more numbers say how much of a clip repeats.

    The longest lag of `jet` is 8 frames, so it sees a loop only by the jump at its seam. Its own
    block has as much weight as each other one.
    """

    name = "jet-long"
    long = True
    dim = sum(block_sizes(3, long=True))


class JetImage(Jet):
    """The blocks of `jet` that need no second frame, for single frames; 51 numbers, 19 per level.

    Motion and dynamics are left out; layout and texture have equal weight.
    """

    name = "jet-image"
    dim = sum(image_block_sizes(3))

    def __init__(self, levels: int = 3) -> None:
        super().__init__(levels)
        self.dim = sum(image_block_sizes(levels))

    @torch.no_grad()
    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns the features of each clip, which has one frame, float32.

        Raises:
            DataError: If clips are not uint8 RGB, too small, or longer than one frame.
        """
        clips = check_clips(clips)
        if clips.shape[1] != 1:
            raise DataError(f"jet-image takes single frames, got clips of {clips.shape[1]}")
        return torch.stack([image_features(clip, self.levels) for clip in clips])


@dataclass(frozen=True)
class JetNormalizer:
    """Z-scores relative to a reference set, squashed at 3, every block with equal weight.

    Attributes:
        mean: Mean of each feature over the reference set.
        sd: Its standard deviation (ddof 0), at least 0.1 times the root mean square of its block.
        weight: One over the root of the size of the feature's block times the number of blocks.

    Deviates: `sd` is also at least 1e-3, for reference sets on which a whole block is constant
    (still videos), where the relative floor is zero.
    """

    mean: Float[np.ndarray, "dim"]
    sd: Float[np.ndarray, "dim"]
    weight: Float[np.ndarray, "dim"]

    @classmethod
    def fit(cls, rows: Float[np.ndarray, "n dim"]) -> "JetNormalizer":
        """Returns the normaliser of a reference set of raw features.

        Raises:
            ProtocolError: If the set has fewer than two rows.
        """
        if len(rows) < 2:
            raise ProtocolError(f"a reference set needs two clips or more, got {len(rows)}")
        rows = rows.astype(np.float64)
        sizes = _BLOCKS[rows.shape[1]]
        edges = np.cumsum([0, *sizes])
        sd = rows.std(axis=0)
        for start, stop in pairwise(edges):
            typical = np.sqrt(np.square(sd[start:stop]).mean())
            sd[start:stop] = np.maximum(sd[start:stop], max(0.1 * typical, 1e-3))
        weight = np.repeat([1 / np.sqrt(len(sizes) * size) for size in sizes], sizes)
        return cls(rows.mean(axis=0), sd, weight)

    def __call__(self, rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Returns normalised float64 features."""
        z = (rows.astype(np.float64) - self.mean) / self.sd
        squashed: Float[np.ndarray, "n dim"] = 3 * np.tanh(z / 3) * self.weight
        return squashed


# Blocks by the number of features; no two cores have equally many.
_BLOCKS = {
    sum(sizes): sizes
    for levels in range(1, MAX_LEVELS + 1)
    for sizes in (
        block_sizes(levels),
        block_sizes(levels, long=True),
        image_block_sizes(levels),
    )
}


def _check_size(frames: int, height: int, width: int, levels: int, least: int) -> None:
    if frames < least:
        name = "jet-long" if least == MIN_LONG_FRAMES else "jet"
        raise DataError(f"{name} needs clips of {least} frames or more, got {frames}")
    smallest = 7 * 2 ** (levels - 1)
    if min(height, width) < smallest:
        raise DataError(
            f"jet with {levels} levels needs frames of {smallest}x{smallest} pixels or more, "
            f"got {height}x{width}"
        )


def _yuv(clip: UInt8[Tensor, "t h w 3"], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Returns Y (Rec. 601), U = B - Y and V = R - Y in units of full scale."""
    r, g, b = (rearrange(clip, "t h w c -> c t h w").to(dtype) / 255).unbind()
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return y, b - y, r - y


def _lg(v: Tensor) -> Tensor:
    return torch.log(v + _EPS)


def _lh(v: Tensor) -> Tensor:
    return torch.log(v + _DYNAMICS_FLOOR)


def _cells(plane: Float[Tensor, "t h w"], grid: int = 2) -> Float[Tensor, "cells"]:
    """Returns the mean over time and over each cell of a square grid, row by row."""
    return F.adaptive_avg_pool2d(plane.mean(dim=0)[None], grid).flatten()


def _soft_counts(energy: Tensor, taus: tuple[float, ...] = _TAUS) -> Float[Tensor, "n"]:
    """Returns the share of values above each tau, softly: the mean of e / (e + tau²)."""
    return torch.stack([(energy / (energy + tau**2)).mean() for tau in taus])


def _weighted_means(weight: Tensor, *values: Tensor) -> Float[Tensor, "n"]:
    """Returns `<w v> / (<w> + 1e-3)` for each of `values`."""
    return torch.stack([(weight * v).mean() for v in values]) / (weight.mean() + 1e-3)


def _layout(y: Tensor, u: Tensor, v: Tensor) -> Float[Tensor, "51"]:
    """Returns 4x4-cell means of Y, U, V, then the log variance of each."""
    means = [_cells(plane, grid=4) for plane in (y, u, v)]
    return torch.cat([*means, _lg(torch.stack([y.var(), u.var(), v.var()]))])


def _slopes(y: Float[Tensor, "t h w"]) -> tuple[Tensor, Tensor]:
    """Returns half the central differences along x and y, on interior pixels."""
    slope_x = (y[:, 1:-1, 2:] - y[:, 1:-1, :-2]) / 2
    slope_y = (y[:, 2:, 1:-1] - y[:, :-2, 1:-1]) / 2
    return slope_x, slope_y


def _horizontal_energy(plane: Float[Tensor, "t h w"]) -> Float[Tensor, ""]:
    return (plane[..., 1:] - plane[..., :-1]).square().mean()


def _texture(y: Tensor, slope_x: Tensor, slope_y: Tensor) -> Float[Tensor, "17"]:
    """Returns gradient (4), Laplacian ratio (4), soft counts (3), orientation statistics (6)."""
    xx, yy = slope_x.square(), slope_y.square()
    gradient = _lg(_cells(xx + yy))
    sides = y[:, 1:-1, 2:] + y[:, 1:-1, :-2] + y[:, 2:, 1:-1] + y[:, :-2, 1:-1]
    laplacian = (4 * y[:, 1:-1, 1:-1] - sides).square()
    ratio = _lg(_cells(laplacian)) - gradient
    tensor = torch.stack([xx[::2], yy[::2], slope_x[::2] * slope_y[::2]])
    jxx, jyy, jxy = F.avg_pool2d(tensor, kernel_size=5, stride=3)
    trace = jxx + jyy
    a, b = (jxx - jyy) / (trace + _EPS), 2 * jxy / (trace + _EPS)
    q = a.square() + b.square()
    orientation = _weighted_means(
        trace.sqrt(), a, b, a.square() - b.square(), 2 * a * b, q, q.square()
    )
    return torch.cat([gradient, ratio, _soft_counts(laplacian), orientation])


def _motion(y: Tensor, slope_x: Tensor, slope_y: Tensor) -> Float[Tensor, "17"]:
    """Returns energy ratio (4), correlations with x and y slopes (8), soft counts, r and r²."""
    change = y[1:, 1:-1, 1:-1] - y[:-1, 1:-1, 1:-1]
    mid_x, mid_y = ((slope[1:] + slope[:-1]) / 2 for slope in (slope_x, slope_y))
    tt, xx, yy = change.square(), mid_x.square(), mid_y.square()
    cell_t, cell_x, cell_y = _cells(tt), _cells(xx), _cells(yy)
    ratio = _lg(cell_t) - _lg(cell_x + cell_y)
    along_x = _cells(mid_x * change) / ((cell_t + _EPS) * (cell_x + _EPS)).sqrt()
    along_y = _cells(mid_y * change) / ((cell_t + _EPS) * (cell_y + _EPS)).sqrt()
    total = tt + xx + yy
    share = tt / (total + _EPS)
    shares = _weighted_means(total.sqrt(), share, share.square())
    return torch.cat([ratio, along_x, along_y, _soft_counts(tt), shares])


def _dynamics(y: Float[Tensor, "t h w"]) -> Float[Tensor, "13"]:
    """Returns lags (5), acceleration, order statistics of the changes (5), both halves (2)."""
    changes = {lag: reduce((y[lag:] - y[:-lag]).square(), "t h w -> t", "mean") for lag in _LAGS}
    m1, m2, m4, m8 = (_lh(changes[lag].mean()) for lag in _LAGS)
    acceleration = _lh((y[2:] - 2 * y[1:-1] + y[:-2]).square().mean()) - m1
    step = changes[1]
    n = len(step)
    ranks = [0, n // 4, n // 2, 3 * n // 4, n - 1]
    ordered = _lh(step.sort().values[ranks])
    halves = _lh(torch.stack([step[: n // 2].mean(), step[n - n // 2 :].mean()]))
    lags = torch.stack([m1, m8, m2 - m1, m4 - m1, m8 - m1, acceleration])
    return torch.cat([lags, ordered, halves])


def _repeats(y: Float[Tensor, "t h w"]) -> Float[Tensor, "3"]:
    """Returns soft counts of how far each frame is from the nearest one 9 or more before it.

    Distances are squares, averaged over pixels. They are differences and not a matrix product,
    which would lose the digits of a frame that repeats.
    """
    rows = y.flatten(1)
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    earlier = apart[MIN_FRAMES:, :-MIN_FRAMES] / rows.shape[1]
    later = torch.ones_like(earlier).triu(1).bool()
    return _soft_counts(earlier.masked_fill(later, math.inf).amin(dim=1), _REPEAT_TAUS)
