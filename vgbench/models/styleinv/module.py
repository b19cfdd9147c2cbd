"""StyleInV as a trainable video GAN."""

from collections.abc import Mapping, Sequence
from itertools import product

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from vgbench.models.animation import Animator
from vgbench.models.base import Clips
from vgbench.models.image_stage import finetuned, image_networks, load_inversion, load_part
from vgbench.models.motion_curve import PIXELS_AT_A_TIME, MotionCurveGAN
from vgbench.models.style_training import LOSS_LIMIT
from vgbench.models.styleinv.config import StyleInVConfig
from vgbench.models.styleinv.discriminator import build_discriminator
from vgbench.models.styleinv.generator import Render, Rollout, StyleInversion, roll_out
from vgbench.models.styleinv.losses import generator_losses
from vgbench.models.styleinv.sparse import real_times, shown, times_to_generate
from vgbench.nn.encoder.inversion import WEncoder
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.motion import MotionEncoder
from vgbench.nn.noise import GeneratorLike, normal, seeded_generator
from vgbench.types import SampleRequest, VideoSpec

# Random styles by which the directions of `encoder.pca` are found, per direction.
_STYLES_PER_DIRECTION = 32


class StyleInV(MotionCurveGAN, Animator):
    """A frozen image GAN, and a network that finds its styles for the frames of a video.

    Source: StyleInV (ICCV 2023); see `StyleInVConfig`.
    Deviates: generated clips have the times of the real ones they compete with.

    Args:
        config: Options of the method.
        spec: The videos to learn.
        seed: Seed of initialisation and training.

    Attributes:
        generator: The network that is trained: styles of frames, given the first image.
        space: The frozen image generator, and its frozen inversion, for photographs.
    """

    config: StyleInVConfig
    generator: StyleInversion

    def __init__(self, config: StyleInVConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        image = image_networks(config.stages()[0], spec, seed).generator
        with self.seeded_init():
            inverter = WEncoder(config.encoder.backbone, config.w_dim, spec.channels)
        self.space = LatentSpace(image, inverter).requires_grad_(False).eval()
        self._style: Render | None = None

    @property
    def clips(self) -> SampleRequest:
        """The clips this method trains on."""
        return self.config.clips

    def build_generator(self) -> StyleInversion:
        """Returns the untrained network of the styles of frames."""
        config = self.config
        parts = (config.encoder, config.motion, config.style)
        return StyleInversion(*parts, config.w_dim, self.spec.channels)

    def build_discriminator(self) -> nn.Module:
        """Returns the untrained discriminator."""
        config, pyramid = self.config, self.config.pyramid_d(self.spec)
        return build_discriminator(config.disc, config.sparse, pyramid, config.mbstd_group_size)

    def train(self, mode: bool = True) -> "StyleInV":
        """Keeps image generator and inversion in evaluation mode: they are not trained."""
        super().train(mode)
        self.space.eval()
        return self

    # Training.

    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes the steps that are due; see `StyleGAN`.

        Returns:
            What `StyleGAN.train_clips` does; in place of `g` the losses of the generator, times
            their weights: `adversarial`, `recon`, `w_reg`.
        """
        times = real_times(real.times, self.config.sparse)
        return super().train_clips(real._replace(times=times), optimizers)

    def _train_generator(self, real: Clips, optimizer: Optimizer) -> dict[str, Tensor]:
        rollout = self._rollout(real, self.clip_generators("fakes-g", len(real.video)))
        options = self.config.loss
        logits = self._judged(self._seen(rollout, real), "augment-g")
        losses = generator_losses(rollout, logits, options)
        self.descend(losses.total, optimizer, "generator", LOSS_LIMIT)
        return {name: value.detach() for name, value in losses._asdict().items()}

    def fakes(
        self, like: Clips, generators: Sequence[torch.Generator], update_emas: bool = False
    ) -> Clips:
        """Returns what the discriminator sees of a generated video per real clip."""
        return self._seen(self._rollout(like, generators), like)

    def score(self, clips: Clips) -> Float[Tensor, " b"]:
        """Returns the discriminator's logits of clips."""
        logits: Tensor = self.discriminator(clips.video, clips.times)
        return logits

    def _rollout(self, like: Clips, generators: Sequence[torch.Generator]) -> Rollout:
        n, config = len(generators), self.config
        w0 = self._content(n, generators)
        times = times_to_generate(like.times, config.sparse, generators)
        noise = self._motion_noise(n, float(times.max()), generators)
        return roll_out(self.generator, self.space.render, w0, self._w_avg, times, noise)

    def _seen(self, rollout: Rollout, like: Clips) -> Clips:
        seen = shown(rollout, self.config.sparse)
        return Clips(seen.video, seen.frame_index, like.labels)

    # Sampling.

    @torch.no_grad()
    def frames_at(
        self, n: int, times: Float[Tensor, " t"], generator: GeneratorLike
    ) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos at any times; see `MotionCurveGAN.frames_at`."""
        with self.evaluating():
            w0 = self._content(n, generator)
            noise = self._motion_noise(n, float(times.max()), generator)
            return self._film(w0, times, noise, [self._style or self.space.render])[0]

    @torch.no_grad()
    def sample_grid(
        self, rows: int, columns: int, frames: int, seed: int
    ) -> Float[Tensor, "n c t h w"]:
        """Returns videos row by row; the rows' first image and the columns' motion follow `seed`.

        With motion that is aware of the first frame, the videos of a row start alike.
        """
        images = [seeded_generator(seed, "eval-appearance", i) for i in range(rows)]
        times = torch.arange(float(frames))
        cells = product(range(rows), range(columns))
        motion = [seeded_generator(seed, "eval-motion", j) for _, j in cells]
        with self.evaluating():
            w0 = self._content(rows, images).repeat_interleave(columns, dim=0)
            noise = self._motion_noise(len(motion), float(frames - 1), motion)
            return self._film(w0, times, noise, [self._style or self.space.render])[0]

    @torch.no_grad()
    def animate(
        self,
        photos: Float[Tensor, "n c h w"],
        frames: int,
        generator: GeneratorLike,
        styles: Sequence[nn.Module] = (),
    ) -> list[Float[Tensor, "n c t h w"]]:
        """Returns videos of photographs; see `Animator.animate`.

        In frame 0 is what the model makes of the first image, which is near its inversion.
        """
        renderers = [self.space.render, *(self._renderer(style) for style in styles)]
        with self.evaluating():
            w0 = self._inverted(photos)
            noise = self._motion_noise(len(photos), float(frames - 1), generator)
            return self._film(w0, torch.arange(float(frames)), noise, renderers)

    @torch.no_grad()
    def invert(self, photos: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Returns the inversions of photographs, the images that `animate` starts from."""
        with self.evaluating():
            return self.space.render(self._inverted(photos)).clamp(-1, 1)

    def restyle(self, style: nn.Module | None) -> None:
        """Lets another image generator render all videos from now on; see `Animator.restyle`."""
        self._style = None if style is None else self._renderer(style)

    def _renderer(self, style: nn.Module) -> Render:
        """How another image generator renders the styles of this model's own."""
        return LatentSpace(finetuned(self.space, style), self.space.encoder).render

    # Codes and pixels.

    @property
    def motion_encoder(self) -> MotionEncoder:
        """The network that makes the motion codes of `sampler`."""
        return self._network.mapping.motion_encoder

    @property
    def _network(self) -> StyleInversion:
        network = self.sampler
        assert isinstance(network, StyleInversion)
        return network

    @property
    def _w_avg(self) -> Float[Tensor, " d"]:
        average: Tensor = self.space.generator.mapping.w_avg
        return average

    def _content(self, n: int, generator: GeneratorLike) -> Float[Tensor, "n d"]:
        w: Tensor = self.space.generator.mapping(
            normal(n, (self.config.z_dim,), generator, self.device)
        )
        return w

    def _inverted(self, photos: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.space.encode(photos)[:, 0]

    def _film(
        self,
        w0: Float[Tensor, "n d"],
        times: Float[Tensor, " t"],
        noise: Float[Tensor, "n l z"],
        renderers: Sequence[Render],
    ) -> list[Float[Tensor, "n c t h w"]]:
        """Videos at some times, by each of the renderers, a few frames at a time."""
        n, network = len(w0), self._network
        at_a_time = max(1, PIXELS_AT_A_TIME // self.spec.height**2 // n)
        opening = network.opening(self.space.render(w0), w0, self._w_avg)
        at = times.to(self.device, torch.float32).expand(n, -1)
        parts: list[list[Tensor]] = [[] for _ in renderers]
        for some in torch.split(at, at_a_time, dim=1):
            ws = rearrange(network(opening, some, noise), "n t d -> (n t) d")
            for part, render in zip(parts, renderers, strict=True):
                part.append(rearrange(render(ws), "(n t) c h w -> n c t h w", n=n))
        return [torch.cat(part, dim=2).float().clamp(-1, 1) for part in parts]

    # Stages.

    def start_from(self, stage: str, weights: Mapping[str, Tensor]) -> None:
        """Takes over the image generator of `image`, and the encoder of `inversion`.

        Raises:
            CheckpointError: If it is another stage, the weights do not fit, or the encoder is of
                another image generator.
        """
        if stage == "image":
            load_part(self.space.generator, weights, "generator")
            self._find_directions()
        elif stage == "inversion":
            self._start_encoder(weights)
        else:
            super().start_from(stage, weights)
        if self.generator_ema is not None:
            self.generator_ema.network.load_state_dict(self.generator.state_dict())

    def _start_encoder(self, weights: Mapping[str, Tensor]) -> None:
        load_inversion(self.space, weights)
        if self.generator.encoder is not None:
            self.generator.encoder.start_from(self.space.encoder.state_dict())

    def _find_directions(self) -> None:
        restrict = self.generator.restrict
        if restrict is not None:
            count = _STYLES_PER_DIRECTION * self.config.encoder.pca
            restrict.fit(self._content(count, seeded_generator(self.seed, "directions")))
