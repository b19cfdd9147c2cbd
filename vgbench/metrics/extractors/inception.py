"""Inception-v3 of 2015-12-05, the network of the Frechet inception distance."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vgbench.metrics.extractors.base import NetworkExtractor
from vgbench.metrics.extractors.folded_conv import FoldedConv
from vgbench.metrics.extractors.resize import INCEPTION_INPUTS, Preprocess

Pair = tuple[int, int]

N_CLASSES = 1008  # class 0 is background; about 1000 are used
BN_EPS = 1e-3


class ConvUnit(nn.Module):
    """Convolution, batch normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Rows and columns of the window, or one number for both.
        stride: Its step.
        valid: Whether nothing is padded; otherwise the size stays (for stride 1).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | Pair = 1,
        stride: int = 1,
        valid: bool = False,
    ) -> None:
        super().__init__()
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.padding = (0, 0) if valid else (rows // 2, columns // 2)
        self.conv = nn.Conv2d(
            in_channels, out_channels, (rows, columns), stride, self.padding, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=BN_EPS)
        self.folded: FoldedConv | None = None

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Returns relu(bn(conv(x)))."""
        if self.folded is not None:
            out: Tensor = self.folded(x, self.padding)
            return out
        return F.relu(self.bn(self.conv(x)), inplace=not torch.is_grad_enabled())

    def fold(self, dtype: torch.dtype = torch.float32) -> None:
        """Makes convolution, normalisation and ReLU one operation in the given number format."""
        if self.folded is None:
            self.folded = FoldedConv(self.conv, self.bn, dtype=dtype)
            del self.conv, self.bn


def average_pool(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Returns 3x3 means whose divisor counts only pixels inside the image.

    torchvision's Inception-v3 counts the padding too.
    """
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(nn.Module):
    """Mixed_5b, 5c and 5d: branches 1x1, 5x5, double 3x3 and pool, at 35x35."""

    def __init__(self, in_channels: int, pool_channels: int) -> None:
        super().__init__()
        self.branch1x1 = ConvUnit(in_channels, 64)
        self.branch5x5_1 = ConvUnit(in_channels, 48)
        self.branch5x5_2 = ConvUnit(48, 64, 5)
        self.branch3x3dbl_1 = ConvUnit(in_channels, 64)
        self.branch3x3dbl_2 = ConvUnit(64, 96, 3)
        self.branch3x3dbl_3 = ConvUnit(96, 96, 3)
        self.branch_pool = ConvUnit(in_channels, pool_channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h w"]:
        """Returns the four branches, concatenated."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        pooled = self.branch_pool(average_pool(x))
        return torch.cat((self.branch1x1(x), five, double, pooled), dim=1)


class BlockB(nn.Module):
    """Mixed_6a: halves 35x35 to 17x17."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3 = ConvUnit(in_channels, 384, 3, stride=2, valid=True)
        self.branch3x3dbl_1 = ConvUnit(in_channels, 64)
        self.branch3x3dbl_2 = ConvUnit(64, 96, 3)
        self.branch3x3dbl_3 = ConvUnit(96, 96, 3, stride=2, valid=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Returns two strided branches and a max pool, concatenated."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch3x3(x), double, F.max_pool2d(x, 3, stride=2)), dim=1)


class BlockC(nn.Module):
    """Mixed_6b to 6e: 7x7 windows factored into rows and columns, at 17x17."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = ConvUnit(in_channels, 192)
        self.branch7x7_1 = ConvUnit(in_channels, channels)
        self.branch7x7_2 = ConvUnit(channels, channels, row)
        self.branch7x7_3 = ConvUnit(channels, 192, column)
        self.branch7x7dbl_1 = ConvUnit(in_channels, channels)
        self.branch7x7dbl_2 = ConvUnit(channels, channels, column)
        self.branch7x7dbl_3 = ConvUnit(channels, channels, row)
        self.branch7x7dbl_4 = ConvUnit(channels, channels, column)
        self.branch7x7dbl_5 = ConvUnit(channels, 192, row)
        self.branch_pool = ConvUnit(in_channels, 192)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h w"]:
        """Returns the four branches, concatenated."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        pooled = self.branch_pool(average_pool(x))
        return torch.cat((self.branch1x1(x), single, double, pooled), dim=1)


class BlockD(nn.Module):
    """Mixed_7a: halves 17x17 to 8x8."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.branch3x3_1 = ConvUnit(in_channels, 192)
        self.branch3x3_2 = ConvUnit(192, 320, 3, stride=2, valid=True)
        self.branch7x7x3_1 = ConvUnit(in_channels, 192)
        self.branch7x7x3_2 = ConvUnit(192, 192, (1, 7))
        self.branch7x7x3_3 = ConvUnit(192, 192, (7, 1))
        self.branch7x7x3_4 = ConvUnit(192, 192, 3, stride=2, valid=True)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Returns two strided branches and a max pool, concatenated."""
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        pooled = F.max_pool2d(x, 3, stride=2)
        return torch.cat((three, self.branch7x7x3_4(seven), pooled), dim=1)


class BlockE(nn.Module):
    """Mixed_7b and 7c: forked 3x3 windows at 8x8; 7c pools the maximum where 7b pools the mean."""

    def __init__(self, in_channels: int, max_pool: bool) -> None:
        super().__init__()
        row, column = (1, 3), (3, 1)
        self.max_pool = max_pool
        self.branch1x1 = ConvUnit(in_channels, 320)
        self.branch3x3_1 = ConvUnit(in_channels, 384)
        self.branch3x3_2a = ConvUnit(384, 384, row)
        self.branch3x3_2b = ConvUnit(384, 384, column)
        self.branch3x3dbl_1 = ConvUnit(in_channels, 448)
        self.branch3x3dbl_2 = ConvUnit(448, 384, 3)
        self.branch3x3dbl_3a = ConvUnit(384, 384, row)
        self.branch3x3dbl_3b = ConvUnit(384, 384, column)
        self.branch_pool = ConvUnit(in_channels, 192)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h w"]:
        """Returns the six branch ends, concatenated."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.max_pool else average_pool(x)
        ends = (
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        )
        return torch.cat(ends, dim=1)


class InceptionV3(nn.Module):
    """The Inception-v3 that FID is defined by; not torchvision's.

    It differs in the divisor of its average pools, in the max pool of Mixed_7c, in its 1008
    classes and in having neither an auxiliary head nor a change of the input. Parameters are
    named as in pytorch-fid and torch-fidelity.

    Source: the frozen graph `inception-2015-12-05.tgz`; Szegedy et al. (CVPR 2016); checked
    against recorded taps of torch-fidelity.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvUnit(3, 32, 3, stride=2, valid=True)
        self.Conv2d_2a_3x3 = ConvUnit(32, 32, 3, valid=True)
        self.Conv2d_2b_3x3 = ConvUnit(32, 64, 3)
        self.Conv2d_3b_1x1 = ConvUnit(64, 80)
        self.Conv2d_4a_3x3 = ConvUnit(80, 192, 3, valid=True)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(768, 128)
        self.Mixed_6c = BlockC(768, 160)
        self.Mixed_6d = BlockC(768, 160)
        self.Mixed_6e = BlockC(768, 192)
        self.Mixed_7a = BlockD(768)
        self.Mixed_7b = BlockE(1280, max_pool=False)
        self.Mixed_7c = BlockE(2048, max_pool=True)
        self.fc = nn.Linear(2048, N_CLASSES)

    def taps(self, x: Float[Tensor, "n 3 299 299"]) -> dict[int, Float[Tensor, "n _"]]:
        """Returns the globally averaged features after four stages, by their number of channels.

        Args:
            x: Images in [-1, 1).

        Returns:
            64: after the first max pool; 192: after the second; 768: after Mixed_6e; 2048: after
            Mixed_7c, the features of FID.
        """
        found = {}
        for stage in (self._stem, self._second, self._middle, self._last):
            x = stage(x)
            found[x.shape[1]] = _average(x)
        return found

    def _stem(self, x: Tensor) -> Tensor:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        return F.max_pool2d(x, 3, stride=2)

    def _second(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, stride=2)

    def _middle(self, x: Tensor) -> Tensor:
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        out: Tensor = self.Mixed_6e(self.Mixed_6d(x))
        return out

    def _last(self, x: Tensor) -> Tensor:
        out: Tensor = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return out

    def unbiased_logits(self, pool: Float[Tensor, "n 2048"]) -> Float[Tensor, "n classes"]:
        """Returns class scores without the bias, as the Inception score uses them.

        Args:
            pool: The features of tap 2048.
        """
        return F.linear(pool, self.fc.weight)

    def forward(self, x: Float[Tensor, "n 3 299 299"]) -> Float[Tensor, "n 2048"]:
        """Returns the features of FID: the global average after Mixed_7c."""
        return _average(self._last(self._middle(self._second(self._stem(x)))))

    def fold(self, dtype: torch.dtype = torch.float32) -> None:
        """Absorbs all normalisations into the convolutions, for faster inference."""
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fold(dtype)


def _average(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    return x.mean(dim=(2, 3), dtype=torch.float32)


class InceptionPool(NetworkExtractor):
    """The features of FID: 2048 averages after the last block.

    An image is a clip of one frame; frames of longer clips are folded into the batch by the
    caller (`rearrange(clips, "b t h w c -> (b t) 1 h w c")`).

    Source: Heusel et al. (NeurIPS 2017); torch-fidelity `feature_extractor_inceptionv3.py`.
    """

    name = "inception-2015"
    dim = 2048
    network: ClassVar[type[nn.Module]] = InceptionV3
    weights_name: ClassVar[str] = "inception-2015"
    inputs: ClassVar[Mapping[str, Preprocess]] = INCEPTION_INPUTS
    max_frames: ClassVar[int | None] = 1
    gpu_group = 32

    def features(self, clips: UInt8[Tensor, "b 1 h w 3"]) -> Float[Tensor, "b 2048"]:
        """Returns the float32 features of a group of one-frame clips."""
        images = self.prepare(clips[:, 0]).contiguous(memory_format=torch.channels_last)
        pool: Tensor = self.net(images)
        return pool
