"""StyleGAN2 as a trainable image GAN of frames."""

from jaxtyping import Float
from torch import Tensor

from vgbench.models.style_frames import FramesGAN
from vgbench.models.stylegan2.config import StyleGAN2FramesConfig
from vgbench.models.stylegan2.generator import Generator
from vgbench.nn.noise import GeneratorLike
from vgbench.nn.styled_generator import StyledGenerator


class StyleGAN2Frames(FramesGAN):
    """StyleGAN2 with adaptive augmentation; see `StyleGAN2FramesConfig`.

    Noise, if there is any, is drawn for each image, also when sampling.
    """

    config: StyleGAN2FramesConfig

    def build_generator(self) -> Generator:
        """Returns the untrained generator."""
        config, pyramid = self.config, self.config.pyramid(self.spec)
        sizes = (config.z_dim, config.c_dim, config.w_dim, config.mapping_layers)
        return Generator(pyramid, *sizes, config.use_noise)

    def images(
        self,
        network: StyledGenerator,
        ws: Float[Tensor, "n l d"],
        generators: GeneratorLike,
        update_emas: bool = False,
    ) -> Float[Tensor, "n c h w"]:
        """Returns the images of styles, with new noise."""
        images: Tensor = network.synthesis(ws, generators)
        return images
