"""Video generators that render any moment of a video by itself."""

from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from vgbench.nn.motion import MotionEncoder
from vgbench.nn.styled_generator import StyledGenerator


class ContinuousGenerator(StyledGenerator):
    """A content code per video, a motion code per moment, and an image network of both.

    Source: StyleGAN-V (CVPR 2022), section 3; state-dict names are those of
    universome/stylegan-v `src/training/networks.py`.

    Args:
        synthesis: Network from styles `[n, l, d]`, motion codes `[n, m]` and whether running
            averages are updated to images `[n, c, h, w]`; it has a `motion_encoder`.
        mapping: Mapping network.
        num_ws: Styles that `synthesis` takes.
    """

    @property
    def motion_encoder(self) -> MotionEncoder:
        """The network that makes motion codes."""
        encoder = self.synthesis.get_submodule("motion_encoder")
        assert isinstance(encoder, MotionEncoder)
        return encoder

    def motion(
        self,
        t: Float[Tensor, "b t"],
        motion_z: Float[Tensor, "b l z"],
        c: Float[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Returns the motion codes of each video at its times; see `MotionEncoder`."""
        codes: Tensor = self.motion_encoder(t, motion_z, c)
        return codes

    def frames(
        self,
        ws: Float[Tensor, "b t l d"],
        v: Float[Tensor, "b t m"],
        update_emas: bool = False,
    ) -> Float[Tensor, "b c t h w"]:
        """Returns videos, roughly in [-1, 1], each frame of its own styles and motion code."""
        each = rearrange(ws, "b t l d -> (b t) l d"), rearrange(v, "b t m -> (b t) m")
        images: Tensor = self.synthesis(*each, update_emas)
        video: Tensor = rearrange(images, "(b t) c h w -> b c t h w", t=v.shape[1])
        return video

    def forward(
        self,
        z: Float[Tensor, "b z"],
        t: Float[Tensor, "b t"],
        motion_z: Float[Tensor, "b l y"],
        c: Float[Tensor, "b k"] | None = None,
        truncation_psi: float = 1.0,
        update_emas: bool = False,
    ) -> Float[Tensor, "b c t h w"]:
        """Returns videos, roughly in [-1, 1].

        Args:
            z: Latents of the content, standard normal.
            t: Times of the frames, in frames.
            motion_z: Noise that the motion is made from; see `MotionEncoder`.
            c: Labels; looked at only by a network that has them.
            truncation_psi: 1 for the full variety, less for more typical content.
            update_emas: Whether running averages take this batch into account.
        """
        ws = self.styles(z, c, truncation_psi, update_emas)
        ws = repeat(ws, "b l d -> b t l d", t=t.shape[1])
        return self.frames(ws, self.motion(t, motion_z, c), update_emas)
