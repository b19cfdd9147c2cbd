"""What video GANs have in common whose motion is a curve of codes over time."""

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from vgbench.models.style_training import StyleGAN
from vgbench.nn.motion import MotionEncoder
from vgbench.nn.noise import GeneratorLike, normal_sequence

# Pixels that are rendered at one time when sampling; bounds memory whatever the length.
PIXELS_AT_A_TIME = 2**20


class MotionCurveGAN(StyleGAN):
    """A video GAN with a motion code for any time, so that a video has no end.

    A method implements `motion_encoder` and `frames_at`, besides what `StyleGAN` asks for. Of a
    video's random numbers it draws the content first, then the label, and the motion last.
    """

    @property
    @abstractmethod
    def motion_encoder(self) -> MotionEncoder:
        """The network that makes the motion codes of `sampler`."""

    @abstractmethod
    def _content(self, n: int, generator: GeneratorLike) -> Float[Tensor, "n z"]:
        """Draws what the frames of a video share."""

    @abstractmethod
    def frames_at(
        self, n: int, times: Float[Tensor, " t"], generator: GeneratorLike
    ) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos at any times, float32 in [-1, 1].

        The same state of `generator` gives the same videos whatever the times: those after 1000
        frames are what `sample` draws there. The module's mode is restored.

        Args:
            n: Number of videos.
            times: Times of the frames, in frames, at least 0, in any order.
            generator: As in `sample`.
        """

    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns `n` videos that start at time 0."""
        return self.frames_at(n, torch.arange(float(frames)), generator)

    @property
    def anchor_distance(self) -> int:
        """Frames between the control points of the motion; the first one is at time 0."""
        return self.motion_encoder.config.distance

    @torch.no_grad()
    def motion_trajectory(
        self, n: int, times: Float[Tensor, " t"], generator: GeneratorLike
    ) -> Float[Tensor, "n t m"]:
        """Returns the motion codes of the videos that `frames_at` renders with these arguments."""
        with self.evaluating():
            self._content(n, generator)  # drawn first, here as there
            c = self.class_codes(self.draw_labels(n, generator))
            noise = self._motion_noise(n, float(times.max()), generator)
            at = times.to(self.device, torch.float32).expand(n, -1)
            codes: Tensor = self.motion_encoder(at, noise, c)
            return codes

    def _motion_noise(
        self, n: int, last: float, generator: GeneratorLike
    ) -> Float[Tensor, "n l z"]:
        """The noise of videos up to time `last`; drawn last, as its length varies."""
        options = self.motion_encoder.config
        length = options.noise_length(last)
        return normal_sequence(n, length, options.z_dim, generator, self.device)
