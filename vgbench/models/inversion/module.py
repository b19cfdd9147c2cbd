"""The inversion of an image GAN as a trainable model."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from vgbench.losses.perceptual import DiscriminatorDistance
from vgbench.losses.trained import trained_distance
from vgbench.models.base import Clips, ReconstructingGAN
from vgbench.models.guided import Guided
from vgbench.models.image_stage import image_networks, load_part
from vgbench.models.inversion.config import InversionConfig
from vgbench.models.inversion.encoder import build_encoder
from vgbench.models.inversion.losses import InversionObjective, latent_roughness
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.noise import GeneratorLike, normal
from vgbench.sampling import Image
from vgbench.types import SampleRequest, VideoSpec

# Frames that are encoded at one time outside training.
_FRAMES_AT_A_TIME = 64


class Fidelity(NamedTuple):
    """How true reconstructions are.

    Attributes:
        psnr: Of the mean squared error of all pixels, in dB.
        latent_roughness: Mean distance of the styles of neighbouring frames; 0 for single frames.
    """

    psnr: float
    latent_roughness: float


class Inversion(ReconstructingGAN, Guided):
    """An encoder that finds the styles with which a frozen image GAN generates given images.

    It samples the inversions of generated images, and is measured by those of real ones.

    Source: "Encoding in Style" (pSp, CVPR 2021); see `InversionConfig`.

    Args:
        config: Options.
        spec: The videos whose frames it learns.
        seed: Seed of initialisation and training.

    Attributes:
        generator: The frozen image generator and the encoder in training.
        objective: Its losses.
    """

    config: InversionConfig
    generator: LatentSpace
    max_frames = 1

    def __init__(self, config: InversionConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        (stage,) = config.stages()
        image, discriminator = image_networks(stage, spec, seed)
        with self.seeded_init():
            encoder = build_encoder(
                config.encoder, spec.height, image.num_ws, config.w_dim, spec.channels
            )
        self.generator = LatentSpace(image, encoder)
        look = DiscriminatorDistance(discriminator) if config.loss.uses_discriminator else None
        self.objective = InversionObjective(config.loss, look)

    @property
    def clips(self) -> SampleRequest:
        """Single frames."""
        return SampleRequest(Image(), self.config.flip)

    def configure_optimizers(self) -> list[Optimizer]:
        """Returns Adam for the encoder."""
        config = self.config
        betas = (config.beta1, config.beta2)
        return [torch.optim.Adam(self.generator.encoder.parameters(), lr=config.lr, betas=betas)]

    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes one step of the encoder.

        Returns:
            Each loss in use, times its weight.
        """
        images = rearrange(real.video, "b c 1 h w -> b c h w")
        known = None
        if self.config.loss.latent_reg:
            with torch.no_grad():
                known = self._content(len(images), self.clip_generators("known", len(images)))
        losses = self.objective(self.generator, images, known)
        self.descend(losses.total, optimizers[0], "inversion")
        return {name: loss.detach() for name, loss in losses.parts.items()}

    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns the inversions of `n` generated images, as videos of one frame."""
        images = self.generator.render(self._content(n, generator)).clamp(-1, 1)
        return self.reconstruct(images[:, :, None])

    @torch.no_grad()
    def reconstruct(self, video: Float[Tensor, "n c t h w"]) -> Float[Tensor, "n c t h w"]:
        """Returns the inversion of every frame; the mode of the module is restored."""
        with self.evaluating():
            return self._images(self._styles(video), len(video))

    @torch.no_grad()
    def fidelity(self, video: Float[Tensor, "n c t h w"]) -> Fidelity:
        """Returns how true the reconstructions of clips are, and how restless their styles."""
        with self.evaluating():
            ws = self._styles(video)
            error = float((self._images(ws, len(video)) - video).square().mean())
        by_video = rearrange(ws, "(b t) l d -> b t l d", b=len(video))
        rough = float(latent_roughness(by_video)) if video.shape[2] > 1 else 0.0
        return Fidelity(10 * math.log10(4 / error) if error else math.inf, rough)

    def remarks(self, video: Float[Tensor, "n c t h w"]) -> tuple[str, ...]:
        """Returns the fidelity to these clips."""
        psnr, rough = self.fidelity(video)
        clips = f"{len(video)} clips of {video.shape[2]} frames"
        return (
            "reconstructs the real clips of the floor",
            f"PSNR {psnr:.2f} dB, latent roughness {rough:.3f} on {clips}",
        )

    def _styles(self, video: Float[Tensor, "b c t h w"]) -> Float[Tensor, "n l d"]:
        frames = rearrange(video, "b c t h w -> (b t) c h w")
        return torch.cat([self.generator.encode(f) for f in torch.split(frames, _FRAMES_AT_A_TIME)])

    def _images(self, ws: Float[Tensor, "n l d"], videos: int) -> Float[Tensor, "b c t h w"]:
        parts = [self.generator.synthesis(some) for some in torch.split(ws, _FRAMES_AT_A_TIME)]
        return rearrange(torch.cat(parts), "(b t) c h w -> b c t h w", b=videos).clamp(-1, 1)

    def _content(self, n: int, generator: GeneratorLike) -> Float[Tensor, "n d"]:
        z = normal(n, (self.config.z_dim,), generator, self.device)
        w: Tensor = self.generator.generator.mapping(z)
        return w

    # Stages.

    def take_weights(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Takes the network of the perceptual loss, or that of the identity loss."""
        distance = trained_distance(name, weights)
        if name == self.config.loss.perceptual_net:
            self.objective.perceptual = distance
        else:
            self.objective.identity = distance

    def start_from(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """Takes over the image GAN of the stage `image`.

        Raises:
            CheckpointError: If it is another stage, or the weights do not fit.
        """
        if stage != "image":
            super().start_from(stage, weights)
        load_part(self.generator.generator, weights, "generator")
        if self.config.loss.uses_discriminator:
            networks = image_networks(self.config.stages()[0], self.spec, self.seed)
            load_part(networks.discriminator, weights, "discriminator")
            self.objective.perceptual = DiscriminatorDistance(networks.discriminator)

    def export(self) -> dict[str, Tensor]:
        """Returns the encoder as `encoder.*` and the generator that it inverts as `image.*`."""
        parts = {"encoder": self.generator.encoder, "image": self.generator.generator}
        return {
            f"{name}.{key}": value
            for name, network in parts.items()
            for key, value in network.state_dict().items()
        }
