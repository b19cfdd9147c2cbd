"""Mapping network: from latents and conditions to styles."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.equalized import EqualLinear
from vgbench.nn.processes import process_mean


def normalize_2nd_moment(x: Float[Tensor, "n d"], eps: float = 1e-8) -> Float[Tensor, "n d"]:
    """Returns the rows of `x` scaled to a mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class MappingNetwork(nn.Module):
    """Maps latents z, a condition c, or both, to styles w.

    Both inputs are normalised to unit mean square, the condition after a linear embedding, joined
    and passed through layers with leaky ReLU.

    Source: StyleGAN2 (CVPR 2020); NVlabs/stylegan2-ada-pytorch `training/networks.py`, whose
    parameter names these are (`embed`, `fc0`, `fc1`, ..., `w_avg`).

    Args:
        z_dim: Numbers per latent; 0 for none.
        c_dim: Numbers per condition; 0 for none.
        w_dim: Numbers per style.
        num_layers: Layers after the embedding.
        lr_mult: Factor of their learning rate.
        w_avg_beta: Share of the old average in each update of `w_avg`; None for no average.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        num_layers: int = 8,
        lr_mult: float = 0.01,
        w_avg_beta: float | None = None,
    ) -> None:
        super().__init__()
        self.num_layers, self.w_avg_beta = num_layers, w_avg_beta
        self.embed = EqualLinear(c_dim, w_dim) if c_dim else None
        width = z_dim + (w_dim if c_dim else 0)
        for i in range(num_layers):
            layer = EqualLinear(width, w_dim, act="lrelu", lr_mult=lr_mult)
            self.add_module(f"fc{i}", layer)
            width = w_dim
        if w_avg_beta is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self,
        z: Float[Tensor, "n z"] | None,
        c: Float[Tensor, "n c"] | None = None,
        truncation_psi: float = 1.0,
    ) -> Float[Tensor, "n w"]:
        """Returns styles, `w_avg + truncation_psi * (w - w_avg)`.

        Args:
            z: Latents, standard normal; None for a network without.
            c: Conditions; looked at only by a network that has them.
            truncation_psi: 1 for the styles themselves, less for more typical ones.
        """
        parts = [] if z is None else [normalize_2nd_moment(z)]
        if self.embed is not None:
            parts.append(normalize_2nd_moment(self.embed(c)))
        w = torch.cat(parts, dim=1)
        for i in range(self.num_layers):
            w = self.get_submodule(f"fc{i}")(w)
        return w if truncation_psi == 1 else torch.lerp(self.w_avg, w, truncation_psi)

    @torch.no_grad()
    def update_average(self, w: Float[Tensor, "n w"]) -> None:
        """Moves `w_avg` towards the mean of a batch of styles; called once per training step."""
        assert self.w_avg_beta is not None
        mean = process_mean(w.detach().to(self.w_avg.dtype).mean(dim=0))
        self.w_avg.copy_(torch.lerp(mean, self.w_avg, self.w_avg_beta))
