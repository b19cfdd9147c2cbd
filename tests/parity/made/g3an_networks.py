"""G3AN once more, layer by layer with torch's own 3-D modules, on `b c t h w` maps.

Shares nothing with `vgbench.models.g3an`; its state-dict names are those of the published code.
"""

import math

import torch
from torch import nn
from torch.nn.utils import spectral_norm

LEAK = 0.2
UNFOLD, DOUBLE, POINT = (4, 1, 0), (4, 2, 1), (1, 1, 0)  # kernel, stride, padding


def widths(size, ch):
    """Returns the generator's channels from 4x4 maps up to `size`."""
    blocks = int(math.log2(size)) - 1
    return [ch * k for k in [8] * (blocks - 5) + [8, 8, 4, 2, 1][:blocks]]


def up(c_in, c_out, *scales):
    """Returns transposed convolution, norm and ReLU for each (time, space)."""
    layers = []
    for time, space in scales:
        kernel, stride, padding = zip(time, space, space, strict=True)
        conv = nn.ConvTranspose3d(c_in, c_out, kernel, stride, padding)
        layers += [spectral_norm(conv), nn.BatchNorm3d(c_out), nn.ReLU()]
        c_in = c_out
    return nn.Sequential(*layers)


class Block(nn.Module):
    """G3 module."""

    def __init__(self, c_s, c_v, c_t, width, time, space, mode):
        super().__init__()
        both = {
            "1p2d": [(time, POINT), (POINT, space)],
            "2p1d": [(POINT, space), (time, POINT)],
            "3d": [(time, space)],
        }
        self.conv_v = up(c_v, width, *both[mode])
        self.conv_s = up(c_s, width, (POINT, space))
        self.conv_t = up(c_t, width, (time, POINT))

    def forward(self, s, v, t):
        s, v, t = self.conv_s(s), self.conv_v(v), self.conv_t(t)
        return s, torch.cat([s.expand_as(v), v + t], dim=1), t


class Attention(nn.Module):
    """Self-attention with explicit score maps; `scrambled` reads memory as the release does."""

    def __init__(self, channels, over_time, scrambled):
        super().__init__()
        self.over_time, self.scrambled = over_time, scrambled
        self.q_conv = spectral_norm(nn.Conv3d(channels, channels // 8, 1))
        self.k_conv = spectral_norm(nn.Conv3d(channels, channels // 8, 1))
        self.v_conv = spectral_norm(nn.Conv3d(channels, channels, 1))
        self.gamma = nn.Parameter(torch.zeros(1))

    def tokens(self, x):
        if self.over_time:
            return x.permute(0, 3, 4, 2, 1).flatten(0, 2)
        return x.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)

    def forward(self, x):
        b, c, t, h, w = x.shape
        q, k, v = (self.tokens(conv(x)) for conv in (self.q_conv, self.k_conv, self.v_conv))
        out = (torch.softmax(q @ k.mT, dim=-1) @ v).contiguous()
        if self.scrambled:
            out = out.view(b, h, w, c, t).permute(0, 3, 4, 1, 2)
        elif self.over_time:
            out = out.view(b, h, w, t, c).permute(0, 4, 3, 1, 2)
        else:
            out = out.view(b, t, h, w, c).permute(0, 4, 1, 2, 3)
        return x + self.gamma * out


def attention(channels, scrambled):
    """Returns F-SA."""
    fsa = nn.Sequential()
    fsa.add_module("tsa", Attention(channels, True, scrambled))
    fsa.add_module("ssa", Attention(channels, False, scrambled))
    return fsa


class Generator(nn.Module):
    """Generator of `size` x `size` videos with F-SA, if any, after the fourth block."""

    def __init__(self, c_a, c_m, ch, size, mode, use_attention):
        super().__init__()
        c_s, c_v, c_t = c_a, c_a + c_m, c_m
        self.blocks = []
        for i, width in enumerate(widths(size, ch)):
            time = UNFOLD if i == 0 else DOUBLE if i < 3 else POINT
            block = Block(c_s, c_v, c_t, width, time, DOUBLE if i else UNFOLD, mode)
            self.add_module(f"block{i + 1}", block)
            self.blocks.append(f"block{i + 1}")
            c_s, c_v, c_t = width, 2 * width, width
        if use_attention:
            self.fsa = attention(2 * widths(size, ch)[3], scrambled=True)
        self.to_rgb = nn.Sequential(nn.Conv3d(c_v, 3, (1, 3, 3), padding=(0, 1, 1)), nn.Tanh())

    def forward(self, za, zm):
        """Returns videos of codes `b a 1 1 1` and `b m l 1 1`."""
        s, v, t = za, torch.cat([za.expand(-1, -1, zm.shape[2], -1, -1), zm], dim=1), zm
        for name in self.blocks:
            s, v, t = self.get_submodule(name)(s, v, t)
            if name == "block4" and hasattr(self, "fsa"):
                v = self.fsa(v)
        return self.to_rgb(v)


class Discriminator(nn.Module):
    """Convolutions with leaky ReLU between them."""

    def __init__(self, convs):
        super().__init__()
        pairs = [(spectral_norm(conv), nn.LeakyReLU(LEAK)) for conv in convs]
        self.net = nn.Sequential(*[layer for pair in pairs for layer in pair][:-1])

    def forward(self, x):
        """Returns one logit per sample."""
        logits = self.net(x)
        assert logits.numel() == len(x)
        return logits.flatten()


def stages(size, ch):
    """Returns (channels in, channels out) of the stages that halve maps down to 4x4."""
    outs = [ch * min(2**i, 8) for i in range(int(math.log2(size)) - 2)]
    return list(zip([3, *outs[:-1]], outs, strict=True))


def video_discriminator(size, frames, ch):
    """Returns D_V; four stages take in time, and the last kernel what is left of it."""
    convs = []
    for i, (c_in, c_out) in enumerate(stages(size, ch)):
        convs.append(nn.Conv3d(c_in, c_out, (1, 4, 4), (1, 2, 2), (0, 1, 1)))
        if i < 4:
            convs.append(nn.Conv3d(c_out, c_out, (4, 1, 1)))
            frames -= 3
    convs += [nn.Conv3d(c_out, c_out, (1, 4, 4)), nn.Conv3d(c_out, 1, (frames, 1, 1))]
    return Discriminator(convs)


def image_discriminator(size, ch):
    """Returns D_I."""
    pairs = stages(size, ch)
    convs = [nn.Conv2d(c_in, c_out, 4, 2, 1) for c_in, c_out in pairs]
    return Discriminator([*convs, nn.Conv2d(pairs[-1][1], 1, 4)])
