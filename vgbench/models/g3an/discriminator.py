"""The video and the image discriminator of G3AN.

Spectrally normalised convolutions with leaky ReLU between them, no batch norm, raw logits.
Source: G3AN (CVPR 2020), section 3; wyhsirius/g3an-project `model/networks.py`.
"""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.generator import INIT_STD
from vgbench.nn.spectral_norm import SpectralConv, init_normal
from vgbench.types import VideoSpec

# Kernel over time, and how many stages have one: four of them and a last kernel of 4 frames take
# exactly the 16 frames of the paper.
_KT, _TIME_STAGES = 4, 4


def _widths(config: G3ANConfig, spec: VideoSpec, unit: int) -> list[int]:
    """Output channels of the stages that halve the map down to 4x4."""
    return [unit * min(2**i, 8) for i in range(len(config.widths(spec)) - 1)]


def _with_lrelu(convs: list[SpectralConv]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for layer in convs:
        layers += [layer, nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers[:-1])


class VideoDiscriminator(nn.Module):
    """Logit of a clip (D_V).

    Each stage halves the map with a (1,4,4) kernel and, in the first four stages, takes in time
    with a (4,1,1) kernel; the `3d` variant has one (4,4,4) kernel instead. The last kernel over
    time has the frames that remain: 4 at 64x64, 7 at 32x32, where there is one stage fewer.
    Beyond 64x64 the further stages leave time alone.

    Args:
        config: Options of the method.
        spec: Channels and size of the videos.
    """

    def __init__(self, config: G3ANConfig, spec: VideoSpec) -> None:
        super().__init__()
        self.shape = (spec.channels, config.frames, spec.height, spec.width)
        widths = _widths(config, spec, config.channels)
        build = _factorised if config.d_v == "1p2d" else _plain
        self.net = _with_lrelu(build(spec.channels, widths, config.frames))
        init_normal(self, INIT_STD)

    def forward(self, video: Float[Tensor, "b c t h w"]) -> Float[Tensor, " b"]:
        """Returns one logit per video.

        Raises:
            UsageError: If the clip has another size than the network was built for.
        """
        _check_shape("video", video, self.shape)
        x = rearrange(video, "b c t h w -> b t h w c").contiguous()
        logits: Tensor = rearrange(self.net(x), "b 1 1 1 1 -> b")
        return logits


def _factorised(c_in: int, widths: list[int], frames: int) -> list[SpectralConv]:
    convs = []
    for i, width in enumerate(widths):
        convs.append(SpectralConv(c_in, width, (1, 4, 4), (1, 2, 2), (0, 1, 1)))
        if i < _TIME_STAGES:
            convs.append(SpectralConv(width, width, (_KT, 1, 1)))
        c_in = width
    convs.append(SpectralConv(c_in, c_in, (1, 4, 4)))
    convs.append(SpectralConv(c_in, 1, (_frames_left(widths, frames), 1, 1)))
    return convs


def _plain(c_in: int, widths: list[int], frames: int) -> list[SpectralConv]:
    convs = []
    for i, width in enumerate(widths):
        kt = _KT if i < _TIME_STAGES else 1
        convs.append(SpectralConv(c_in, width, (kt, 4, 4), (1, 2, 2), (0, 1, 1)))
        c_in = width
    convs.append(SpectralConv(c_in, 1, (_frames_left(widths, frames), 4, 4)))
    return convs


def _frames_left(widths: list[int], frames: int) -> int:
    return frames - (_KT - 1) * min(len(widths), _TIME_STAGES)


class ImageDiscriminator(nn.Module):
    """Logit of a frame (D_I): convolutions that halve the map down to 4x4, then one of 4x4.

    Args:
        config: Options of the method.
        spec: Channels and size of the frames.
    """

    def __init__(self, config: G3ANConfig, spec: VideoSpec) -> None:
        super().__init__()
        self.shape = (spec.channels, spec.height, spec.width)
        convs, c_in = [], spec.channels
        for width in _widths(config, spec, config.image_channels or config.channels):
            convs.append(SpectralConv(c_in, width, (4, 4), (1, 2, 2), (0, 1, 1)))
            c_in = width
        self.net = _with_lrelu([*convs, SpectralConv(c_in, 1, (4, 4))])
        init_normal(self, INIT_STD)

    def forward(self, frame: Float[Tensor, "b c h w"]) -> Float[Tensor, " b"]:
        """Returns one logit per frame.

        Raises:
            UsageError: If the frame has another size than the network was built for.
        """
        _check_shape("image", frame, self.shape)
        x = rearrange(frame, "b c h w -> b 1 h w c").contiguous()
        logits: Tensor = rearrange(self.net(x), "b 1 1 1 1 -> b")
        return logits


def _check_shape(kind: str, x: Tensor, shape: tuple[int, ...]) -> None:
    # Other sizes would give several logits per clip, which no loss here is meant for.
    if tuple(x.shape[1:]) != shape:
        raise UsageError(
            f"this {kind} discriminator was built for (batch, {', '.join(map(str, shape))}), "
            f"got {tuple(x.shape)}"
        )
