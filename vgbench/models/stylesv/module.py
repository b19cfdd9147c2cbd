"""StyleSV as a trainable video GAN."""

from collections.abc import Mapping

from torch import Tensor

from vgbench.models.continuous import ContinuousVideoGAN
from vgbench.models.stylesv.config import StyleSVConfig
from vgbench.models.stylesv.generator import Generator
from vgbench.models.stylesv.pretraining import start_discriminator, start_generator


class StyleSV(ContinuousVideoGAN):
    """Alias-free generator with motion in its input and styles; see `StyleSVConfig`.

    Source: "Towards Smooth Video Composition" (StyleSV, ICLR 2023); genforce/StyleSV `src`.
    """

    config: StyleSVConfig
    generator: Generator

    def build_generator(self) -> Generator:
        """Returns the untrained generator."""
        config = self.config
        sizes = (config.z_dim, config.c_dim, config.w_dim)
        return Generator(config.schedule(self.spec), config.motion, config.fusion, *sizes)

    def start_from(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """Starts from the image GAN of the stage `image`; see `pretraining`.

        Raises:
            CheckpointError: If it is another stage, or the weights do not fit.
        """
        if stage != "image":
            super().start_from(stage, weights)
        start_generator(self.generator, _part(weights, "generator."))
        start_discriminator(self.discriminator, _part(weights, "discriminator."))
        if self.generator_ema is not None:
            self.generator_ema.network.load_state_dict(self.generator.state_dict())


def _part(weights: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    names = (name for name in weights if name.startswith(prefix))
    return {name.removeprefix(prefix): weights[name] for name in names}
