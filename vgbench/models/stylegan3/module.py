"""StyleGAN3 as a trainable image GAN of frames."""

from jaxtyping import Float
from torch import Tensor

from vgbench.models.style_frames import FramesGAN
from vgbench.models.stylegan3.config import StyleGAN3FramesConfig
from vgbench.models.stylegan3.generator import Generator
from vgbench.nn.noise import GeneratorLike
from vgbench.nn.styled_generator import StyledGenerator


class StyleGAN3Frames(FramesGAN):
    """Alias-free StyleGAN3, configuration T or R; see `StyleGAN3FramesConfig`."""

    config: StyleGAN3FramesConfig

    def build_generator(self) -> Generator:
        """Returns the untrained generator."""
        config = self.config
        sizes = (config.z_dim, config.c_dim, config.w_dim, config.mapping_layers)
        return Generator(config.schedule(self.spec), *sizes)

    def images(
        self,
        network: StyledGenerator,
        ws: Float[Tensor, "n l d"],
        generators: GeneratorLike,
        update_emas: bool = False,
    ) -> Float[Tensor, "n c h w"]:
        """Returns the images of styles; nothing else is random."""
        images: Tensor = network.synthesis(ws, update_emas)
        return images
