"""Up-sampling, FIR filtering and down-sampling of maps `[n, c, h, w]`.

A map is up-sampled by inserting zeros, padded or cropped, convolved with a filter and decimated.
Here no zero is ever inserted: along one axis all of that is one linear map, taken either as a
depthwise (transposed) convolution or as a matrix product. Which one is faster depends on device
and size; the results are the same, and so are derivatives of any order.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Factor = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[int, int, int, int]
Route = Literal["depthwise", "matrix"]

# Filters of at least this many taps are kept separable by `setup_filter` (StyleGAN2-ADA).
_SEPARABLE_FROM = 8
# On CPU a matrix product wins for down-sampling by 4 (the backward pass of up-sampling) of maps up
# to this size; a matrix costs n multiplications per output, a convolution as many as it has taps.
_MATRIX_FROM, _MATRIX_UP_TO_SIZE = 4, 4 * 86
# Separable filters this short are faster as one convolution in two dimensions than as two.
_ONE_PASS_UP_TO = 4


class _Axis(NamedTuple):
    """What is done along one axis: factors, and zeros added at its ends (negative: cropped)."""

    up: int
    down: int
    low: int
    high: int

    def full_rate(self, n: int, taps: int) -> int:
        """Length after padding and filtering, before decimation."""
        return n * self.up + self.low + self.high - taps + 1

    def adjoint(self, n: int, m: int, taps: int) -> "_Axis":
        """What the reversed filter does along the axis of a gradient: from length m back to n."""
        low = taps - 1 - self.low
        return _Axis(self.down, self.up, low, (n - 1) * self.up + taps - m * self.down - low)


_KEEP = _Axis(1, 1, 0, 0)


def setup_filter(
    taps: Sequence[float] | Sequence[Sequence[float]] | Tensor,
    normalize: bool = True,
    flip_filter: bool = False,
    gain: float = 1.0,
    separable: bool | None = None,
) -> Float[Tensor, "..."]:
    """Returns a filter for `upfirdn2d`: one axis if separable, two if not; float32.

    Args:
        taps: Taps along one axis, or a matrix of them.
        normalize: Whether the taps are made to sum to one.
        flip_filter: Whether they are reversed.
        gain: Gain of the filter in two dimensions.
        separable: Whether taps along one axis stay that, to be applied to rows and columns; None
            for filters of 8 taps or more.
    """
    f = torch.as_tensor(taps, dtype=torch.float32)
    if separable is None:
        separable = f.ndim == 1 and len(f) >= _SEPARABLE_FROM
    if f.ndim == 1 and not separable:
        f = torch.outer(f, f)
    if normalize:
        f = f / f.sum()
    if flip_filter:
        f = f.flip(tuple(range(f.ndim)))
    scale: float = gain ** (f.ndim / 2)
    return f * scale


def upfirdn2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, "..."] | None,
    up: Factor = 1,
    down: Factor = 1,
    padding: Padding = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
    route: Route | None = None,
) -> Float[Tensor, "n c h2 w2"]:
    """Returns the map up-sampled by zeros, padded, filtered and decimated.

    Args:
        x: The map.
        f: Taps of a separable filter, a matrix of taps, or None for no filter.
        up: Zeros inserted plus one, for both axes or (x, y).
        down: One of so many values is kept, for both axes or (x, y).
        padding: Zeros at the ends of the up-sampled axes: all, (x, y), or (left, right, top,
            bottom); negative crops.
        flip_filter: False for a convolution, True for a correlation.
        gain: Factor of the result.
        route: How a separable filter is applied; None chooses by device and size.

    Source: "Alias-Free Generative Adversarial Networks" (NeurIPS 2021), appendix D;
    NVlabs/stylegan3 `torch_utils/ops/upfirdn2d.py`.
    """
    (up_x, up_y), (down_x, down_y) = _pair(up), _pair(down)
    left, right, top, bottom = sides(padding)
    rows, columns = _Axis(up_y, down_y, top, bottom), _Axis(up_x, down_x, left, right)
    if f is None:
        if up_x == up_y == down_x == down_y == 1:
            x = F.pad(x, (left, right, top, bottom)) if any((left, right, top, bottom)) else x
            return x if gain == 1 else x * gain
        f = x.new_ones(1)
    f = f.to(x.dtype) * gain ** (f.ndim / 2)
    if flip_filter:
        f = f.flip(tuple(range(f.ndim)))
    short = f.ndim == 1 and len(f) <= _ONE_PASS_UP_TO
    if short and (route or _route(x, rows, columns)) == "depthwise":
        f = torch.outer(f, f)
    if f.ndim == 2:
        return _depthwise(x, f, rows, columns)
    resampled: Tensor = _Separable.apply(x, f, rows, columns, route)  # type: ignore[no-untyped-call]
    return resampled


def upsample2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, "..."],
    up: Factor = 2,
    padding: Padding = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Float[Tensor, "n c h2 w2"]:
    """Returns the map up-sampled about its centre, of `up` times its size plus `padding`."""
    (up_x, up_y), (taps_x, taps_y) = _pair(up), taps_of(f)
    left, right, top, bottom = sides(padding)
    padding = (
        left + (taps_x + up_x - 1) // 2,
        right + (taps_x - up_x) // 2,
        top + (taps_y + up_y - 1) // 2,
        bottom + (taps_y - up_y) // 2,
    )
    return upfirdn2d(x, f, up, 1, padding, flip_filter, gain * up_x * up_y)


def downsample2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, "..."],
    down: Factor = 2,
    padding: Padding = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Float[Tensor, "n c h2 w2"]:
    """Returns the map down-sampled about its centre; `padding` is in pixels of the input."""
    (down_x, down_y), (taps_x, taps_y) = _pair(down), taps_of(f)
    left, right, top, bottom = sides(padding)
    padding = (
        left + (taps_x - down_x + 1) // 2,
        right + (taps_x - down_x) // 2,
        top + (taps_y - down_y + 1) // 2,
        bottom + (taps_y - down_y) // 2,
    )
    return upfirdn2d(x, f, 1, down, padding, flip_filter, gain)


def filter2d(
    x: Float[Tensor, "n c h w"],
    f: Float[Tensor, "..."],
    padding: Padding = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Float[Tensor, "n c h2 w2"]:
    """Returns the filtered map, of its size plus `padding`."""
    return downsample2d(x, f, 1, padding, flip_filter, gain)


def taps_of(f: Float[Tensor, "..."] | None) -> tuple[int, int]:
    """Returns the number of taps along x and y; (1, 1) for no filter."""
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def sides(padding: Padding) -> tuple[int, int, int, int]:
    """Returns padding as (left, right, top, bottom)."""
    if isinstance(padding, int):
        return (padding,) * 4
    if len(padding) == 2:
        x, y = padding
        return x, x, y, y
    return padding


def _pair(factor: Factor) -> tuple[int, int]:
    return (factor, factor) if isinstance(factor, int) else factor


class _Separable(torch.autograd.Function):
    """A separable filter; its backward is one too, so each takes the route that suits it.

    Nothing of the map is kept for the backward pass, and derivatives of any order work.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, f: Tensor, rows: _Axis, columns: _Axis, route: Route | None
    ) -> Tensor:
        ctx.save_for_backward(f)
        ctx.axes, ctx.size, ctx.route = (rows, columns), x.shape[-2:], route
        if (route or _route(x, rows, columns)) == "matrix":
            return _matrix(x, f, rows, columns)
        return _depthwise(_depthwise(x, f[None, :], _KEEP, columns), f[:, None], rows, _KEEP)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        (f,) = ctx.saved_tensors
        sizes = zip(ctx.axes, ctx.size, grad.shape[-2:], strict=True)
        rows, columns = (axis.adjoint(n, m, len(f)) for axis, n, m in sizes)
        back: Tensor = _Separable.apply(  # type: ignore[no-untyped-call]
            grad, f.flip(0), rows, columns, ctx.route
        )
        return back, None, None, None, None


def _route(x: Tensor, rows: _Axis, columns: _Axis) -> Route:
    # Depthwise convolutions in bfloat16 are several times slower on CPU than in float32.
    low_precision = x.dtype in (torch.bfloat16, torch.float16)
    if x.is_cuda or low_precision or torch.is_autocast_enabled(x.device.type):
        return "matrix"
    small = max(x.shape[-2:]) <= _MATRIX_UP_TO_SIZE
    return "matrix" if small and max(rows.down, columns.down) >= _MATRIX_FROM else "depthwise"


def _matrix(x: Tensor, f: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    """`Y = M_h X M_w'`; whatever makes the map smaller comes first."""
    m_rows = _axis_matrix(f, x.shape[-2], rows)
    m_columns = _axis_matrix(f, x.shape[-1], columns)
    if len(m_rows) > x.shape[-2]:
        return m_rows @ (x @ m_columns.mT)
    return (m_rows @ x) @ m_columns.mT


def _axis_matrix(f: Tensor, n: int, axis: _Axis) -> Float[Tensor, "m n"]:
    """`M[m, j] = f[taps - 1 - (j up + low - m down)]`, zero outside of the filter."""
    taps = len(f)
    m = torch.arange((axis.full_rate(n, taps) - 1) // axis.down + 1, device=f.device)
    j = torch.arange(n, device=f.device)
    index = taps - 1 - (j * axis.up + axis.low - m[:, None] * axis.down)
    inside = (index >= 0) & (index < taps)
    return torch.where(inside, f[index.clamp(0, taps - 1)], 0)


def _depthwise(x: Tensor, f: Tensor, rows: _Axis, columns: _Axis) -> Tensor:
    channels = x.shape[1]
    if rows.up == columns.up == 1:
        weight = f.flip((0, 1)).expand(channels, 1, -1, -1)
        pads = [(axis.low, axis.high) for axis in (rows, columns)]
        both = [max(0, min(pad)) for pad in pads]
        x = _pad_rest(x, pads, both)
        return F.conv2d(x, weight, None, (rows.down, columns.down), both, groups=channels)
    crops = [
        _crops(n, taps, axis)
        for n, taps, axis in zip(x.shape[-2:], f.shape, (rows, columns), strict=True)
    ]
    both = [max(0, min(crop)) for crop in crops]
    weight = f.expand(channels, 1, -1, -1)
    y = F.conv_transpose2d(x, weight, None, (rows.up, columns.up), both, groups=channels)
    y = _pad_rest(y, [(-low, -high) for low, high in crops], [-crop for crop in both])
    return y[..., :: rows.down, :: columns.down]


def _crops(n: int, taps: int, axis: _Axis) -> tuple[int, int]:
    """What a full transposed convolution has too much at the low and the high end."""
    low = taps - 1 - axis.low
    full = (n - 1) * axis.up + taps
    return low, full - low - axis.full_rate(n, taps)


def _pad_rest(x: Tensor, pads: list[tuple[int, int]], done: list[int]) -> Tensor:
    """Pads or crops each axis, less what the convolution does itself at both ends."""
    (top, bottom), (left, right) = pads
    rest = (left - done[1], right - done[1], top - done[0], bottom - done[0])
    return F.pad(x, rest) if any(rest) else x
