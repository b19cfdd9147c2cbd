"""Options of StyleVideoGAN's parts; importing this module does not import torch."""

from dataclasses import dataclass
from typing import Any, ClassVar

from vgbench.errors import UsageError

HEADS = ("linear", "lrelu_bn")
LATENT_NORMS = ("per_dim", "none")
REDUCTIONS = ("fro", "mean")


@dataclass(frozen=True)
class GeneratorOptions:
    """The recurrent generator of W+ sequences; the defaults are the paper's where it says.

    Source: "StyleVideoGAN: A Temporal Generative Model using a Pretrained StyleGAN" (BMVC 2021),
    section 3; widths from JCBrouwer/self-supervised-audio-reactive, an unofficial version, as the
    authors published no code.
    Deviates: `head=linear`, the affine maps of the paper, where the unofficial version has
    `lrelu_bn`; `latent_norm=per_dim` where it has none, so that weights of losses and learning
    rates do not depend on the encoder's scale; `slope=0.2` where it has 0.01.

    Attributes:
        z_dim: Numbers of the first code, of each motion code and of each cell's memory.
        layers: Stacked GRU cells; the last one's memory starts as the first code.
        memory_widths: Hidden widths of the network that makes the other cells' first memories.
        trunk_widths: Hidden widths of the network between recurrence and heads.
        head: Maps to the style vectors: `linear`, or `lrelu_bn` with leaky ReLU and batch norm.
        slope: Slope of the leaky ReLUs.
        latent_norm: Whether latents are standardised over the training set (`per_dim`) or raw
            (`none`).
        norm_std: Spread of the first scales of batch norms around 1.
    """

    z_dim: int = 32
    layers: int = 4
    memory_widths: tuple[int, ...] = (64, 64, 96)
    trunk_widths: tuple[int, ...] = (64, 128, 256)
    head: str = "linear"
    slope: float = 0.2
    latent_norm: str = "per_dim"
    norm_std: float = 0.02

    group: ClassVar[str] = "generator"

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        _widths(self, "memory_widths", "trunk_widths")
        _at_least(self, 1, "z_dim")
        _at_least(self, 2, "layers")
        _at_least(self, 0, "slope", "norm_std")
        _one_of(self, "head", HEADS)
        _one_of(self, "latent_norm", LATENT_NORMS)


@dataclass(frozen=True)
class CriticOptions:
    """The critic: an embedding of each frame, then convolutions over time.

    Source: the paper's section 3 for the structure, the unofficial version for the widths.
    Deviates: no tanh at the end, with which the distance of the two sides would be bounded.

    Attributes:
        embed_widths: Hidden widths of the embedding; empty halves the input five times. The first
            halving holds most of the critic's weights: on a CPU, give smaller widths.
        embed_dim: Numbers per embedded frame.
        conv_channels: Channels of the convolutions over time, each of stride 2.
        kernel: Frames that a convolution sees; odd.
        slope: Slope of the leaky ReLUs.
        conv_std: Standard deviation of the convolutions' first weights.
    """

    embed_widths: tuple[int, ...] = ()
    embed_dim: int = 32
    conv_channels: tuple[int, ...] = (64, 128)
    kernel: int = 5
    slope: float = 0.2
    conv_std: float = 0.02

    group: ClassVar[str] = "critic"

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        _widths(self, "embed_widths", "conv_channels")
        _at_least(self, 1, "embed_dim", "kernel")
        _at_least(self, 0, "slope", "conv_std")
        _require(self, "kernel", self.kernel % 2 == 1, "expected an odd number of frames")

    def widths(self, inputs: int) -> tuple[int, ...]:
        """Returns the widths of the embedding of a frame of `inputs` numbers, both ends included.

        Args:
            inputs: Style vectors per frame times numbers per vector.
        """
        halved = tuple(max(inputs >> k, self.embed_dim) for k in range(1, 6))
        return (inputs, *(self.embed_widths or halved), self.embed_dim)


@dataclass(frozen=True)
class TrainingOptions:
    """The objective and its optimisers.

    Source: the paper's sections 3 and 4 for the losses and the clip length; all numbers but
    `frames` from the unofficial version.

    Attributes:
        frames: Frames of a training clip.
        critic_steps: Steps of the critic per step of the generator, each on clips of its own.
        lr: Learning rate of both networks.
        betas: Adam's decays of the moments.
        gp_weight: Weight of the gradient penalty of the critic (WGAN-GP); 10 is the usual one.
        angle_weight: Weight of the gradient angle penalty; 0 trains without it.
        angle_interval: The penalty is applied to every so many-th generator step, with as many
            times its weight.
        angle_reduce: Norm of the gradient by the motion codes: over all steps together (`fro`), or
            the mean of each step's.
        angle_decay: Share of the old mean and variance of displacements in each update.
        angle_warmup: Whether this share grows from 1/10 over the first updates.
        ema_kclips: Half-life of the averaged generator in thousands of clips shown to the critic;
            22 is a share of 0.995 per generator step at 32 clips and 5 critic steps.
    """

    frames: int = 25
    critic_steps: int = 5
    lr: float = 1e-4
    betas: tuple[float, ...] = (0.5, 0.999)
    gp_weight: float = 50.0
    angle_weight: float = 100.0
    angle_interval: int = 1
    angle_reduce: str = "fro"
    angle_decay: float = 0.995
    angle_warmup: bool = False
    ema_kclips: float = 22.0

    group: ClassVar[str] = "training"

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        _at_least(self, 2, "frames")
        _at_least(self, 1, "critic_steps", "angle_interval")
        _at_least(self, 0, "gp_weight", "angle_weight", "ema_kclips")
        _one_of(self, "angle_reduce", REDUCTIONS)
        _require(self, "lr", self.lr > 0, "expected a float > 0, e.g. 1e-4")
        decays = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require(self, "betas", decays, "expected two floats in [0, 1), e.g. [0.5,0.999]")
        _require(self, "angle_decay", 0 <= self.angle_decay < 1, "expected a float in [0, 1)")

    def generator_turn(self, step: int) -> int | None:
        """Returns which step of the generator follows step `step` of the critic; None for none.

        Args:
            step: Steps of the critic before this one.
        """
        turn, left = divmod(step + 1, self.critic_steps)
        return None if left else turn - 1

    def angle_factor(self, turn: int) -> float:
        """Returns the weight of the angle penalty in generator step `turn`; 0 for none."""
        return 0.0 if turn % self.angle_interval else self.angle_weight * self.angle_interval


@dataclass(frozen=True)
class IdentityOptions:
    """The backend without networks: latents are the coarsest cosines of a picture, rotated.

    Attributes:
        num_ws: Style vectors per picture.
        w_dim: Numbers per style vector; all of a picture's together are at most its pixels.
        seed: Seed of the rotation.
    """

    num_ws: int = 8
    w_dim: int = 64
    seed: int = 0

    group: ClassVar[str] = "identity"

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        _at_least(self, 1, "num_ws", "w_dim")


@dataclass(frozen=True)
class OffsetOptions:
    """The offset trick: the directions of the training latents that a model keeps for it.

    Attributes:
        max_rank: Directions that are kept.
        explained: Share of the variance that those explain which an offset leaves alone, if it
            does not say how many.
    """

    max_rank: int = 32
    explained: float = 0.95

    group: ClassVar[str] = "offset"

    def __post_init__(self) -> None:
        """Checks every option.

        Raises:
            UsageError: If a value is not accepted; names the option, the value and what is.
        """
        _at_least(self, 1, "max_rank")
        _require(self, "explained", 0 < self.explained <= 1, "expected a float in (0, 1]")


def _widths(options: Any, *names: str) -> None:
    for name in names:
        positive = all(width >= 1 for width in getattr(options, name))
        _require(options, name, positive, "expected integers >= 1, e.g. [64,128]")


def _at_least(options: Any, least: int, *names: str) -> None:
    for name in names:
        _require(options, name, getattr(options, name) >= least, f"expected a number >= {least}")


def _one_of(options: Any, name: str, accepted: tuple[str, ...]) -> None:
    expected = f"expected one of {', '.join(accepted)}"
    _require(options, name, getattr(options, name) in accepted, expected)


def _require(options: Any, name: str, accepted: bool, expected: str) -> None:
    if not accepted:
        value = getattr(options, name)
        raise UsageError(f"model.{options.group}.{name}={value}: {expected}")
