"""G3AN as a trainable video GAN."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from vgbench.errors import CheckpointError
from vgbench.losses.adversarial import logistic_d_loss, logistic_g_loss
from vgbench.models.base import Clips, VideoGAN
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.discriminator import ImageDiscriminator, VideoDiscriminator
from vgbench.models.g3an.generator import Generator
from vgbench.nn.ema import WeightAverage
from vgbench.nn.frozen import frozen
from vgbench.nn.noise import GeneratorLike, normal, seeded_generator
from vgbench.types import SampleRequest, VideoSpec

# Videos that `generate` makes at one time; bounds memory.
_VIDEOS_AT_A_TIME = 16


class Latents(NamedTuple):
    """Codes of some videos.

    Attributes:
        za: Appearance, `[n, appearance_dim]`, standard normal.
        zm: Motion, `[n, steps, motion_dim]`, standard normal.
    """

    za: Float[Tensor, "n a"]
    zm: Float[Tensor, "n l m"]


class FrameChoice(NamedTuple):
    """The frames that the image discriminator sees, the same of each clip of a batch.

    Attributes:
        real: Their numbers in real clips.
        fake: Their numbers in generated clips.
    """

    real: list[int]
    fake: list[int]


class G3AN(VideoGAN):
    """Three-stream generator against a video and an image discriminator.

    Source: "G3AN: Disentangling Appearance and Motion for Video Generation" (CVPR 2020);
    wyhsirius/g3an-project `trainer.py`.
    Deviates: as listed in `G3ANConfig`; resolutions other than 64x64 are ours.

    Args:
        config: Options of the method.
        spec: The videos to learn.
        seed: Seed of initialisation and training.

    Raises:
        UsageError: If the method has no networks for the resolution.
    """

    config: G3ANConfig

    def __init__(self, config: G3ANConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        with self.seeded_init():
            self.generator = Generator(config, spec)
            self.d_video = VideoDiscriminator(config, spec)
            self.d_image = ImageDiscriminator(config, spec)
        if config.ema_kclips:
            self.generator_ema = WeightAverage(self.generator, config.ema_kclips)

    @property
    def clips(self) -> SampleRequest:
        """The clips this method trains on."""
        return self.config.clips

    def configure_optimizers(self) -> list[Optimizer]:
        """Returns Adam for the video discriminator, the image discriminator and the generator."""
        config = self.config
        betas = (config.beta1, config.beta2)
        rates = {self.d_video: config.lr_d, self.d_image: config.lr_d, self.generator: config.lr_g}
        return [torch.optim.Adam(n.parameters(), lr=lr, betas=betas) for n, lr in rates.items()]

    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes one step on latents and frame numbers drawn for the current position."""
        n = len(real.video)
        latents = self._latents(n, self.config.frames, self.clip_generators("latent", n))
        generator = self.step_generator("frame")
        draw = torch.randint(self.config.frames, (2, self.config.image_frames), generator=generator)
        return self.step(real.video, latents, FrameChoice(*draw.tolist()), optimizers)

    def step(
        self,
        real: Float[Tensor, "b c t h w"],
        latents: Latents,
        frames: FrameChoice,
        optimizers: Sequence[Optimizer],
    ) -> dict[str, Tensor]:
        """Updates D_V, then D_I, then the generator, and returns their losses.

        There is one generator forward per step; the updated discriminators score the same fake
        video and the same frame again for the generator. The gradients of each loss stay in its
        network's parameters.

        Args:
            real: Real clips in [-1, 1].
            latents: Codes of as many fake clips.
            frames: Frames for the image discriminator.
            optimizers: Those of `configure_optimizers`.

        Raises:
            DivergenceError: If a loss or gradient is not finite.
        """
        of_d_video, of_d_image, of_generator = optimizers
        fake = self.generator(*latents)
        frame = some_frames(fake, frames.fake)

        d_video = logistic_d_loss(self.d_video(real), self.d_video(fake.detach()))
        self.descend(d_video, of_d_video, "video discriminator")

        real_frame = some_frames(real, frames.real)
        d_image = logistic_d_loss(self.d_image(real_frame), self.d_image(frame.detach()))
        self.descend(d_image, of_d_image, "image discriminator")

        with frozen(self.d_video, self.d_image):
            g_video = logistic_g_loss(self.d_video(fake))
            g_image = logistic_g_loss(self.d_image(frame))
            self.descend(g_video + g_image, of_generator, "generator")
        losses = {"d_video": d_video, "d_image": d_image, "g_video": g_video, "g_image": g_image}
        return {name: loss.detach() for name, loss in losses.items()}

    # Sampling and manipulation.

    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos: the first `frames` frames of as few motion steps as make them."""
        video: Tensor = self.sampler(*self._latents(n, frames, generator))
        return video[:, :, :frames]

    def _latents(self, n: int, frames: int, generator: GeneratorLike) -> Latents:
        za = self.sample_za(n, generator)
        return Latents(za, self.sample_zm(n, motion_steps(frames), generator))

    def sample_za(self, n: int, generator: GeneratorLike) -> Float[Tensor, "n a"]:
        """Returns `n` appearance codes."""
        return normal(n, (self.config.appearance_dim,), generator, self.device)

    def sample_zm(self, n: int, length: int, generator: GeneratorLike) -> Float[Tensor, "n l m"]:
        """Returns `n` motion codes of `length` steps, which make `4 * (length + 3)` frames."""
        return normal(n, (length, self.config.motion_dim), generator, self.device)

    @torch.no_grad()
    def generate(
        self, za: Float[Tensor, "n a"], zm: Float[Tensor, "n l m"]
    ) -> Float[Tensor, "n c t h w"]:
        """Returns the videos of given codes, float32 in [-1, 1], `4 * (l + 3)` frames each.

        Codes can be recombined: the same `zm` with another `za` shows the same motion with
        another appearance, and the reverse. The module's mode is restored.
        """
        parts = [torch.split(codes, _VIDEOS_AT_A_TIME) for codes in (za, zm)]
        with self.evaluating():
            return torch.cat([self.sampler(*pair) for pair in zip(*parts, strict=True)]).to(
                torch.float32
            )

    def sample_grid(
        self, rows: int, columns: int, frames: int, seed: int
    ) -> Float[Tensor, "n c t h w"]:
        """Returns videos row by row; the rows' appearance and the columns' motion follow `seed`."""
        appearance = [seeded_generator(seed, "eval-appearance", i) for i in range(rows)]
        motion = [seeded_generator(seed, "eval-motion", j) for j in range(columns)]
        za = self.sample_za(rows, appearance)
        zm = self.sample_zm(columns, motion_steps(frames), motion)
        return self.grid(za, zm)[:, :, :frames]

    def grid(
        self, za: Float[Tensor, "n a"], zm: Float[Tensor, "m l d"]
    ) -> Float[Tensor, "nm c t h w"]:
        """Returns every appearance with every motion; video `i * m + j` has `za[i]` and `zm[j]`."""
        n, m = za.shape[0], zm.shape[0]
        return self.generate(za.repeat_interleave(m, dim=0), zm.repeat(n, 1, 1))


def some_frames(clips: Float[Tensor, "b c t h w"], numbers: list[int]) -> Float[Tensor, "n c h w"]:
    """Returns the frames with these numbers of every clip, as a batch of images."""
    return rearrange(clips[:, :, numbers], "b c k h w -> (b k) c h w")


def motion_steps(frames: int) -> int:
    """Returns how many motion steps make at least `frames` frames; one step makes 16."""
    return max(1, math.ceil(frames / 4) - 3)


def load_reference(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads a state dict of the published code, in place.

    Args:
        network: Generator or discriminator with the options that the checkpoint was trained
            with; a generator needs `fsa_layout=reference`.
        state: Its state dict, with or without the `module.` prefix of data-parallel training.

    Raises:
        CheckpointError: If names or shapes differ.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    try:
        network.load_state_dict(plain, strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"{error}\n  the published training command has model.use_attention=false"
        ) from error
