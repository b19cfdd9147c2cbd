"""StyleVideoGAN as a trainable video GAN."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from vgbench.errors import CheckpointError
from vgbench.models.animation import DEFAULT_OFFSET, Offset, OffsetAnimator
from vgbench.models.base import Clips, VideoGAN
from vgbench.models.bounded import InvertingGAN
from vgbench.models.image_stage import finetuned, load_inversion, load_part
from vgbench.models.stylevideogan.backends import Backend, build_backend
from vgbench.models.stylevideogan.config import StyleVideoGANConfig
from vgbench.models.stylevideogan.diagnostics import report
from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.latents import latent_moments
from vgbench.models.stylevideogan.offset import OffsetTrick, transfer
from vgbench.models.stylevideogan.rollout import decode, rollout
from vgbench.models.stylevideogan.training import Noise, TemporalGAN, draw_noise
from vgbench.nn.ema import WeightAverage
from vgbench.nn.encoder.frame_encoder import FrameEncoder
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.noise import GeneratorLike, seeded_generator
from vgbench.types import SampleRequest, VideoSpec

# Latents of training frames that are looked at together.
_FRAMES_AT_ONCE = 4096
# Frames that are encoded and decoded together.
_PICTURES_AT_ONCE = 64


class StyleVideoGAN(VideoGAN, OffsetAnimator, InvertingGAN):
    """A recurrent generator of latents, trained without a pixel; see `StyleVideoGANConfig`.

    Source: "StyleVideoGAN: A Temporal Generative Model using a Pretrained StyleGAN" (BMVC 2021).

    Args:
        config: Options of the method.
        spec: The videos to learn.
        seed: Seed of initialisation and training.

    Attributes:
        backend: Makes pictures of latents and latents of pictures; never trained.

    Raises:
        UsageError: If the backend has no pictures of that size.
    """

    config: StyleVideoGANConfig
    generator: Generator

    def __init__(self, config: StyleVideoGANConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        with self.seeded_init():
            self.backend = build_backend(config, spec, seed).requires_grad_(False)
            sizes = (self.backend.num_ws, self.backend.w_dim)
            self.temporal = TemporalGAN.build(
                *sizes, config.generator, config.critic, config.training
            )
        self.generator, self.critic = self.temporal.generator, self.temporal.critic
        self.angle = self.temporal.angle
        self.generator_ema = WeightAverage(self.generator, config.training.ema_kclips)
        self.offset = OffsetTrick(config.offset, *sizes)
        # In a tuple, as a module of its own would become part of checkpoints.
        self._style: tuple[LatentSpace, ...] = ()

    @property
    def clips(self) -> SampleRequest:
        """The clips this method trains on."""
        return self.config.clips

    def train(self, mode: bool = True) -> "StyleVideoGAN":
        """Switches the temporal networks; the backend stays in evaluation mode."""
        super().train(mode)
        self.backend.eval()
        return self

    # Training.

    @property
    def frame_encoder(self) -> FrameEncoder:
        """The backend, by which every frame of the training videos becomes a latent."""
        return self.backend

    def see_latents(self, latents: Float[Tensor, "f l d"]) -> None:
        """Takes the scale and the directions of motion from the latents of the training frames."""
        moments = latent_moments(torch.split(latents, _FRAMES_AT_ONCE))
        self.generator.fit_scale(moments)
        self.offset.fit(latents, moments.mean)
        assert self.generator_ema is not None
        self.generator_ema.network.load_state_dict(self.generator.state_dict())

    def configure_optimizers(self) -> tuple[Adam, Adam]:
        """Returns the optimisers of the critic and of the generator."""
        return self.temporal.configure_optimizers()

    def train_batch(
        self, batch: dict[str, Any], optimizers: Sequence[Optimizer]
    ) -> dict[str, Tensor]:
        """Makes a step on a batch of latents."""
        return self.train_latents(batch["latents"], optimizers)

    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes a step on clips that are encoded for it."""
        frames = rearrange(real.video, "b c t h w -> (b t) c h w")
        with torch.no_grad():
            ws = self.backend.encode(frames)
        return self.train_latents(
            rearrange(ws, "(b t) l d -> b t l d", b=len(real.video)), optimizers
        )

    def train_latents(
        self, real: Float[Tensor, "b t l d"], optimizers: Sequence[Optimizer]
    ) -> dict[str, Tensor]:
        """Makes a step of the critic and, after every `critic_steps` of them, of the generator.

        Args:
            real: W+ latents of this process's share of the clips.
            optimizers: Those of `configure_optimizers`.

        Returns:
            Scalars to log; those of the generator, and `report_*`, not in every step.

        Raises:
            DivergenceError: If a loss or gradient is not finite.
        """
        n, z_dim = len(real), self.config.generator.z_dim
        batch = n * self.world_size

        def noise(name: str) -> Noise:
            generators = self.clip_generators(name, n)
            return draw_noise(n, real.shape[1], z_dim, generators, self.device)

        step = self.clips_seen // batch
        scalars = self.temporal.train_clips(real, step, noise, optimizers, self.descend)
        return scalars | self._report(real, batch)

    def _report(self, real: Float[Tensor, "b t l d"], batch: int) -> dict[str, Tensor]:
        """What the losses do not show, every `report_kclips`; of the generator that samples."""
        interval = self.config.report_kclips * 1000
        if not interval or self.clips_seen % interval >= batch:
            return {}
        with self.evaluating(), torch.autocast(self.device.type, enabled=False):
            source = seeded_generator(self.seed, "report")
            found = report(self._sampling, self.angle, real, source)
        return {f"report_{name}": torch.tensor(value) for name, value in found.items()}

    # Sampling.

    @property
    def _sampling(self) -> Generator:
        network = self.sampler
        assert isinstance(network, Generator)
        return network

    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos."""
        return torch.cat(list(self._video(n, frames, generator)), dim=2)

    def stream(
        self, n: int, frames: int, generator: GeneratorLike
    ) -> Iterator[Float[Tensor, "n c _t h w"]]:
        """Yields the frames of the videos that `sample` returns, a few at a time.

        Memory does not grow with the number of frames.

        Args:
            n: Number of videos.
            frames: Frames per video, at least 1.
            generator: As in `sample`.

        Raises:
            UsageError: If `n` or `frames` is below 1.
        """
        self.check_size(n, frames)
        pictures = self._video(n, frames, generator)
        while True:
            # Between two parts the model is its owner's, who may go on training it.
            with self.evaluating():
                part = next(pictures, None)
            if part is None:
                return
            yield part

    def _video(
        self, n: int, frames: int, generator: GeneratorLike
    ) -> Iterator[Float[Tensor, "n c _t h w"]]:
        *_, backend = (self.backend, *self._style)
        return self._pictures(self._rollout(n, frames, generator), backend)

    def _rollout(
        self, n: int, frames: int, generator: GeneratorLike
    ) -> Iterator[Float[Tensor, "n _t l d"]]:
        return rollout(self._sampling, n, frames, generator)

    def _pictures(
        self, blocks: Iterable[Float[Tensor, "n _t l d"]], backend: Backend
    ) -> Iterator[Float[Tensor, "n c _t h w"]]:
        for part in decode(blocks, backend, self.config.truncation_psi):
            yield part.float().clamp(-1, 1)

    # The offset trick, and other image generators.

    @torch.no_grad()
    def reconstruct(self, video: Float[Tensor, "n c t h w"]) -> Float[Tensor, "n c t h w"]:
        """Returns what the backend makes of every frame, in [-1, 1]."""
        frames = rearrange(video, "n c t h w -> (n t) c h w")
        made = torch.cat([self.invert(some) for some in torch.split(frames, _PICTURES_AT_ONCE)])
        return rearrange(made, "(n t) c h w -> n c t h w", n=len(video))

    @torch.no_grad()
    def invert(self, photos: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Returns what the backend makes of photographs, in [-1, 1]."""
        with self.evaluating():
            return self.backend.synthesis(self.backend.encode(photos)).clamp(-1, 1)

    @torch.no_grad()
    def animate(
        self,
        photos: Float[Tensor, "n c h w"],
        frames: int,
        generator: GeneratorLike,
        styles: Sequence[nn.Module] = (),
        offset: Offset = DEFAULT_OFFSET,
    ) -> list[Float[Tensor, "n c t h w"]]:
        """Moves the subjects of photographs as its own moves; see `OffsetAnimator.animate`.

        Source: StyleVideoGAN (BMVC 2021), section 3 (offset trick).
        """
        self.check_size(len(photos), frames)
        backends = [self.backend, *(self._restyled(style) for style in styles)]
        subspace = self.offset.subspace(offset)
        with self.evaluating():
            blocks = self._rollout(len(photos), frames, generator)
            ws = self.backend.encode(photos)
            moved = list(transfer(blocks, ws, subspace, offset.ref))
            return [torch.cat(list(self._pictures(moved, own)), dim=2) for own in backends]

    def restyle(self, style: nn.Module | None) -> None:
        """Lets another image generator render all videos from now on; see `Animator.restyle`."""
        self._style = () if style is None else (self._restyled(style),)

    def _restyled(self, style: nn.Module) -> LatentSpace:
        if not isinstance(self.backend, LatentSpace):
            raise CheckpointError("the backend 'identity' has no image GAN; there are no styles")
        return LatentSpace(finetuned(self.backend, style), self.backend.encoder)

    # Stages.

    def start_from(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """Takes over the image generator of `image`, and the encoder of `inversion`.

        Raises:
            CheckpointError: If it is another stage, the weights do not fit, or the encoder is of
                another image generator.
        """
        if stage == "image" and isinstance(self.backend, LatentSpace):
            load_part(self.backend.generator, weights, "generator")
        elif stage == "inversion" and isinstance(self.backend, LatentSpace):
            load_inversion(self.backend, weights)
        else:
            super().start_from(stage, weights)
