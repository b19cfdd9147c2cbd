"""The generator of StyleSV: alias-free, with motion in its input and in every style.

Source: "Towards Smooth Video Composition" (ICLR 2023); state-dict names are those of
genforce/StyleSV `src/training/networks.py`. In the released training neither the mean style nor
the running magnitudes are ever updated; here `update_emas` does so.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.stylesv.options import MotionFusion
from vgbench.nn.continuous_generator import ContinuousGenerator
from vgbench.nn.equalized import EqualLinear
from vgbench.nn.fourier_input import FourierInput
from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.motion import MotionEncoder
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan3.options import Band, LayerSchedule, LowRankOptions
from vgbench.nn.stylegan3.synthesis import AliasFreeLayers

# Share of the old average in each update of the mean style (StyleGAN3).
_W_AVG_BETA = 0.998
_MAPPING_LAYERS = 2


class MotionInput(FourierInput):
    """Fourier features, each channel shifted by the motion.

    Args:
        w_dim: Numbers per style.
        band: What the map can hold.
        motion_dim: Numbers per motion code.
    """

    def __init__(self, w_dim: int, band: Band, motion_dim: int) -> None:
        super().__init__(w_dim, band.channels, band.size, band.rate, band.cutoff)
        self.motion_affine = EqualLinear(motion_dim, band.channels, bias_init=1.0)

    def forward(
        self, w: Float[Tensor, "n w"], shift: Float[Tensor, "n c"] | None = None
    ) -> Float[Tensor, "n c h h"]:
        """Returns the input map of each style, plus a number per channel."""
        x = super().forward(w)
        return x if shift is None else x + shift[:, :, None, None]


class Synthesis(AliasFreeLayers):
    """Images from styles and motion codes.

    Args:
        schedule: Sizes and frequencies.
        motion: Options of the motion encoder.
        fusion: Where motion enters.
        w_dim: Numbers per style.
        c_dim: Numbers of the label; 0 for none.
    """

    motion_mask: Tensor

    def __init__(
        self,
        schedule: LayerSchedule,
        motion: MotionConfig,
        fusion: MotionFusion,
        w_dim: int,
        c_dim: int = 0,
    ) -> None:
        first, dim, rank = schedule.bands[0], motion.dim, fusion.low_rank
        fusion.check(w_dim, dim, first.channels)
        low_rank = LowRankOptions(rank, dim, fusion.reference_compat) if rank else None
        super().__init__(schedule, w_dim, low_rank)
        self.fusion = fusion
        self.motion_encoder = MotionEncoder(motion, c_dim)
        self.input = MotionInput(w_dim, first, dim)
        mask = torch.full((1, dim), fusion.mask_init)
        if fusion.learn_mask:
            self.motion_mask = nn.Parameter(mask)
        else:
            self.register_buffer("motion_mask", mask)
        if fusion.fuse == "concat":
            self.affine_w = EqualLinear(w_dim + dim, w_dim, bias_init=1.0)

    def forward(
        self,
        ws: Float[Tensor, "n l d"],
        v: Float[Tensor, "n m"],
        update_emas: bool = False,
    ) -> Float[Tensor, "n c h w"]:
        """Returns images, roughly in [-1, 1].

        Args:
            ws: A style for the input and one for each layer.
            v: Motion codes.
            update_emas: Whether running magnitudes are updated.
        """
        v = v * self.motion_mask
        shift = self.input.motion_affine(v)
        if self.fusion.fuse == "add" and self.fusion.reference_compat:
            shift = shift * self.motion_mask
        x = self.input(ws[:, 0], shift)
        return self.render(x, self._fused(ws[:, 1:], v), v, update_emas)

    def _fused(self, ws: Tensor, v: Float[Tensor, "n m"]) -> Float[Tensor, "n l d"]:
        """The styles of the layers, moved by the motion."""
        if self.fusion.fuse == "add":
            return ws + v[:, None]
        both = torch.cat([ws, v[:, None].expand(-1, ws.shape[1], -1)], dim=2)
        fused: Tensor = self.affine_w(both)
        return fused


class Generator(ContinuousGenerator):
    """Videos from content and motion latents.

    Args:
        schedule: Sizes and frequencies.
        motion: Options of the motion encoder.
        fusion: Where motion enters.
        z_dim: Numbers per latent of the content.
        c_dim: Numbers of the label; 0 for none.
        w_dim: Numbers per style.

    Raises:
        UsageError: If the widths do not suit the fusion.
    """

    def __init__(
        self,
        schedule: LayerSchedule,
        motion: MotionConfig,
        fusion: MotionFusion | None = None,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
    ) -> None:
        synthesis = Synthesis(schedule, motion, fusion or MotionFusion(), w_dim, c_dim)
        mapping = MappingNetwork(z_dim, c_dim, w_dim, _MAPPING_LAYERS, w_avg_beta=_W_AVG_BETA)
        super().__init__(synthesis, mapping, schedule.num_ws)
