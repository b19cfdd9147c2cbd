"""StyleGAN2 and 3 layers once more, as they are defined, in double precision.

Zeros are inserted, convolutions are sums over taps, and every sample has a weight of its own.
Shares nothing with `vgbench.nn`.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import signal, special

BLUR = (1.0, 3.0, 3.0, 1.0)
SQRT2 = math.sqrt(2)


def pair(value):
    """Returns a value for x and y as (x, y)."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def four(padding):
    """Returns padding as (left, right, top, bottom)."""
    if isinstance(padding, (list, tuple)) and len(padding) == 4:
        return tuple(padding)
    x, y = pair(padding)
    return x, x, y, y


def setup_filter(f, normalize=True, flip_filter=False, gain=1, separable=None):
    """Returns taps of a filter; an outer product if it is short and not said to be separable."""
    f = torch.as_tensor(f, dtype=torch.float64)
    if separable is None:
        separable = f.ndim == 1 and f.numel() >= 8
    if f.ndim == 1 and not separable:
        f = f[:, None] * f[None, :]
    if normalize:
        f = f / f.sum()
    if flip_filter:
        f = torch.flip(f, list(range(f.ndim)))
    return f * gain ** (f.ndim / 2)


def slide(x, taps, step=(1, 1)):
    """Returns the correlation of every channel with a matrix of taps, every `step`-th of it."""
    rows, columns = x.shape[2] - taps.shape[0] + 1, x.shape[3] - taps.shape[1] + 1
    total = x.new_zeros(*x.shape[:2], rows, columns)
    for i in range(taps.shape[0]):
        for j in range(taps.shape[1]):
            total = total + taps[i, j] * x[:, :, i : i + rows, j : j + columns]
    return total[:, :, :: step[1], :: step[0]]


def upfirdn(x, f=None, up=1, down=1, padding=0, flip_filter=False, gain=1):
    """Returns the map with zeros inserted, padded or cropped, convolved and decimated."""
    (up_x, up_y), down = pair(up), pair(down)
    n, c, h, w = x.shape
    spread = x.new_zeros(n, c, h, up_y, w, up_x)
    spread[:, :, :, 0, :, 0] = x
    x = F.pad(spread.reshape(n, c, h * up_y, w * up_x), four(padding))
    f = x.new_ones(1) if f is None else f.to(x)
    if not flip_filter:
        f = torch.flip(f, list(range(f.ndim)))
    if f.ndim == 2:
        return gain * slide(x, f, down)
    return gain * slide(slide(x, f[:, None]), f[None, :], down)


def width_of(f):
    """Returns the taps along x and y."""
    return (1, 1) if f is None else (f.shape[-1], f.shape[0])


def centred(f, up, down, padding):
    """Returns padding with which resampling keeps the middle where it is."""
    pads = list(four(padding))
    for axis, taps in enumerate(width_of(f)):
        u, d = pair(up)[axis], pair(down)[axis]
        low, high = 2 * axis, 2 * axis + 1
        if u > 1:
            pads[low], pads[high] = pads[low] + (taps + u - 1) // 2, pads[high] + (taps - u) // 2
        if d > 1:
            pads[low], pads[high] = (
                pads[low] + (taps - d + 1) // 2,
                pads[high] + (taps - d) // 2,
            )
    return tuple(pads)


def upsample(x, f, up=2, padding=0, flip_filter=False, gain=1):
    """Returns the map `up` times as large."""
    x_up, y_up = pair(up)
    return upfirdn(x, f, up, 1, centred(f, up, 1, padding), flip_filter, gain * x_up * y_up)


def downsample(x, f, down=2, padding=0, flip_filter=False, gain=1):
    """Returns the map smaller by `down`; with 1 the padding keeps its size."""
    pads = list(four(padding))
    for axis, taps in enumerate(width_of(f)):
        d = pair(down)[axis]
        pads[2 * axis] += (taps - d + 1) // 2
        pads[2 * axis + 1] += (taps - d) // 2
    return upfirdn(x, f, 1, down, tuple(pads), flip_filter, gain)


def filter2d(x, f, padding=0, flip_filter=False, gain=1):
    """Returns the filtered map."""
    return downsample(x, f, 1, padding, flip_filter, gain)


def convolve(x, w, groups=1):
    """Returns the correlation with kernels `o i kh kw`, one product per tap."""
    rows, columns = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    parts = []
    for xs, ws in zip(x.chunk(groups, 1), w.chunk(groups, 0), strict=True):
        taps = [
            torch.einsum("nihw,oi->nohw", xs[:, :, i : i + rows, j : j + columns], ws[:, :, i, j])
            for i in range(w.shape[2])
            for j in range(w.shape[3])
        ]
        parts.append(sum(taps))
    return torch.cat(parts, 1)


def conv_resample(x, w, f=None, up=1, down=1, padding=0, groups=1, flip_weight=True):
    """Returns the convolution of the up-sampled map, down-sampled."""
    w = w if flip_weight else torch.flip(w, [2, 3])
    x = upfirdn(x, f if up > 1 else None, up, 1, centred(f, up, down, padding), gain=up**2)
    y = convolve(x, w, groups)
    return upfirdn(y, f, 1, down) if down > 1 else y


ACTS = {
    "linear": (lambda x: x, 1.0),
    "relu": (lambda x: x.clamp(min=0), math.sqrt(2)),
    "lrelu": (lambda x: torch.where(x > 0, x, 0.2 * x), math.sqrt(2)),
    "tanh": (torch.tanh, 1.0),
    "sigmoid": (torch.sigmoid, 1.0),
    "elu": (F.elu, 1.0),
    "selu": (F.selu, 1.0),
    "softplus": (F.softplus, 1.0),
    "swish": (lambda x: x * torch.sigmoid(x), math.sqrt(2)),
}


def bias_act(x, b=None, act="linear", gain=None, clamp=None, dim=1, alpha=None):
    """Returns the activated sum, its gain and then its limits applied."""
    if b is not None:
        x = x + b.reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    function, own = ACTS[act]
    x = torch.where(x > 0, x, alpha * x) if alpha is not None else function(x)
    x = x * (own if gain is None else gain)
    return x if clamp is None else x.clamp(-clamp, clamp)


def modulated2(x, weight, styles, f=None, up=1, down=1, padding=0, demodulate=True, flip=True):
    """Returns StyleGAN2's modulated convolution: a weight for every sample."""
    outputs = []
    for one, style in zip(x, styles, strict=True):
        w = weight * style[None, :, None, None]
        if demodulate:
            w = w / (w.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        outputs.append(conv_resample(one[None], w, f, up, down, padding, flip_weight=flip))
    return torch.cat(outputs)


def modulated3(x, w, s, padding=0, demodulate=True, input_gain=None, second=None):
    """Returns StyleGAN3's modulated convolution, with StyleSV's `second` = (w1, w2, styles)."""
    terms = [(w, s)]
    if second is not None:
        w1, w2, t = second
        terms.append((sum(w1[:, r, None] * w2[None, r] for r in range(w1.shape[1])), t))
    each = 0
    for kernel, style in terms:
        if demodulate:
            kernel = kernel / (kernel.square().mean((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            style = style / (style.square().mean() + 1e-8).sqrt()
        kernels = kernel[None] * style[:, None, :, None, None]
        if demodulate:
            kernels = kernels / (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
        each = each + kernels
    if input_gain is not None:
        gain = input_gain.expand(len(x), x.shape[1])
        each = each * gain[:, None, :, None, None]
    x = F.pad(x, (padding,) * 4)
    return torch.cat([convolve(one[None], k) for one, k in zip(x, each, strict=True)])


def lowpass(numtaps, cutoff, width, fs, radial=False):
    """Returns the taps of a Kaiser low-pass filter; None if there is but one."""
    if numtaps == 1:
        return None
    if not radial:
        return torch.as_tensor(signal.firwin(numtaps, cutoff, width=width, fs=fs))
    x = (np.arange(numtaps) - (numtaps - 1) / 2) / fs
    r = np.pi * np.hypot(x[:, None], x[None, :])
    jinc = special.j1(2 * cutoff * r) / r
    beta = signal.kaiser_beta(signal.kaiser_atten(numtaps, width / (fs / 2)))
    taps = jinc * np.outer(np.kaiser(numtaps, beta), np.kaiser(numtaps, beta))
    return torch.as_tensor(taps / taps.sum())


def filtered_lrelu(
    x, fu=None, fd=None, b=None, up=1, down=1, padding=0, gain=SQRT2, slope=0.2,
    clamp=None, flip_filter=False,
):  # fmt: skip
    """Returns the map up-sampled, activated, limited and down-sampled."""
    x = bias_act(x, b)
    x = upfirdn(x, fu, up, 1, padding, flip_filter, up**2)
    x = gain * torch.where(x > 0, x, slope * x)
    x = x if clamp is None else x.clamp(-clamp, clamp)
    return upfirdn(x, fd, 1, down, 0, flip_filter)
