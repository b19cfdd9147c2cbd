"""First-frame-aware motion codes and the temporal styles made of them.

Source: StyleInV (ICCV 2023), section 3; johannwyh/StyleInV `training/styleinv/motion.py` and
`styleinv_encoder.py`, whose state-dict names these are.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.styleinv.options import MotionOptions, StyleOptions
from vgbench.nn.equalized import EqualLinear
from vgbench.nn.motion import EqualConv1d, MotionEncoder

_LR_MULT = 0.01


class CausalConv1d(EqualConv1d):
    """Convolution that sees its own place and half a kernel of the past.

    The weights of the future half exist, as in the published ones, but are never used; they
    count in the scale of the others.
    """

    def forward(self, x: Float[Tensor, "b c l"]) -> Float[Tensor, "b c2 l"]:
        """Returns the activated sequence, as long as the given one."""
        past = self.weight.shape[2] // 2
        weight = self.weight[:, :, : past + 1] * self.weight_gain
        y = F.conv1d(F.pad(x, (past, 0)), weight, self.bias * self.bias_gain)
        return F.leaky_relu(y, 0.2)


class FirstFrameMotionEncoder(MotionEncoder):
    """Motion encoder whose code at time 0 is a learned constant, whatever the noise.

    The first noise vector is replaced by a learned one, and a control point depends on its own
    and earlier ones only. At each control point the waves cancel, so the code there is linear in
    that point.

    Args:
        options: Options.
        c_dim: Numbers of a condition that is appended to every noise vector.
    """

    def __init__(self, options: MotionOptions, c_dim: int = 0) -> None:
        super().__init__(options.encoder, c_dim)
        self.frame_0_const = nn.Parameter(torch.randn(options.z_dim))
        if options.anchor_net == "conv":
            widths = (options.z_dim + c_dim, options.z_dim, options.v_dim)
            layers = (CausalConv1d(a, b, options.kernel, _LR_MULT) for a, b in pairwise(widths))
            self.conv = nn.Sequential(*layers)

    def trajectory(
        self, motion_z: Float[Tensor, "b l z"], c: Float[Tensor, "b c"] | None = None
    ) -> Float[Tensor, "b l v"]:
        """Returns the control points; point `i` lies at `i * distance` frames."""
        first = repeat(self.frame_0_const, "z -> b 1 z", b=len(motion_z))
        return super().trajectory(torch.cat([first, motion_z[:, 1:]], dim=1), c)


def build_motion_encoder(options: MotionOptions, c_dim: int = 0) -> MotionEncoder:
    """Returns the motion encoder that the options ask for."""
    if options.first_frame_aware:
        return FirstFrameMotionEncoder(options, c_dim)
    return MotionEncoder(options.encoder, c_dim)


class TemporalStyle(nn.Module):
    """From the video's first style and its motion at some time to a temporal style.

    Args:
        motion: Options of the motion encoder.
        style: Options of the network behind it.
        w_dim: Numbers per style of the image generator.
    """

    def __init__(self, motion: MotionOptions, style: StyleOptions, w_dim: int = 512) -> None:
        super().__init__()
        self.options = style
        self.motion_encoder = build_motion_encoder(motion)
        width = motion.encoder.dim + (w_dim if style.concat_content else 0)
        for i in range(style.layers):
            layer = EqualLinear(width, style.dim, act="lrelu", lr_mult=style.lr_mult)
            self.add_module(f"fcf{i}", layer)
            width = style.dim

    def forward(
        self,
        w0: Float[Tensor, "b d"],
        frame_index: Float[Tensor, "b t"],
        motion_z: Float[Tensor, "b l z"],
    ) -> Float[Tensor, "b t s"]:
        """Returns the temporal style of each frame.

        Args:
            w0: Style of the image that each video starts from.
            frame_index: Times in frames, at least 0.
            motion_z: Noise, see `MotionEncoder.forward`.
        """
        s: Tensor = self.motion_encoder(frame_index, motion_z)
        if self.options.concat_content:
            s = torch.cat([repeat(w0, "b d -> b t d", t=s.shape[1]), s], dim=2)
        for i in range(self.options.layers):
            s = self.get_submodule(f"fcf{i}")(s)
        return s
