"""StyleGAN-V as a trainable video GAN."""

from typing import cast

from vgbench.models.continuous import ContinuousVideoGAN
from vgbench.models.stylegan_v.config import StyleGANVConfig
from vgbench.models.stylegan_v.generator import Conditioning, Generator


class StyleGANV(ContinuousVideoGAN):
    """Continuous-time StyleGAN2; see `StyleGANVConfig`.

    Source: StyleGAN-V (CVPR 2022); universome/stylegan-v `src`.
    """

    config: StyleGANVConfig

    def build_generator(self) -> Generator:
        """Returns the untrained generator."""
        config = self.config
        return Generator(
            config.pyramid(self.spec),
            config.motion,
            cast(Conditioning, config.conditioning),
            config.z_dim,
            config.c_dim,
            config.w_dim,
            config.use_noise,
        )
