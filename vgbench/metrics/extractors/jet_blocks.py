"""The numbers that the `jet` cores are made of: blocks, as functions of the pyramid of a clip.

First differences in x, y and t are squared or multiplied, averaged over a 2x2 grid and turned into
bounded numbers; frame changes at four lags say how the clip evolves. All formulas, constants and
their order are those of vgbench's evaluator definition ("core jet").
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Float, UInt8
from torch import Tensor

_EPS = 1e-4
_DYNAMICS_FLOOR = 1e-5
_JERK_FLOOR = 1e-6  # a quarter of a grey level, squared: slow and smooth footage stays above it
_TAUS = (2 / 255, 8 / 255, 32 / 255)  # grey levels at which a soft count reaches one half
_REPEAT_TAUS = (0.5 / 255, 2 / 255, 8 / 255)
_LAGS = (1, 2, 4, 8)  # frames
_FIRST_REPEAT = 9  # frames; repeats at shorter lags show in the dynamics


@dataclass(frozen=True)
class Level:
    """One level of the pyramid of a clip, in units of full scale.

    Attributes:
        y: Luminance, Rec. 601.
        u: B - Y.
        v: R - Y.
        slope_x: Half the central differences of `y` along x, on interior pixels.
        slope_y: The same along y.
    """

    y: Float[Tensor, "t h w"]
    u: Float[Tensor, "t h w"]
    v: Float[Tensor, "t h w"]
    slope_x: Float[Tensor, "t h-2 w-2"]
    slope_y: Float[Tensor, "t h-2 w-2"]


@dataclass(frozen=True)
class Block:
    """A group of numbers that weigh as much as every other block of a core.

    Attributes:
        min_frames: Frames of the shortest clip that has them.
        numbers: How many there are beside those of the levels.
        per_level: How many there are for each level of the pyramid.
        of: From a pyramid, the finest level first, to the numbers.
    """

    min_frames: int
    numbers: int
    per_level: int
    of: Callable[[Sequence[Level]], Float[Tensor, "n"]]

    def size(self, levels: int) -> int:
        """Returns how many numbers there are with this many levels."""
        return self.numbers + levels * self.per_level


def pyramid(clip: UInt8[Tensor, "t h w 3"], levels: int, dtype: torch.dtype) -> list[Level]:
    """Returns the levels of an RGB clip; each is the one before in 2x2 means."""
    r, g, b = (rearrange(clip, "t h w c -> c t h w").to(dtype) / 255).unbind()
    y = 0.299 * r + 0.587 * g + 0.114 * b
    planes = torch.stack([y, b - y, r - y])
    made = [_level(*planes)]
    for _ in range(levels - 1):
        planes = F.avg_pool2d(planes, 2)
        made.append(_level(*planes))
    return made


def _level(y: Tensor, u: Tensor, v: Tensor) -> Level:
    slope_x = (y[:, 1:-1, 2:] - y[:, 1:-1, :-2]) / 2
    slope_y = (y[:, 2:, 1:-1] - y[:, :-2, 1:-1]) / 2
    return Level(y, u, v, slope_x, slope_y)


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


def _per_level(of: Callable[[Level], Tensor]) -> Callable[[Sequence[Level]], Tensor]:
    return lambda levels: torch.cat([of(level) for level in levels])


def _layout(levels: Sequence[Level]) -> Float[Tensor, "51"]:
    """Returns 4x4-cell means of Y, U, V of the finest level, then the log variance of each."""
    planes = (levels[0].y, levels[0].u, levels[0].v)
    means = [_cells(plane, grid=4) for plane in planes]
    return torch.cat([*means, _lg(torch.stack([plane.var() for plane in planes]))])


def _horizontal_energy(plane: Float[Tensor, "t h w"]) -> Float[Tensor, ""]:
    return (plane[..., 1:] - plane[..., :-1]).square().mean()


def _texture(level: Level) -> Float[Tensor, "19"]:
    """Returns the gradient (4), the Laplacian ratio (4) and soft counts of the Laplacian (3).

    Statistics of the orientation (6) and the horizontal energies of U and V (2) follow.
    """
    y, slope_x, slope_y = level.y, level.slope_x, level.slope_y
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
    chroma = _lg(torch.stack([_horizontal_energy(level.u), _horizontal_energy(level.v)]))
    return torch.cat([gradient, ratio, _soft_counts(laplacian), orientation, chroma])


def _motion(level: Level) -> Float[Tensor, "17"]:
    """Returns energy ratio (4), correlations with x and y slopes (8), soft counts, r and r²."""
    y = level.y
    change = y[1:, 1:-1, 1:-1] - y[:-1, 1:-1, 1:-1]
    mid_x, mid_y = ((s[1:] + s[:-1]) / 2 for s in (level.slope_x, level.slope_y))
    tt, xx, yy = change.square(), mid_x.square(), mid_y.square()
    cell_t, cell_x, cell_y = _cells(tt), _cells(xx), _cells(yy)
    ratio = _lg(cell_t) - _lg(cell_x + cell_y)
    along_x = _cells(mid_x * change) / ((cell_t + _EPS) * (cell_x + _EPS)).sqrt()
    along_y = _cells(mid_y * change) / ((cell_t + _EPS) * (cell_y + _EPS)).sqrt()
    total = tt + xx + yy
    share = tt / (total + _EPS)
    shares = _weighted_means(total.sqrt(), share, share.square())
    return torch.cat([ratio, along_x, along_y, _soft_counts(tt), shares])


def _dynamics(level: Level) -> Float[Tensor, "13"]:
    """Returns lags (5), acceleration, order statistics of the changes (5), both halves (2)."""
    y = level.y
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


def _jerk(level: Level) -> Float[Tensor, "1"]:
    """Returns ln(<third time difference²> + 1e-6) - ln(<second time difference²> + 1e-6).

    How far and how visibly things move cancels out; how evenly they move is left. White noise has
    ln(20/6), and what oscillates with w radians per frame 2 ln(2 sin(w/2)).
    """
    second = level.y.diff(n=2, dim=0)
    energies = torch.stack([second.diff(dim=0).square().mean(), second.square().mean()])
    logarithms = torch.log(energies + _JERK_FLOOR)
    return logarithms[:1] - logarithms[1:]


def _repeats(levels: Sequence[Level]) -> Float[Tensor, "3"]:
    """Returns soft counts of how far each frame is from the nearest one 9 or more before it.

    Distances are squares, averaged over the pixels of the coarsest level. They are differences and
    not a matrix product, which would lose the digits of a frame that repeats.
    """
    rows = levels[-1].y.flatten(1)
    apart = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    earlier = apart[_FIRST_REPEAT:, :-_FIRST_REPEAT] / rows.shape[1]
    later = torch.ones_like(earlier).triu(1).bool()
    return _soft_counts(earlier.masked_fill(later, math.inf).amin(dim=1), _REPEAT_TAUS)


LAYOUT = Block(1, 51, 0, _layout)
TEXTURE = Block(1, 0, 19, _per_level(_texture))
MOTION = Block(2, 0, 17, _per_level(_motion))
DYNAMICS = Block(9, 0, 13, _per_level(_dynamics))  # the longest lag is 8 frames
JERK = Block(4, 0, 1, _per_level(_jerk))
REPEATS = Block(32, 3, 0, _repeats)  # shorter clips have too few frames that could repeat one
