"""Fourier features that an alias-free generator starts from."""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.equalized import EqualLinear


class FourierInput(nn.Module):
    """Sine waves over the plane, moved and turned by the style, then mixed.

    The frequencies are uniform on a disc, drawn once and saved, as are the phases. `transform` is
    a 3x3 matrix that users may set to move or turn the whole image.

    Source: "Alias-Free Generative Adversarial Networks" (StyleGAN3, NeurIPS 2021), appendix F;
    NVlabs/stylegan3 `training/networks_stylegan3.py`, whose state-dict names these are.

    Args:
        w_dim: Numbers per style.
        channels: Sine waves, and channels of the map.
        size: Width and height of the map in samples.
        sampling_rate: Samples per unit of length; the image is one unit wide.
        bandwidth: Highest frequency, in cycles per unit of length.
    """

    freqs: Tensor
    phases: Tensor
    transform: Tensor

    def __init__(
        self, w_dim: int, channels: int, size: int, sampling_rate: float, bandwidth: float
    ) -> None:
        super().__init__()
        self.size, self.sampling_rate, self.bandwidth = size, sampling_rate, bandwidth
        self.weight = nn.Parameter(torch.randn(channels, channels))
        # No rotation, no shift, whatever the style.
        self.affine = EqualLinear(w_dim, 4, weight_init=0.0, bias_init=(1.0, 0.0, 0.0, 0.0))
        direction = torch.randn(channels, 2)
        radius = direction.norm(dim=1, keepdim=True)
        # exp(-r^2 / 2) is uniform for a normal vector of length r; its root is a disc's radius.
        freqs = direction / radius * (-radius.square() / 4).exp() * bandwidth
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(channels) - 0.5)
        self.register_buffer("transform", torch.eye(3))

    def forward(self, w: Float[Tensor, "n w"]) -> Float[Tensor, "n c h h"]:
        """Returns the input map of each style."""
        transform = self._placement(w) @ self.transform
        phases = self.phases + (self.freqs @ transform[:, :2, 2:]).squeeze(2)
        freqs = self.freqs @ transform[:, :2, :2]
        # A stretching transform can push waves beyond what the samples can hold.
        excess = (freqs.norm(dim=2) - self.bandwidth) / (self.sampling_rate / 2 - self.bandwidth)
        amplitudes = (1 - excess).clamp(0, 1)
        waves = torch.sin(2 * math.pi * (self._grid(freqs) + phases[:, None]))
        mixing = self.weight / math.sqrt(len(self.weight))
        mixed = (waves * amplitudes[:, None]) @ mixing.t()
        features: Tensor = rearrange(mixed, "n (h w) c -> n c h w", h=self.size)
        return features

    def _placement(self, w: Tensor) -> Float[Tensor, "n 3 3"]:
        """The rotation and then the translation that the style asks for."""
        t = self.affine(w)
        cos, sin, x, y = (t / t[:, :2].norm(dim=1, keepdim=True)).unbind(dim=1)
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        rotation = _matrices([cos, -sin, zero, sin, cos, zero, zero, zero, one])
        return rotation @ _matrices([one, zero, -x, zero, one, -y, zero, zero, one])

    def _grid(self, freqs: Float[Tensor, "n c 2"]) -> Float[Tensor, "n hw c"]:
        """Cycles of each wave up to each sample; the centre of the map is the origin."""
        steps = torch.arange(self.size, device=freqs.device, dtype=freqs.dtype)
        along = (steps - (self.size - 1) / 2) / self.sampling_rate
        x, y = freqs[:, None, None, :, 0], freqs[:, None, None, :, 1]
        cycles = x * along[None, None, :, None] + y * along[None, :, None, None]
        return cycles.flatten(1, 2)


def _matrices(entries: list[Float[Tensor, " n"]]) -> Float[Tensor, "n 3 3"]:
    return rearrange(torch.stack(entries, dim=1), "n (r c) -> n r c", r=3)
