"""How all models of the StyleGAN family are trained."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer

from vgbench.errors import DataError, UsageError
from vgbench.losses.adversarial import logistic_d_loss, logistic_g_loss
from vgbench.losses.regularizers import (
    LazyAdam,
    PathLengthPenalty,
    lazy_adam,
    path_lengths,
    r1_penalty,
)
from vgbench.models.base import Clips, VideoGAN
from vgbench.models.style_config import StyleGANConfig
from vgbench.nn.augment import AdaptiveAugmentation, Augmentation
from vgbench.nn.ema import WeightAverage
from vgbench.nn.frozen import frozen
from vgbench.nn.noise import GeneratorLike, normal, uniform
from vgbench.nn.processes import process_mean
from vgbench.types import VideoSpec

# The path length penalty looks at one clip in so many (StyleGAN2).
_PATH_LENGTH_SHARE = 2
# Logits of a working discriminator are a few units large. Activations are clamped and Adam bounds
# every step, so a run that has gone astray never meets a NaN, only ever larger logits.
LOSS_LIMIT = 1000.0


class StyledImages(NamedTuple):
    """Generated images and the styles they were made from.

    Attributes:
        images: The images.
        ws: Their styles, part of the images' graph.
    """

    images: Float[Tensor, "n c h w"]
    ws: Float[Tensor, "n l d"]


class StyleGAN(VideoGAN):
    """Non-saturating logistic game with lazy R1, path lengths and adaptive augmentation.

    A method implements `clips`, `build_generator`, `build_discriminator`, `fakes`, `score` and
    `draw`, and `styled_images` if it can have the path length penalty.

    A step is: the generator on new fakes; every `pl_interval` steps its path length penalty; the
    discriminator on the real clips and on other new fakes; every `r1_interval` steps its R1. Which
    are due follows from `clips_seen`. Clip j of the run draws everything from streams of its own,
    named after what they are for: not batch size, processes or restarts matter.

    Source: StyleGAN2 (CVPR 2020), StyleGAN2-ADA (NeurIPS 2020); NVlabs/stylegan2-ada-pytorch
    `training/loss.py`, `training/training_loop.py`.
    Deviates: a gradient that is not finite stops the run, where the reference replaces it; running
    means of the generator move once per step, with the fakes that the discriminator sees.

    Args:
        config: Options of the method.
        spec: The videos to learn.
        seed: Seed of initialisation and training.

    Raises:
        UsageError: If the method has no networks for the videos.

    Attributes:
        discriminator: The trained discriminator.
        augment: What happens to clips before the discriminator sees them; None for nothing.
    """

    config: StyleGANConfig
    label_counts: Tensor

    def __init__(self, config: StyleGANConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        if spec.height != spec.width:
            raise UsageError(
                f"{type(self).__name__} has no networks for {spec.height}x{spec.width} videos; "
                "prepare square ones"
            )
        with self.seeded_init():
            self.generator = self.build_generator()
            self.discriminator = self.build_discriminator()
        if config.ema_kclips:
            average = WeightAverage(self.generator, config.ema_kclips, config.ema_rampup)
            self.generator_ema = average
        self.augment = _augmentation(config)
        self.path_length = PathLengthPenalty() if config.pl_weight else None
        if config.c_dim:
            self.register_buffer("label_counts", torch.zeros(config.c_dim, dtype=torch.int64))

    # What a method implements.

    @abstractmethod
    def build_generator(self) -> nn.Module:
        """Returns the untrained generator for `self.config` and `self.spec`; called once."""

    @abstractmethod
    def build_discriminator(self) -> nn.Module:
        """Returns the untrained discriminator; called once, after `build_generator`."""

    @abstractmethod
    def fakes(
        self, like: Clips, generators: Sequence[torch.Generator], update_emas: bool = False
    ) -> Clips:
        """Returns a clip of `self.generator` per real one, with the times and labels it is given.

        Args:
            like: Real clips; fakes take over their labels and, as the method pleases, their times.
            generators: One per clip: clip i depends on `generators[i]` alone.
            update_emas: Whether the generator's running means (mean style, magnitudes) take this
                batch into account.
        """

    @abstractmethod
    def score(self, clips: Clips) -> Float[Tensor, " b"]:
        """Returns the discriminator's logits of clips, which may be augmented."""

    def styled_images(self, like: Clips, generators: Sequence[torch.Generator]) -> StyledImages:
        """Returns images of `self.generator` with their styles, for the path length penalty.

        Raises:
            UsageError: If the method has no such penalty.
        """
        raise UsageError(
            f"model.pl_weight={self.config.pl_weight:g}: {type(self).__name__} has no path length "
            "penalty; expected 0"
        )

    # Training.

    def configure_optimizers(self) -> list[Optimizer]:
        """Returns Adam for the generator and for the discriminator, in this order."""
        config = self.config
        lazy = config.r1_interval if self._has_r1 else 0
        return [
            _adam(self.generator, config, config.lr_g, config.pl_interval),
            _adam(self.discriminator, config, config.lr_d, lazy),
        ]

    @property
    def _has_r1(self) -> bool:
        return self.config.r1_gamma > 0

    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes the steps that are due; see `StyleGAN`.

        Returns:
            Losses of generator and discriminator (`g`, `d`), the mean sign of real logits
            (`real_sign`), the probability of augmentation (`augment`) if there is one, and after
            their steps the penalties `r1` (before its weight) and `pl`, with the mean length
            (`pl_length`).
        """
        of_generator, of_discriminator = optimizers
        config, step = self.config, self.steps_done(len(real.video))
        if config.c_dim:
            self._count_labels(real.labels)
        with frozen(self.discriminator):
            scalars = self._train_generator(real, of_generator)
        if self.path_length is not None and step % config.pl_interval == 0:
            scalars |= self._even_out_paths(real, self.path_length, of_generator)
        scalars |= self._train_discriminator(real, of_discriminator)
        if self._has_r1 and step % config.r1_interval == 0:
            scalars |= self._flatten_discriminator(real, of_discriminator)
        if isinstance(self.augment, AdaptiveAugmentation) and (step + 1) % config.ada_interval == 0:
            self.augment.adapt()
        return scalars

    def steps_done(self, n: int) -> int:
        """Returns the steps made so far, of `n` clips in each process."""
        return self.clips_seen // (n * self.world_size)

    def _train_generator(self, real: Clips, optimizer: Optimizer) -> dict[str, Tensor]:
        fakes = self.fakes(real, self.clip_generators("fakes-g", len(real.video)))
        loss = logistic_g_loss(self._judged(fakes, "augment-g"))
        self.descend(loss, optimizer, "generator", LOSS_LIMIT)
        return {"g": loss.detach()}

    def _even_out_paths(
        self, real: Clips, penalty: PathLengthPenalty, optimizer: Optimizer
    ) -> dict[str, Tensor]:
        some = slice(None, None, _PATH_LENGTH_SHARE)
        like = Clips(*(part[some] for part in real))
        generators = self.clip_generators("path-length", len(real.video))[some]
        images, ws = self.styled_images(like, generators)
        noise = normal(len(images), images.shape[1:], generators, images.device)
        lengths = path_lengths(images, ws, noise)
        value = penalty(lengths)
        weight = self.config.pl_weight * self.config.pl_interval
        self.descend(weight * value, optimizer, "path length")
        return {"pl": value.detach(), "pl_length": penalty.mean.clone()}

    def _train_discriminator(self, real: Clips, optimizer: Optimizer) -> dict[str, Tensor]:
        n = len(real.video)
        with torch.no_grad():
            fakes = self.fakes(real, self.clip_generators("fakes-d", n), update_emas=True)
        real_logits = self._judged(real, "augment-real")
        loss = logistic_d_loss(real_logits, self._judged(fakes, "augment-fake"))
        self.descend(loss, optimizer, "discriminator", LOSS_LIMIT)
        sign = process_mean(real_logits.detach().sign().mean())
        scalars = {"d": loss.detach(), "real_sign": sign}
        if isinstance(self.augment, AdaptiveAugmentation):
            self.augment.observe(sign, n * self.world_size)
        if self.augment is not None:
            scalars["augment"] = self.augment.strength.clone()
        return scalars

    def _flatten_discriminator(self, real: Clips, optimizer: Optimizer) -> dict[str, Tensor]:
        video = real.video.detach().requires_grad_()
        logits = self._judged(real._replace(video=video), "augment-r1")
        penalty = r1_penalty(video, logits).mean() / video.shape[2]
        weight = self.config.r1_gamma / 2 * self.config.r1_interval
        self.descend(weight * penalty, optimizer, "R1")
        return {"r1": penalty.detach()}

    def _judged(self, clips: Clips, stream: str) -> Float[Tensor, " b"]:
        """The logits of clips that were augmented with draws of `stream`."""
        if self.augment is None:
            return self.score(clips)
        video = self.augment(clips.video, self.clip_generators(stream, len(clips.video)))
        return self.score(clips._replace(video=video))

    # Labels.

    def class_codes(self, labels: Int[Tensor, " b"]) -> Float[Tensor, "b k"] | None:
        """Returns the one-hot codes of classes; None for a model without classes.

        Raises:
            DataError: If a label is not one of the model's classes.
        """
        classes = self.config.c_dim
        if not classes:
            return None
        if bool(((labels < 0) | (labels >= classes)).any()):
            raise DataError(
                f"labels {sorted(set(labels.tolist()))} are not all in 0..{classes - 1} "
                f"(-1: none); use data with {classes} classes or model.c_dim=0"
            )
        return F.one_hot(labels, classes).to(torch.float32)

    def draw_labels(self, n: int, generator: GeneratorLike) -> Int[Tensor, " n"]:
        """Returns classes as frequent as in the clips seen so far; -1 for a model without."""
        if not self.config.c_dim:
            return torch.full((n,), -1, device=self.device)
        counts = self.label_counts if self.label_counts.any() else self.label_counts + 1
        ends = (counts / counts.sum()).cumsum(0)[:-1]
        return torch.searchsorted(ends, uniform(n, (), generator, self.device), right=True)

    @torch.no_grad()
    def _count_labels(self, labels: Int[Tensor, " b"]) -> None:
        codes = self.class_codes(labels)
        assert codes is not None
        counts = process_mean(codes.sum(dim=0)) * self.world_size
        self.label_counts += counts.round().long()


def _augmentation(config: StyleGANConfig) -> Augmentation | None:
    if config.augment == "none":
        return None
    if config.augment == "fixed":
        return Augmentation(config.augment_strength)
    return AdaptiveAugmentation(config.augment_strength, config.ada_target, config.ada_kclips)


def _adam(network: nn.Module, config: StyleGANConfig, lr: float, interval: int) -> Optimizer:
    betas = (config.beta1, config.beta2)
    settings = lazy_adam(lr, betas, interval) if interval else LazyAdam(lr, betas)
    trained = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(trained, lr=settings.lr, betas=settings.betas, eps=1e-8)
