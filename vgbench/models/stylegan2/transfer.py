"""Finetuning StyleGAN2 so that its images take on another style and keep their content."""

import copy
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from vgbench.errors import UsageError
from vgbench.losses.adversarial import logistic_g_loss
from vgbench.losses.perceptual import DiscriminatorDistance
from vgbench.losses.trained import trained_distance
from vgbench.models.base import Clips
from vgbench.models.guided import Guided
from vgbench.models.image_stage import load_part
from vgbench.models.loss_config import DISCRIMINATOR
from vgbench.models.style_training import LOSS_LIMIT
from vgbench.models.stylegan2.generator import Generator
from vgbench.models.stylegan2.module import StyleGAN2Frames
from vgbench.models.stylegan2.transfer_config import StyleTransferConfig
from vgbench.types import VideoSpec


class StyleTransfer(StyleGAN2Frames, Guided):
    """An image GAN whose last layers learn from other images; see `StyleTransferConfig`.

    Styles mean to it what they meant before: it renders those that a video model made for the
    image GAN that it was finetuned from.

    Args:
        config: Options of the method.
        spec: The images to learn the style of.
        seed: Seed of initialisation and training.

    Raises:
        UsageError: If no layer would be trained.

    Attributes:
        parent: The image generator as it was.
        distances: Differences of images that hold them back, by the name of their loss.
    """

    config: StyleTransferConfig

    def __init__(self, config: StyleTransferConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        self.parent = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.distances = nn.ModuleDict()
        self._look_through_discriminator()

    def build_generator(self) -> Generator:
        """Returns the generator, of which only the last layers can be trained."""
        cut, size = self.config.finetune_from, self.spec.height
        if cut > size:
            raise UsageError(
                f"model.finetune_from={cut}: images of {size}x{size} have no such layers; "
                f"expected a power of two up to {size}"
            )
        generator = super().build_generator().requires_grad_(False)
        while cut <= size:
            generator.synthesis.get_submodule(f"b{cut}").requires_grad_(True)
            cut *= 2
        return generator

    def fakes(
        self, like: Clips, generators: Sequence[torch.Generator], update_emas: bool = False
    ) -> Clips:
        """Returns an image per real one; the mean style stays as it is."""
        return super().fakes(like, generators, update_emas=False)

    def _train_generator(self, real: Clips, optimizer: Optimizer) -> dict[str, Tensor]:
        n = len(real.video)
        ws = self._training_styles(real, self.clip_generators("fakes-g", n))
        images = self.images(self.generator, ws, self.clip_generators("noise-g", n))
        fakes = real._replace(video=images[:, :, None])
        losses = {"g": logistic_g_loss(self._judged(fakes, "augment-g"))}
        losses |= self._apart(images, ws)
        self.descend(torch.stack(list(losses.values())).sum(), optimizer, "generator", LOSS_LIMIT)
        return {name: loss.detach() for name, loss in losses.items()}

    def _apart(
        self, images: Float[Tensor, "n c h w"], ws: Float[Tensor, "n l d"]
    ) -> dict[str, Tensor]:
        """The differences from what these styles showed before, with the same noise."""
        weights = self.config.likeness
        if missing := sorted(weights.keys() - self.distances.keys()):
            raise UsageError(f"model.{missing[0]}={weights[missing[0]]:g} was given no network")
        with torch.no_grad():
            before = self.images(self.parent, ws, self.clip_generators("noise-g", len(ws)))
        return {
            name: weight * self.distances[name](images, before) for name, weight in weights.items()
        }

    def _look_through_discriminator(self) -> None:
        """Takes the discriminator as it is now for the difference in look, if that is its part."""
        if "perceptual" in self.config.likeness and self.config.perceptual_net == DISCRIMINATOR:
            self.distances["perceptual"] = DiscriminatorDistance(self.discriminator)

    def take_weights(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Takes the network of the perceptual loss, or that of the identity loss."""
        loss = "perceptual" if name == self.config.perceptual_net else "identity"
        self.distances[loss] = trained_distance(name, weights)

    def start_from(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """Starts from the image GAN of the stage `image`.

        Raises:
            CheckpointError: If it is another stage, or the weights do not fit.
        """
        if stage != "image":
            super().start_from(stage, weights)
        for network in (self.generator, self.parent):
            load_part(network, weights, "generator")
        if self.generator_ema is not None:
            load_part(self.generator_ema.network, weights, "generator")
        load_part(self.discriminator, weights, "discriminator")
        self._look_through_discriminator()
