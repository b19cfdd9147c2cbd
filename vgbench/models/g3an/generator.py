"""The three-stream generator of G3AN.

All maps inside are channels-last, `[b, t, h, w, c]`.
Source: G3AN (CVPR 2020), section 3; wyhsirius/g3an-project `model/networks.py`.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.g3an.attention import FactorizedSelfAttention
from vgbench.models.g3an.config import G3ANConfig
from vgbench.nn.batch_norm import RowBatchNorm
from vgbench.nn.channels_last import StillAndMoving, conv, dense
from vgbench.nn.spectral_norm import SpectralConvTranspose, init_normal
from vgbench.types import VideoSpec

# Standard deviation of normal initial weights (G3AN `model/ops.py`, after DCGAN).
INIT_STD = 0.02


class Scale(NamedTuple):
    """Kernel size, stride and padding of a transposed convolution along time or space."""

    kernel: int
    stride: int
    padding: int


UNFOLD, DOUBLE, KEEP = Scale(4, 1, 0), Scale(4, 2, 1), Scale(1, 1, 0)


class Plan(NamedTuple):
    """Width and up-sampling of one generator block."""

    width: int
    time: Scale
    space: Scale


def block_plans(widths: list[int]) -> list[Plan]:
    """Returns the plans of blocks of these widths: all double space, blocks 2 and 3 also time."""
    times = [UNFOLD, DOUBLE, DOUBLE, *[KEEP] * (len(widths) - 3)]
    spaces = [UNFOLD, *[DOUBLE] * (len(widths) - 1)]
    return [Plan(*plan) for plan in zip(widths, times, spaces, strict=True)]


class UpStage(nn.Sequential):
    """Transposed convolutions, each followed by batch normalisation and ReLU.

    The children are (convolution, norm, ReLU) in turn. The norm sees rows of channels, so
    `torch.nn.SyncBatchNorm.convert_sync_batchnorm` applies.

    Args:
        c_in: Input channels.
        c_out: Output channels of every convolution.
        scales: (time, space) of each convolution.
    """

    def __init__(self, c_in: int, c_out: int, *scales: tuple[Scale, Scale]) -> None:
        layers: list[nn.Module] = []
        for i, (time, space) in enumerate(scales):
            triples = zip(time, space, space, strict=True)
            conv = SpectralConvTranspose(c_out if i else c_in, c_out, *triples)
            layers += [conv, RowBatchNorm(c_out), nn.ReLU(inplace=True)]
        super().__init__(*layers)

    def forward(self, x: Tensor | StillAndMoving) -> Float[Tensor, "b t h w c"]:
        """Returns the up-sampled map."""
        layers = list(self)
        for conv_up, norm, relu in zip(layers[::3], layers[1::3], layers[2::3], strict=True):
            y = conv_up(x)
            x = relu(norm(y.flatten(0, 3))).view(y.shape)
        return dense(x)


def _video_stage(mode: str, c_in: int, plan: Plan) -> UpStage:
    in_time, in_space = (plan.time, KEEP), (KEEP, plan.space)
    if mode == "1p2d":
        return UpStage(c_in, plan.width, in_time, in_space)
    if mode == "2p1d":
        return UpStage(c_in, plan.width, in_space, in_time)
    return UpStage(c_in, plan.width, (plan.time, plan.space))


class G3Block(nn.Module):
    """G3 module: spatial, temporal and video stream, the video stream taking in the others.

    The video map leaves as `concat[tile_T(h_s), h_v + tile_HW(h_t)]`; the other two go on as they
    are. A switched-off stream is not added.

    Args:
        c_s: Input channels of the spatial stream; 0 for none.
        c_t: Input channels of the temporal stream; 0 for none.
        c_v: Input channels of the video stream.
        plan: Width and up-sampling.
        mode: Order of the factors in the video stream.
    """

    def __init__(self, c_s: int, c_t: int, c_v: int, plan: Plan, mode: str) -> None:
        super().__init__()
        self.conv_v = _video_stage(mode, c_v, plan)
        self.conv_s = UpStage(c_s, plan.width, (KEEP, plan.space)) if c_s else None
        self.conv_t = UpStage(c_t, plan.width, (plan.time, KEEP)) if c_t else None

    def forward(
        self,
        s: Float[Tensor, "b 1 h w cs"],
        v: Tensor | StillAndMoving,
        t: Float[Tensor, "b t 1 1 ct"],
    ) -> tuple[Tensor, Tensor | StillAndMoving, Tensor]:
        """Returns the three maps after this block."""
        out = self.conv_v(v)
        if self.conv_t is not None:
            t = self.conv_t(t)
            out = out + t
        if self.conv_s is not None:
            s = self.conv_s(s)
            return s, StillAndMoving(s, out), t
        return s, out, t


class Generator(nn.Module):
    """Videos from an appearance code and a sequence of motion codes.

    State-dict names are those of the published checkpoints. Resolutions other than 64x64 are
    ours; see `G3ANConfig.widths`.

    Args:
        config: Options of the method.
        spec: Channels and size of the videos.

    Raises:
        UsageError: If there are no networks for the resolution.
    """

    def __init__(self, config: G3ANConfig, spec: VideoSpec) -> None:
        super().__init__()
        plans = block_plans(config.widths(spec))
        fused = 2 if config.use_s_stream else 1
        c_s, c_t = config.appearance_dim, config.motion_dim
        c_v = c_s + c_t
        for i, plan in enumerate(plans, start=1):
            streams = (c_s * config.use_s_stream, c_t * config.use_t_stream)
            self.add_module(f"block{i}", G3Block(*streams, c_v, plan, config.mode))
            c_s, c_t, c_v = plan.width, plan.width, fused * plan.width
        self.n_blocks, self.fsa_after = len(plans), config.fsa_after_block
        self.fsa = None
        if config.use_attention:
            width = fused * plans[config.fsa_after_block - 1].width
            self.fsa = FactorizedSelfAttention(width, config.fsa_layout)
        rgb = nn.Conv3d(c_v, spec.channels, (1, 3, 3), padding=(0, 1, 1))
        self.to_rgb = nn.Sequential(rgb, nn.Tanh())
        self._init_weights()

    def _init_weights(self) -> None:
        # The transposed convolutions keep PyTorch's default, as in the published code.
        if self.fsa is not None:
            init_normal(self.fsa, INIT_STD)
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                nn.init.normal_(layer.weight, 0, INIT_STD)
            elif isinstance(layer, RowBatchNorm):
                nn.init.normal_(layer.weight, 1, INIT_STD)

    def forward(
        self, za: Float[Tensor, "b a"], zm: Float[Tensor, "b l m"]
    ) -> Float[Tensor, "b c t h w"]:
        """Returns videos in [-1, 1] of `4 * (l + 3)` frames.

        Args:
            za: Appearance codes, standard normal.
            zm: Motion codes of `l` steps, standard normal; training uses one step for 16 frames.
        """
        s, t = rearrange(za, "b a -> b 1 1 1 a"), rearrange(zm, "b l m -> b l 1 1 m")
        v: Tensor | StillAndMoving = StillAndMoving(s, t)
        for i in range(1, self.n_blocks + 1):
            s, v, t = self.get_submodule(f"block{i}")(s, v, t)
            if self.fsa is not None and i == self.fsa_after:
                v = self.fsa(v)
        return rearrange(self._to_rgb(v), "b t h w c -> b c t h w")

    def _to_rgb(self, v: Tensor | StillAndMoving) -> Float[Tensor, "b t h w c"]:
        to_colours = self.to_rgb[0]
        assert isinstance(to_colours, nn.Conv3d)
        return torch.tanh(conv(v, to_colours.weight, to_colours.bias, padding=(0, 1, 1)))
