"""Image GANs that are trained on single frames of videos; they draw videos of one frame."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.base import Clips
from vgbench.models.style_config import FramesConfig
from vgbench.models.style_training import StyledImages, StyleGAN
from vgbench.nn.noise import GeneratorLike, normal, uniform
from vgbench.nn.styled_generator import StyledGenerator, mixed
from vgbench.nn.stylegan2.image_discriminator import Discriminator
from vgbench.sampling import Image
from vgbench.types import SampleRequest


class FramesGAN(StyleGAN):
    """A style-based image GAN of the frames of videos, with style mixing.

    A method implements `build_generator` and `images`.

    Source: StyleGAN2 (CVPR 2020), StyleGAN3 (NeurIPS 2021).
    Deviates: where styles are mixed is drawn per image instead of per batch.

    Args:
        config: Options of the method.
        spec: The videos to learn.
        seed: Seed of initialisation and training.

    Raises:
        UsageError: If the method has no networks for the resolution.
    """

    config: FramesConfig
    generator: StyledGenerator
    max_frames = 1

    @abstractmethod
    def images(
        self,
        network: StyledGenerator,
        ws: Float[Tensor, "n l d"],
        generators: GeneratorLike,
        update_emas: bool = False,
    ) -> Float[Tensor, "n c h w"]:
        """Returns the images of styles.

        Args:
            network: `self.generator` or its average.
            ws: A style per layer.
            generators: Where noise that is not a style's comes from.
            update_emas: Whether running means take this batch into account.
        """

    @property
    def clips(self) -> SampleRequest:
        """Single frames."""
        config = self.config
        return SampleRequest(Image(), config.flip, "video" if config.balance_videos else None)

    def build_discriminator(self) -> nn.Module:
        """Returns StyleGAN2's image discriminator."""
        config = self.config
        pyramid, group = config.pyramid_d(self.spec), config.mbstd_group_size
        return Discriminator(pyramid, config.c_dim, config.mapping_layers, group)

    def fakes(
        self, like: Clips, generators: Sequence[torch.Generator], update_emas: bool = False
    ) -> Clips:
        """Returns an image per real one, of the same class."""
        ws = self._training_styles(like, generators, update_emas)
        images = self.images(self.generator, ws, generators, update_emas)
        return like._replace(video=rearrange(images, "b c h w -> b c 1 h w"))

    def styled_images(self, like: Clips, generators: Sequence[torch.Generator]) -> StyledImages:
        """Returns an image per real one, with its styles."""
        ws = self._training_styles(like, generators)
        return StyledImages(self.images(self.generator, ws, generators), ws)

    def score(self, clips: Clips) -> Float[Tensor, " b"]:
        """Returns the logits of images."""
        images = rearrange(clips.video, "b c 1 h w -> b c h w")
        logits: Tensor = self.discriminator(images, self.class_codes(clips.labels))
        return logits

    def _training_styles(
        self, like: Clips, generators: Sequence[torch.Generator], update_emas: bool = False
    ) -> Float[Tensor, "n l d"]:
        n, c = len(like.video), self.class_codes(like.labels)
        z = normal(n, (self.config.z_dim,), generators, self.device)
        ws = self.generator.styles(z, c, update_emas=update_emas)
        if not self.config.style_mixing:
            return ws
        others = normal(n, (self.config.z_dim,), generators, self.device)
        chance, place = uniform(n, (2,), generators, self.device).unbind(dim=1)
        last = self.generator.num_ws
        cuts = torch.where(chance < self.config.style_mixing, 1 + place * (last - 1), last).long()
        return mixed(ws, self.generator.styles(others, c), cuts)

    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos of one frame."""
        network = self.sampler
        assert isinstance(network, StyledGenerator)
        z = normal(n, (self.config.z_dim,), generator, self.device)
        c = self.class_codes(self.draw_labels(n, generator))
        images = self.images(network, network.styles(z, c), generator)
        return rearrange(images.clamp(-1, 1), "n c h w -> n c 1 h w")
