"""Objectives of StyleVideoGAN: WGAN-GP over whole clips and the gradient angle penalty."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

# Under the root of the distance, as a root has no gradient at zero; also the least spread.
_EPS = 1e-12


def wgan_critic_loss(real: Float[Tensor, " b"], fake: Float[Tensor, " b2"]) -> Float[Tensor, ""]:
    """Returns the negative of the Wasserstein distance that the critic sees.

    Source: "Wasserstein GAN" (ICML 2017), equation 2.
    """
    return fake.mean() - real.mean()


def clip_gradient_norms(
    critic: Callable[[Tensor], Tensor], clips: Float[Tensor, "b ..."]
) -> Float[Tensor, " b"]:
    """Returns the norm of the gradient of each clip's score by all numbers of the clip.

    Args:
        critic: Scores clips one by one.
        clips: Where the gradient is taken.
    """
    clips = clips.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(clips).sum(), clips, create_graph=True)
    norms: Tensor = gradient.flatten(1).norm(dim=1)
    return norms


def between(
    real: Float[Tensor, "b ..."], fake: Float[Tensor, "b ..."], mix: Float[Tensor, " b"]
) -> Float[Tensor, "b ..."]:
    """Returns points on the lines from fake clips (`mix` 0) to real ones (1).

    Args:
        real: Real clips.
        fake: As many generated ones.
        mix: Place of each point in [0, 1].
    """
    return torch.lerp(fake, real, mix.view(-1, *[1] * (real.ndim - 1)))


def gradient_penalty(norms: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """Returns the mean squared distance of gradient norms from 1.

    Source: "Improved Training of Wasserstein GANs" (NeurIPS 2017), equation 3.
    """
    return (norms - 1).square().mean()


class Angle(NamedTuple):
    """How much of the way from the first to the last frame each input decides, per clip.

    Attributes:
        distance: Length d of the standardised way.
        by_first: Norm a of its gradient by the first code.
        by_motion: Norm b of its gradient by the motion codes.
        phi: arctan(b / a) in [0, pi / 2]; near 0 only the first code matters.
    """

    distance: Float[Tensor, " b"]
    by_first: Float[Tensor, " b"]
    by_motion: Float[Tensor, " b"]
    phi: Float[Tensor, " b"]

    @property
    def penalty(self) -> Float[Tensor, " b"]:
        """The squared lack of phi to pi / 4, in [0, (pi / 4)^2]."""
        return (math.pi / 4 - self.phi).clamp_min(0).square()


class Standard(NamedTuple):
    """Mean and standard deviation of displacements, per dimension."""

    mean: Float[Tensor, " z"]
    std: Float[Tensor, " z"]


def gradient_angle(
    codes: Float[Tensor, "b t z"],
    first: Float[Tensor, "b z"],
    motion: Float[Tensor, "b k z"],
    standard: Standard,
    reduce: str = "fro",
) -> Angle:
    """Returns the gradient angle of clips, itself differentiable.

    The gradients are those of each clip's own distance; batch norm in the memory network adds
    terms of order 1 / b between the clips.

    Args:
        codes: Codes of the frames, a function of the two inputs.
        first: First codes, requiring a gradient.
        motion: Motion codes, requiring a gradient.
        standard: By what displacements are standardised; constants.
        reduce: `fro` for one norm over the motion codes of all steps, `mean` for the mean over
            the steps of each one's norm.

    Source: StyleVideoGAN (BMVC 2021), section 3 (gradient angle penalty).
    Deviates: atan2(b, a), which also knows the angle of a = 0.
    """
    way = (codes[:, -1] - codes[:, 0] - standard.mean) / standard.std
    distance = (way.square().sum(dim=1) + _EPS).sqrt()
    by_first, by_motion = torch.autograd.grad(distance.sum(), (first, motion), create_graph=True)
    a = by_first.norm(dim=1)
    b = by_motion.flatten(1).norm(dim=1) if reduce == "fro" else by_motion.norm(dim=2).mean(dim=1)
    return Angle(distance, a, b, torch.atan2(b, a))


class GradientAngle(nn.Module):
    """Gradient angle with displacements standardised by their running mean and variance.

    Args:
        z_dim: Numbers per code.
        decay: Share of the old statistics in each update.
        warmup: Whether this share grows from 1/10, as (1 + t) / (10 + t) after t updates.
        reduce: As of `gradient_angle`.
    """

    mean: Tensor
    var: Tensor
    updates: Tensor

    def __init__(
        self,
        z_dim: int,
        decay: float = 0.995,
        warmup: bool = False,
        reduce: str = "fro",
    ) -> None:
        super().__init__()
        self.decay, self.warmup, self.reduce = decay, warmup, reduce
        self.register_buffer("mean", torch.zeros(z_dim))
        self.register_buffer("var", torch.ones(z_dim))
        self.register_buffer("updates", torch.zeros(()))

    @property
    def standard(self) -> Standard:
        """The running statistics; a dimension that never moves counts as it is."""
        std = self.var.sqrt()
        return Standard(self.mean.clone(), torch.where(std > _EPS, std, 1.0))

    def forward(
        self,
        codes: Float[Tensor, "b t z"],
        first: Float[Tensor, "b z"],
        motion: Float[Tensor, "b k z"],
    ) -> Angle:
        """Returns the angle of clips; in training the statistics then follow these clips."""
        angle = gradient_angle(codes, first, motion, self.standard, self.reduce)
        if self.training:
            self._follow(codes.detach())
        return angle

    @torch.no_grad()
    def _follow(self, codes: Float[Tensor, "b t z"]) -> None:
        var, mean = torch.var_mean(codes[:, -1] - codes[:, 0], dim=0, correction=0)
        keep = torch.full_like(self.updates, self.decay)
        if self.warmup:
            keep = torch.minimum(keep, (1 + self.updates) / (10 + self.updates))
        # The variance of a mixture of the old distribution and the batch's.
        shift = mean - self.mean
        self.var.copy_(keep * (self.var + (1 - keep) * shift.square()) + (1 - keep) * var)
        self.mean.add_((1 - keep) * shift)
        self.updates.add_(1)
