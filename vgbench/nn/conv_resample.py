"""2-D convolution of a map that is up-sampled before or down-sampled after it."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vgbench.nn.upfirdn import Padding, sides, taps_of, upfirdn2d


def conv2d_resample(
    x: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "o i kh kw"],
    f: Float[Tensor, "..."] | None = None,
    up: int = 1,
    down: int = 1,
    padding: Padding = 0,
    groups: int = 1,
    flip_weight: bool = True,
) -> Float[Tensor, "n o h2 w2"]:
    """Returns the convolution between up- and down-sampling with the low-pass filter `f`.

    Filter and convolution commute, so the convolution runs at the lower of two rates wherever it
    can: as a transposed one in front of the filter, or strided behind it.

    Args:
        x: The map.
        weight: Kernel in the layout of `torch.nn.Conv2d`.
        f: Taps of the resampling filter, separable or a matrix; None for none.
        up: Up-sampling factor.
        down: Down-sampling factor.
        padding: Zeros around the up-sampled map (see `upfirdn2d`), beside those that keep the
            resampling centred.
        groups: Groups of channels.
        flip_weight: True for a correlation, as `torch.nn.functional.conv2d` is; False for a
            convolution.

    Source: StyleGAN2 (CVPR 2020), section 3; NVlabs/stylegan2-ada-pytorch
    `torch_utils/ops/conv2d_resample.py`.
    """
    pads = _centred(padding, f, up, down)
    is_pointwise = weight.shape[2:] == (1, 1)
    if up > 1 and down == 1 and not is_pointwise:
        return _up(x, weight, f, up, pads, groups, flip_weight)
    if not flip_weight:
        weight = weight.flip((2, 3))
    if down > 1 and up == 1:
        if is_pointwise:
            return F.conv2d(upfirdn2d(x, f, 1, down, pads), weight, groups=groups)
        return F.conv2d(upfirdn2d(x, f, 1, 1, pads), weight, stride=down, groups=groups)
    if is_pointwise and down == 1:
        y = F.conv2d(x, weight, groups=groups)
        return upfirdn2d(y, f if up > 1 else None, up, 1, pads, gain=float(up**2))
    left, right, top, bottom = pads
    if up == 1 and left == right and top == bottom and min(left, top) >= 0:
        return F.conv2d(x, weight, padding=(top, left), groups=groups)
    x = upfirdn2d(x, f if up > 1 else None, up, 1, pads, gain=float(up**2))
    y = F.conv2d(x, weight, groups=groups)
    return y if down == 1 else upfirdn2d(y, f, 1, down)


def _centred(padding: Padding, f: Tensor | None, up: int, down: int) -> tuple[int, int, int, int]:
    """Padding that, with that of the filter, keeps input and output centred on each other."""
    left, right, top, bottom = sides(padding)
    taps_x, taps_y = taps_of(f)
    if up > 1:
        left, top = left + (taps_x + up - 1) // 2, top + (taps_y + up - 1) // 2
        right, bottom = right + (taps_x - up) // 2, bottom + (taps_y - up) // 2
    if down > 1:
        left, top = left + (taps_x - down + 1) // 2, top + (taps_y - down + 1) // 2
        right, bottom = right + (taps_x - down) // 2, bottom + (taps_y - down) // 2
    return left, right, top, bottom


def _up(
    x: Tensor,
    weight: Tensor,
    f: Tensor | None,
    up: int,
    pads: tuple[int, int, int, int],
    groups: int,
    flip_weight: bool,
) -> Tensor:
    """Transposed convolution, then the filter on what the padding leaves of it."""
    kh, kw = weight.shape[2:]
    if flip_weight:
        weight = weight.flip((2, 3))
    weight = rearrange(weight, "(g o) i kh kw -> (g i) o kh kw", g=groups)
    left, right, top, bottom = pads
    # A full transposed convolution is wider than the up-sampled map by these.
    left, right = left - (kw - 1), right - (kw - up)
    top, bottom = top - (kh - 1), bottom - (kh - up)
    trim_y, trim_x = max(0, min(-top, -bottom)), max(0, min(-left, -right))
    y = F.conv_transpose2d(x, weight, None, up, (trim_y, trim_x), groups=groups)
    rest = (left + trim_x, right + trim_x, top + trim_y, bottom + trim_y)
    return upfirdn2d(y, f, 1, 1, rest, gain=float(up**2))
