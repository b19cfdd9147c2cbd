"""Video generators that render any moment of a video by itself."""

from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.mapping import MappingNetwork


class ContinuousGenerator(nn.Module):
    """A content code per video, a motion code per moment, and an image network of both.

    Source: StyleGAN-V (CVPR 2022), section 3; state-dict names are those of
    universome/stylegan-v `src/training/networks.py`.

    Args:
        synthesis: Network from styles `[n, l, d]`, motion codes `[n, m]` and whether running
            averages are updated to images `[n, c, h, w]`; its `motion_encoder` is a
            `vgbench.nn.motion.MotionEncoder`.
        mapping: Mapping network.
        num_ws: Styles that `synthesis` takes.
    """

    def __init__(self, synthesis: nn.Module, mapping: MappingNetwork, num_ws: int) -> None:
        super().__init__()
        self.num_ws = num_ws
        self.synthesis, self.mapping = synthesis, mapping

    def styles(
        self,
        z: Float[Tensor, "b z"],
        c: Float[Tensor, "b k"] | None = None,
        truncation_psi: float = 1.0,
        update_emas: bool = False,
    ) -> Float[Tensor, "b l d"]:
        """Returns the style of each latent, repeated for every layer.

        Args:
            z: Latents, standard normal.
            c: Labels; looked at only by a network that has them.
            truncation_psi: 1 for the full variety, less for more typical content.
            update_emas: Whether the mean style takes these into account.
        """
        w = self.mapping(z, c)
        if update_emas:
            self.mapping.update_average(w)
        if truncation_psi != 1:
            w = self.mapping.w_avg.lerp(w, truncation_psi)
        ws: Tensor = repeat(w, "b d -> b l d", l=self.num_ws)
        return ws

    def motion(
        self,
        t: Float[Tensor, "b t"],
        motion_z: Float[Tensor, "b l z"],
        c: Float[Tensor, "b k"] | None = None,
    ) -> Float[Tensor, "b t m"]:
        """Returns the motion codes of each video at its times; see `MotionEncoder`."""
        codes: Tensor = self.synthesis.get_submodule("motion_encoder")(t, motion_z, c)
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
