"""Plain definitions of the StyleGAN layers: zeros inserted, a weight for every sample."""

import torch
import torch.nn.functional as F
from einops import rearrange


def upfirdn(x, f, up=1, down=1, padding=0, flip_filter=False, gain=1.0):
    """Inserts zeros, pads or crops, convolves with the whole 2-D filter, keeps every `down`-th."""
    up, down = (v if isinstance(v, tuple) else (v, v) for v in (up, down))
    padding = (padding,) * 4 if isinstance(padding, int) else padding
    n, c, h, w = x.shape
    f = x.new_ones(1, 1) if f is None else torch.outer(f, f) if f.ndim == 1 else f
    wide = x.new_zeros(n, c, h, up[1], w, up[0])
    wide[:, :, :, 0, :, 0] = x
    wide = F.pad(wide.reshape(n, c, h * up[1], w * up[0]), padding)
    weight = (f if flip_filter else f.flip((0, 1))) * gain
    y = F.conv2d(wide, weight.expand(c, 1, -1, -1), groups=c)
    return y[:, :, :: down[1], :: down[0]]


def centred(padding, taps, up, down):
    """Padding of a resampling that keeps the centre where it is."""
    low, high = padding, padding
    if up > 1:
        low, high = low + (taps + up - 1) // 2, high + (taps - up) // 2
    if down > 1:
        low, high = low + (taps - down + 1) // 2, high + (taps - down) // 2
    return (low, high, low, high)


def conv_resample(x, weight, f, up=1, down=1, padding=0, groups=1, flip_weight=True):
    """Up-samples, convolves at the full rate, down-samples."""
    pads = centred(padding, 1 if f is None else len(f), up, down)
    x = upfirdn(x, f if up > 1 else None, up=up, padding=pads, gain=up**2)
    y = F.conv2d(x, weight if flip_weight else weight.flip((2, 3)), groups=groups)
    return upfirdn(y, f, down=down) if down > 1 else y


def per_sample_conv(x, weights, padding):
    """Convolves each sample with its own weight `[n, o, i, k, k]`, as one grouped convolution."""
    y = F.conv2d(
        rearrange(x, "n i h w -> 1 (n i) h w"),
        rearrange(weights, "n o i kh kw -> (n o) i kh kw"),
        padding=padding,
        groups=len(x),
    )
    return rearrange(y, "1 (n o) h w -> n o h w", n=len(x))


def modulated(weight, styles, demodulate=True, eps=1e-8):
    """The weight of each sample in StyleGAN2."""
    w = weight * styles[:, None, :, None, None]
    return w * (w.square().sum((2, 3, 4), keepdim=True) + eps).rsqrt() if demodulate else w


def normalized_modulated(weight, styles, demodulate=True):
    """The weight of each sample in StyleGAN3."""
    if demodulate:
        weight = weight * weight.square().mean((1, 2, 3), keepdim=True).rsqrt()
        styles = styles * styles.square().mean().rsqrt()
    return modulated(weight, styles, demodulate)


def filtered_lrelu(x, b, resampling, gain, slope, clamp):
    """Every step of the alias-free activation by itself."""
    x = x + b[:, None, None]
    x = upfirdn(
        x, resampling.up_filter, up=resampling.up, padding=resampling.padding, gain=resampling.up**2
    )
    x = F.leaky_relu(x, slope) * gain
    x = x if clamp is None else x.clamp(-clamp, clamp)
    return upfirdn(x, resampling.down_filter, down=resampling.down)
