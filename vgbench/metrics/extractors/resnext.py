"""3D ResNeXt-101 (Kinetics-400), the network of the video Frechet distance of G3AN."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vgbench.metrics.extractors.base import NetworkExtractor
from vgbench.metrics.extractors.folded_conv import FoldedConv
from vgbench.metrics.extractors.resize import RESNEXT_INPUTS, Preprocess

Triple = tuple[int, int, int]

GROUPS = 32
N_CLASSES = 400
# Blocks and inner channels of the four stages; a block gives twice its inner channels.
STAGES = ((3, 128), (4, 256), (23, 512), (3, 1024))
_EXPANSION = 2
_SAME: Triple = (1, 1, 1)
_NONE: Triple = (0, 0, 0)


class Bottleneck(nn.Module):
    """1x1x1, grouped 3x3x3 and 1x1x1 convolution around a shortcut.

    The shortcut is a strided 1x1x1 convolution wherever the shape changes (type B).

    Args:
        in_channels: Channels of the input.
        inner: Channels of the grouped convolution.
        stride: Step of the grouped convolution along all axes.
    """

    def __init__(self, in_channels: int, inner: int, stride: int) -> None:
        super().__init__()
        out = inner * _EXPANSION
        self.conv1 = nn.Conv3d(in_channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(inner)
        self.conv2 = nn.Conv3d(inner, inner, 3, stride, 1, groups=GROUPS, bias=False)
        self.bn2 = nn.BatchNorm3d(inner)
        self.conv3 = nn.Conv3d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(out)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or in_channels != out:
            shortcut = nn.Conv3d(in_channels, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(out))
        self.folded: nn.ModuleList | None = None

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c2 t2 h2 w2"]:
        """Returns relu(branch + shortcut)."""
        if self.folded is not None:
            enter, grouped, leave, *shortcut = self.folded
            branch = leave(grouped(enter(x, _NONE), _SAME), _NONE)
            return F.relu(branch + (shortcut[0](x, _NONE) if shortcut else x))
        branch = F.relu(self.bn1(self.conv1(x)))
        branch = self.bn3(self.conv3(F.relu(self.bn2(self.conv2(branch)))))
        return F.relu(branch + (x if self.downsample is None else self.downsample(x)))

    def fold(self, dtype: torch.dtype = torch.float32) -> None:
        """Makes convolutions, normalisations and ReLUs single operations in a number format."""
        if self.folded is not None:
            return
        parts = [
            FoldedConv(self.conv1, self.bn1, dtype=dtype),
            FoldedConv(self.conv2, self.bn2, dtype=dtype),
            FoldedConv(self.conv3, self.bn3, relu=False, dtype=dtype),
        ]
        if self.downsample is not None:
            parts.append(FoldedConv(*self.downsample, relu=False, dtype=dtype))
        del self.conv1, self.bn1, self.conv2, self.bn2, self.conv3, self.bn3, self.downsample
        self.folded = nn.ModuleList(parts)


class ResNeXt101(nn.Module):
    """ResNeXt-101 with 3-D convolutions and 32 groups, for clips of 16 frames at 112x112.

    Parameters are named as in the 3D-ResNets repository, whose published files users import.

    Source: Hara, Kataoka and Satoh (CVPR 2018), table 1 and figure 3; Xie et al. (CVPR 2017).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, 64, 7, (1, 2, 2), 3, bias=False)
        self.bn1 = nn.BatchNorm3d(64)
        self.folded: FoldedConv | None = None
        channels = 64
        for number, (blocks, inner) in enumerate(STAGES, start=1):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(Bottleneck(channels, inner, 2 if number > 1 and block == 0 else 1))
                channels = inner * _EXPANSION
            self.add_module(f"layer{number}", stage)
        self.fc = nn.Linear(channels, N_CLASSES)

    def forward(self, x: Float[Tensor, "b 3 t h w"]) -> Float[Tensor, "b 2048"]:
        """Returns the global average behind the last block.

        Args:
            x: Videos in grey levels, the mean colour subtracted.
        """
        if self.folded is not None:
            x = self.folded(x, (3, 3, 3))
        else:
            x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool3d(x, 3, stride=2, padding=1)
        for number in range(1, len(STAGES) + 1):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3, 4), dtype=torch.float32)

    def fold(self, dtype: torch.dtype = torch.float32) -> None:
        """Absorbs all normalisations into the convolutions, for faster inference."""
        if self.folded is None:
            self.folded = FoldedConv(self.conv1, self.bn1, dtype=dtype)
            del self.conv1, self.bn1
        for module in self.modules():
            if isinstance(module, Bottleneck):
                module.fold(dtype)


class ResNeXtPool(NetworkExtractor):
    """2048 averages of a 3D ResNeXt-101, the features of G3AN's video Frechet distance.

    Source: wyhsirius/g3an-project `evaluation`.
    """

    name = "resnext101-k400"
    dim = 2048
    network: ClassVar[type[nn.Module]] = ResNeXt101
    weights_name: ClassVar[str] = "resnext101-k400"
    inputs: ClassVar[Mapping[str, Preprocess]] = RESNEXT_INPUTS

    def features(self, clips: UInt8[Tensor, "b t h w 3"]) -> Float[Tensor, "b 2048"]:
        """Returns the float32 features of a group of clips."""
        frames = self.prepare(rearrange(clips, "b t h w c -> (b t) h w c"))
        x = rearrange(frames, "(b t) c h w -> b c t h w", b=len(clips))
        pool: Tensor = self.net(x.contiguous(memory_format=torch.channels_last_3d))
        return pool
