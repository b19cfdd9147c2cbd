"""What video GANs have in common that render any moment of a video by itself."""

from collections.abc import Callable, Sequence
from itertools import product

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor

from vgbench.models.base import Clips
from vgbench.models.continuous_config import ContinuousConfig
from vgbench.models.motion_curve import PIXELS_AT_A_TIME, MotionCurveGAN
from vgbench.nn.continuous_generator import ContinuousGenerator
from vgbench.nn.motion import MotionEncoder
from vgbench.nn.noise import GeneratorLike, normal, seeded_generator, uniform
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator
from vgbench.types import SampleRequest

# From times `[n, t]` to the styles of each frame `[n, t, l, d]`.
StylesOverTime = Callable[[Tensor], Tensor]


class ContinuousVideoGAN(MotionCurveGAN):
    """A generator of content, motion and time against a discriminator of a few frames.

    A method implements `build_generator`.

    Source: StyleGAN-V (CVPR 2022), section 3; StyleSV (ICLR 2023).
    Deviates: fakes have the times of the real clips they compete with, shifted by a fraction of a
    frame, where the reference draws such times anew.

    Args:
        config: Options of the method.
        spec: The videos to learn.
        seed: Seed of initialisation and training.
    """

    config: ContinuousConfig
    generator: ContinuousGenerator
    discriminator: VideoDiscriminator

    @property
    def clips(self) -> SampleRequest:
        """The clips this method trains on."""
        return self.config.clips

    def build_discriminator(self) -> VideoDiscriminator:
        """Returns the untrained discriminator."""
        config = self.config
        return VideoDiscriminator(
            config.pyramid_d(self.spec),
            config.frame_fusion,
            config.c_dim,
            mbstd_group_size=config.mbstd_group_size,
            freeze_layers=config.freeze_d,
        )

    # Training.

    def fakes(
        self, like: Clips, generators: Sequence[torch.Generator], update_emas: bool = False
    ) -> Clips:
        """Returns a generated clip per real one; see `StyleGAN.fakes`."""
        n, network = len(generators), self.generator
        update_emas = update_emas and self.config.update_averages
        c = self.class_codes(like.labels)
        ws = network.styles(self._content(n, generators), c, update_emas=update_emas)
        times = like.times + uniform(n, (1,), generators, self.device)
        styles = self._drifting(ws, times, c, generators) if self.config.interp_p else _still(ws)
        motion_z = self._motion_noise(n, float(times.max()), generators)
        v = network.motion(times, motion_z, c)
        return Clips(network.frames(styles(times), v, update_emas), times, like.labels)

    def _drifting(
        self,
        ws: Float[Tensor, "n l d"],
        times: Float[Tensor, "n t"],
        c: Float[Tensor, "n k"] | None,
        generators: Sequence[torch.Generator],
    ) -> StylesOverTime:
        """The styles of clips some of which change their content."""
        n, config = len(ws), self.config
        others = self.generator.styles(self._content(n, generators), c)
        chance, start = uniform(n, (2, 1), generators, self.device).unbind(dim=1)
        still = chance >= config.interp_p
        first = times.amin(dim=1, keepdim=True)

        def styles(t: Tensor) -> Tensor:
            share = 1 - start + (t - first) / config.interp_frames
            return _between(ws, others, share.masked_fill(still, 0.0))

        return styles

    def score(self, clips: Clips) -> Float[Tensor, " b"]:
        """Returns the discriminator's logits of clips."""
        logits: Tensor = self.discriminator(
            clips.video, clips.times, self.class_codes(clips.labels)
        )
        return logits

    # Sampling.

    @torch.no_grad()
    def frames_at(
        self,
        n: int,
        times: Float[Tensor, " t"],
        generator: GeneratorLike,
        truncation_psi: float = 1.0,
        labels: Int[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos at any times; see `MotionCurveGAN.frames_at`.

        `truncation_psi` is 1 for the full variety, less for more typical content; `labels` are the
        classes of the videos, for a model with classes, drawn if None.
        """
        with self.evaluating():
            z, drawn = self._content(n, generator), self.draw_labels(n, generator)
            labels = drawn if labels is None else labels.to(self.device)
            ws = self._sampling.styles(z, self.class_codes(labels), truncation_psi)
            return self._render(_still(ws), self._points(times, labels, generator), times)

    @torch.no_grad()
    def interpolate(
        self, n: int, frames: int, generator: GeneratorLike, span: float = 4096.0
    ) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos whose content drifts from one to another, each with one motion.

        Args:
            n: Number of videos.
            frames: Frames per video.
            generator: As in `sample`.
            span: Time in frames at which the second content is reached.
        """
        times = torch.arange(float(frames))
        with self.evaluating():
            z, labels = self._content(n, generator), self.draw_labels(n, generator)
            c, network = self.class_codes(labels), self._sampling
            a, b = network.styles(z, c), network.styles(self._content(n, generator), c)
            points = self._points(times, labels, generator)
            return self._render(lambda t: _between(a, b, t / span), points, times)

    @torch.no_grad()
    def sample_grid(
        self, rows: int, columns: int, frames: int, seed: int
    ) -> Float[Tensor, "n c t h w"]:
        """Returns videos row by row; the rows' content and the columns' motion follow `seed`."""
        appearance = [seeded_generator(seed, "eval-appearance", i) for i in range(rows)]
        times = torch.arange(float(frames))
        with self.evaluating():
            z, labels = self._content(rows, appearance), self.draw_labels(rows, appearance)
            ws = self._sampling.styles(z, self.class_codes(labels))
            # One generator per cell, as the label of the row is an input of the column's motion.
            cells = product(range(rows), range(columns))
            motion = [seeded_generator(seed, "eval-motion", j) for _, j in cells]
            points = self._points(times, labels.repeat_interleave(columns), motion)
            return self._render(_still(ws.repeat_interleave(columns, dim=0)), points, times)

    # Codes and pixels.

    @property
    def motion_encoder(self) -> MotionEncoder:
        """The network that makes the motion codes of `sampler`."""
        return self._sampling.motion_encoder

    @property
    def _sampling(self) -> ContinuousGenerator:
        network = self.sampler
        assert isinstance(network, ContinuousGenerator)
        return network

    def _content(self, n: int, generator: GeneratorLike) -> Float[Tensor, "n z"]:
        return normal(n, (self.config.z_dim,), generator, self.device)

    def _points(
        self, times: Float[Tensor, " t"], labels: Int[Tensor, " n"], generator: GeneratorLike
    ) -> Float[Tensor, "n k v"]:
        """The control points of the motion of new videos, as many as these times need."""
        noise = self._motion_noise(len(labels), float(times.max()), generator)
        points: Tensor = self.motion_encoder.trajectory(noise, self.class_codes(labels))
        return points

    def _render(
        self, styles: StylesOverTime, points: Float[Tensor, "n k v"], times: Float[Tensor, " t"]
    ) -> Float[Tensor, "n c t h w"]:
        """Videos of the sampler at some times, rendered a few frames at a time."""
        n, network = len(points), self._sampling
        at_a_time = max(1, PIXELS_AT_A_TIME // self.spec.height**2)
        at = times.to(self.device, torch.float32).expand(n, -1)
        parts = []
        for some in torch.split(at, max(1, at_a_time // n), dim=1):
            ws, v = styles(some), network.motion_encoder.codes(some, points)
            frames = zip(*(torch.split(codes, at_a_time) for codes in (ws, v)), strict=True)
            parts.append(torch.cat([network.frames(*some_codes) for some_codes in frames]))
        return torch.cat(parts, dim=2).float().clamp(-1, 1)


def _still(ws: Float[Tensor, "n l d"]) -> StylesOverTime:
    return lambda t: repeat(ws, "n l d -> n t l d", t=t.shape[1])


def _between(
    a: Float[Tensor, "n l d"], b: Float[Tensor, "n l d"], share: Float[Tensor, "n t"]
) -> Float[Tensor, "n t l d"]:
    """Styles on the way from one to another, which is not left beyond its ends."""
    return torch.lerp(a[:, None], b[:, None], share.clamp(0, 1)[:, :, None, None])
