"""Gradient penalties of StyleGAN2 and the rule by which they are applied to some steps only."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.processes import process_mean


def r1_penalty(real: Float[Tensor, "n ..."], logits: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Returns the squared norm of the gradient of each logit by its sample.

    The loss of R1 is `gamma / 2` times its mean; for a mean over the frames of a clip, divide by
    their number.

    Args:
        real: Real samples, requiring a gradient.
        logits: Their logits.

    Source: "Which Training Methods for GANs do actually Converge?" (ICML 2018), equation 9.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1)


def path_lengths(
    images: Float[Tensor, "n c h w"], ws: Float[Tensor, "n l d"], noise: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """Returns how far each image moves, in a random direction, for a unit step of its styles.

    Args:
        images: Generated images.
        ws: Their styles, requiring a gradient.
        noise: The direction, standard normal.

    Source: StyleGAN2 (CVPR 2020), section 3.2.
    """
    pixels = math.prod(images.shape[2:])
    moved = (images * noise).sum() / math.sqrt(pixels)
    (gradient,) = torch.autograd.grad(moved, ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


class PathLengthPenalty(nn.Module):
    """Squared deviation of path lengths from their running mean.

    Args:
        decay: Share of the new lengths in each update of the mean.

    Attributes:
        mean: Running mean of the lengths; `[]`, part of the state.

    Source: StyleGAN2 (CVPR 2020), equation 4.
    """

    mean: Tensor

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        self.decay = decay
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, lengths: Float[Tensor, " n"]) -> Float[Tensor, ""]:
        """Returns the mean penalty and moves the mean towards these lengths."""
        mean = process_mean(lengths.detach().mean())
        self.mean.copy_(torch.lerp(self.mean, mean, self.decay))
        return (lengths - self.mean).square().mean()


class LazyAdam(NamedTuple):
    """Adam's settings when one of its losses is applied to some steps only.

    Attributes:
        lr: Learning rate.
        betas: Decays of the moments.
    """

    lr: float
    betas: tuple[float, float]


def lazy_adam(lr: float, betas: Sequence[float], interval: int) -> LazyAdam:
    """Returns settings under which an extra step every `interval` ones changes no time scale.

    The regulariser is applied every `interval`-th step, with `interval` times its weight.

    Source: StyleGAN2 (CVPR 2020), section 3.1 (lazy regularisation), appendix B.
    """
    ratio = interval / (interval + 1)
    return LazyAdam(lr * ratio, (betas[0] ** ratio, betas[1] ** ratio))
