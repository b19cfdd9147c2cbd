"""One training step of the temporal networks, on latents alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from vgbench.models.stylevideogan.critic import Critic
from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.losses import (
    GradientAngle,
    between,
    clip_gradient_norms,
    gradient_penalty,
    wgan_critic_loss,
)
from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions, TrainingOptions
from vgbench.nn.noise import GeneratorLike, normal, uniform

Descend = Callable[[Tensor, Optimizer, str], None]


class Noise(NamedTuple):
    """Every random number of one step of one network, for b clips.

    Attributes:
        first: First codes.
        motion: Motion codes.
        mix: Where between fake and real the critic's gradient is penalised, uniform in [0, 1].
    """

    first: Float[Tensor, "b z"]
    motion: Float[Tensor, "b k z"]
    mix: Float[Tensor, " b"]


def draw_noise(
    n: int, frames: int, z_dim: int, source: GeneratorLike, device: torch.device
) -> Noise:
    """Returns the noise of `n` clips of `frames` frames.

    Args:
        n: Number of clips.
        frames: Frames per clip.
        z_dim: Numbers per code.
        source: Source of all numbers; with a sequence of `n`, clip i depends on generator i alone.
        device: Where the result lies.
    """
    codes = normal(n, (frames, z_dim), source, device)
    return Noise(codes[:, 0], codes[:, 1:], uniform(n, (), source, device))


@dataclass(frozen=True)
class TemporalGAN:
    """Generator, critic and gradient angle, and how they are trained.

    Source: StyleVideoGAN (BMVC 2021), sections 3 and 4.

    Attributes:
        generator: The recurrent generator.
        critic: The critic.
        angle: The gradient angle.
        options: Options of training.
    """

    generator: Generator
    critic: Critic
    angle: GradientAngle
    options: TrainingOptions

    @classmethod
    def build(
        cls,
        num_ws: int,
        w_dim: int,
        generator: GeneratorOptions,
        critic: CriticOptions,
        options: TrainingOptions,
    ) -> "TemporalGAN":
        """Returns untrained networks.

        Args:
            num_ws: Style vectors per frame.
            w_dim: Numbers per style vector.
            generator: Options of the generator.
            critic: Options of the critic.
            options: Options of training.
        """
        return cls(
            Generator(generator, num_ws, w_dim),
            Critic(critic, num_ws, w_dim, options.frames),
            GradientAngle(
                generator.z_dim, options.angle_decay, options.angle_warmup, options.angle_reduce
            ),
            options,
        )

    def configure_optimizers(self) -> tuple[Adam, Adam]:
        """Returns the optimisers of the critic and of the generator."""
        lr, betas = self.options.lr, (self.options.betas[0], self.options.betas[1])
        critic = Adam(self.critic.parameters(), lr, betas)
        return critic, Adam(self.generator.parameters(), lr, betas)

    def train_clips(
        self,
        real: Float[Tensor, "b t l d"],
        step: int,
        noise: Callable[[str], Noise],
        optimizers: Sequence[Optimizer],
        descend: Descend,
    ) -> dict[str, Tensor]:
        """Makes a step of the critic and, after every `critic_steps` of them, of the generator.

        Args:
            real: W+ latents of training clips.
            step: Batches before this one, the only clock.
            noise: Returns the noise of a named stream, `critic` or `generator`, for as many clips.
            optimizers: Those of `configure_optimizers`, in its order.
            descend: Makes an optimiser step on a loss of a name.

        Returns:
            Scalars to log; those of the generator after its own steps only.
        """
        loss, scalars = self.critic_loss(self.generator.scale.standardize(real), noise("critic"))
        descend(loss, optimizers[0], "critic")
        turn = self.options.generator_turn(step)
        if turn is not None:
            factor = self.options.angle_factor(turn)
            loss, found = self.generator_loss(noise("generator"), factor)
            descend(loss, optimizers[1], "generator")
            scalars |= found
        return {name: value.detach() for name, value in scalars.items()}

    def critic_loss(
        self, real: Float[Tensor, "b t l d"], noise: Noise
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the critic's loss and its parts.

        Args:
            real: Standardised latents.
            noise: Noise of as many clips.
        """
        with torch.no_grad():
            fake = self.generator(noise.first, noise.motion)
        scores = self.critic(torch.cat((real, fake)))
        adversarial = wgan_critic_loss(*scores.chunk(2))
        norms = clip_gradient_norms(self.critic, between(real, fake, noise.mix))
        penalty = gradient_penalty(norms)
        parts = {
            "wasserstein": -adversarial,
            "gradient_penalty": penalty,
            "gradient_norm": norms.mean(),
        }
        return adversarial + self.options.gp_weight * penalty, parts

    def generator_loss(self, noise: Noise, factor: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the generator's loss and its parts; the critic's weights get no gradient.

        Args:
            noise: Noise of the clips.
            factor: Weight of the gradient angle penalty; 0 leaves it out.
        """
        first, motion = (x.detach().requires_grad_(factor > 0) for x in noise[:2])
        codes = self.generator.codes(first, motion)
        with _frozen(self.critic):
            loss = -self.critic(self.generator.latents(codes)).mean()
        parts = {"generator": loss}
        if factor > 0:
            angle = self.angle(codes, first, motion)
            penalty = angle.penalty.mean()
            loss = loss + factor * penalty
            parts |= {
                "angle_penalty": penalty,
                "phi": angle.phi.mean(),
                "displacement": angle.distance.mean(),
            }
        return loss, parts


@contextmanager
def _frozen(network: nn.Module) -> Iterator[None]:
    """Spares the gradients of parameters that the loss inside does not update."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
