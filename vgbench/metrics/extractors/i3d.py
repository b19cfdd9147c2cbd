"""I3D on RGB clips (Kinetics-400), the network of the Frechet video distance."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vgbench.metrics.extractors.base import NetworkExtractor
from vgbench.metrics.extractors.folded_conv import FoldedConv
from vgbench.metrics.extractors.resize import I3D_INPUTS, Preprocess

Triple = tuple[int, int, int]
ReadFrames = Callable[[int, int], Float[Tensor, "b c t h w"]]

MIN_FRAMES = 9  # one frame less leaves a single time step in front of the 2x7x7 average pool
N_CLASSES = 400
CHUNK = 16  # time steps of a streamed convolution: 32 frames of the stem
BN_EPS = 1e-3  # the constant of the TF-Hub graph; ports with PyTorch's 1e-5 differ slightly

# Channels of the Mixed blocks: 1x1 | 1x1 then 3x3x3 | 1x1 then 3x3x3 | 3x3x3 max pool then 1x1.
# Source: Carreira and Zisserman (CVPR 2017), figure 3; kinetics-i3d `i3d.py`.
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns how many samples TensorFlow's SAME puts in front of and behind an axis.

    Args:
        size: Length of the axis.
        kernel: Length of the window.
        stride: Step of the window.
    """
    total = max(kernel - (size % stride or stride), 0)
    return total // 2, total - total // 2


class ConvUnit(nn.Module):
    """Convolution with SAME padding, batch normalisation and ReLU.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Window in time, rows and columns.
        stride: Its steps.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Triple = (1, 1, 1),
        stride: Triple = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = nn.Conv3d(in_channels, out_channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out_channels, eps=BN_EPS)
        self.folded: FoldedConv | None = None

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c2 t2 h2 w2"]:
        """Returns relu(bn(conv(x)))."""
        return self.window(x, same_padding(x.shape[2], self.kernel[0], self.stride[0]))

    def window(
        self, x: Float[Tensor, "b c t h w"], ends: tuple[int, int]
    ) -> Float[Tensor, "b c2 t2 h2 w2"]:
        """Returns the result for a part of a clip.

        Args:
            x: Consecutive frames.
            ends: Zero frames in front of and behind them; none where the clip goes on.
        """
        x, padding = self._padded(x, ends)
        if self.folded is not None:
            fused: Tensor = self.folded(x, padding)
            return fused
        out = F.conv3d(x, self.conv3d.weight, None, self.stride, padding)
        return F.relu(self.bn(out), inplace=not torch.is_grad_enabled())

    def _padded(self, x: Tensor, ends: tuple[int, int]) -> tuple[Tensor, Triple]:
        """Returns `x` padded where that is lopsided, and the padding left to the convolution."""
        space = zip(x.shape[3:], self.kernel[1:], self.stride[1:], strict=True)
        pads = [ends, *(same_padding(*axis) for axis in space)]
        left = [front if front == back else 0 for front, back in pads]
        now = [(0, 0) if front == back else (front, back) for front, back in pads]
        if any(map(any, now)):
            x = F.pad(x, [n for pad in reversed(now) for n in pad])
        return x, (left[0], left[1], left[2])

    def fold(self, dtype: torch.dtype = torch.float32) -> None:
        """Makes convolution, normalisation and ReLU one operation in the given number format."""
        if self.folded is None:
            self.folded = FoldedConv(self.conv3d, self.bn, dtype=dtype)
            del self.conv3d, self.bn


class MaxPool(nn.Module):
    """Max pooling with SAME padding, first in space, then in time.

    TensorFlow and PyTorch pad it with minus infinity; ports that pad with zeros agree behind a
    ReLU.
    """

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c t2 h2 w2"]:
        """Returns the maximum of each window."""
        if self.kernel == (3, 3, 3) and self.stride == (1, 1, 1):
            for axis in (2, 3, 4):
                x = largest_of_three(x, axis)
            return x
        sizes = zip(x.shape[2:], self.kernel, self.stride, strict=True)
        # What SAME adds behind an axis beyond the front is what rounding up reaches over.
        time, rows, columns = (same_padding(*axis)[0] for axis in sizes)
        (kt, kh, kw), (st, sh, sw) = self.kernel, self.stride
        x = F.max_pool3d(x, (1, kh, kw), (1, sh, sw), (0, rows, columns), ceil_mode=True)
        if kt > 1:
            x = F.max_pool3d(x, (kt, 1, 1), (st, 1, 1), (time, 0, 0), ceil_mode=True)
        return x


def largest_of_three(x: Float[Tensor, "b c t h w"], axis: int) -> Float[Tensor, "b c t h w"]:
    """Returns the maximum of each value and its two neighbours along an axis.

    A third of the time of a pooling operation on a CPU, which also looks for the place.
    """
    size = x.shape[axis]
    out = x.clone()
    for to, start in ((1, 0), (0, 1)):
        part = out.narrow(axis, to, size - 1)
        torch.maximum(part, x.narrow(axis, start, size - 1), out=part)
    return out


class Mixed(nn.Module):
    """Inception block: four branches side by side, concatenated over channels.

    Args:
        in_channels: Channels of the input.
        channels: One row of `MIXED`.
    """

    def __init__(self, in_channels: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, three_in, three, small_in, small, pooled = channels
        self.b0 = ConvUnit(in_channels, one)
        self.b1a = ConvUnit(in_channels, three_in)
        self.b1b = ConvUnit(three_in, three, (3, 3, 3))
        self.b2a = ConvUnit(in_channels, small_in)
        self.b2b = ConvUnit(small_in, small, (3, 3, 3))
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = ConvUnit(in_channels, pooled)
        self.out_channels = one + three + small + pooled

    def forward(self, x: Float[Tensor, "b c t h w"]) -> Float[Tensor, "b c2 t h w"]:
        """Returns the four branches, concatenated."""
        branches = (
            self.b0(x),
            self.b1b(self.b1a(x)),
            self.b2b(self.b2a(x)),
            self.b3b(self.b3a(x)),
        )
        return torch.cat(branches, dim=1)


class Logits(nn.Module):
    """2x7x7 average pool, 1x1x1 convolution and mean over time, pooled once.

    All three are linear, so the last activations are first averaged with the weight that each
    time step has in the overlapping windows: 1/2 at both ends and 1 between, over T'.
    """

    def __init__(self, in_channels: int = 1024) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(in_channels, N_CLASSES, 1)

    def forward(self, x: Float[Tensor, "b c t 7 7"]) -> Float[Tensor, "b classes"]:
        """Returns the logits of activations `x` with t >= 2, averaged over the t - 1 windows."""
        steps = torch.ones(x.shape[2], dtype=torch.float64, device=x.device)
        steps[0] = steps[-1] = 0.5
        pooled = x.mean(dim=(3, 4), dtype=torch.float64) @ (steps / (x.shape[2] - 1))
        weight = rearrange(self.conv3d.weight, "k c 1 1 1 -> k c").double()
        assert self.conv3d.bias is not None  # built with one
        return F.linear(pooled, weight, self.conv3d.bias.double()).to(
            torch.promote_types(x.dtype, torch.float32)
        )


class I3D(nn.Module):
    """Two-stream inflated 3D ConvNet, RGB stream, whose children are its endpoints in order.

    Parameters are named as in piergiaj/pytorch-i3d. Every axis is padded as TensorFlow's SAME
    would, from its actual size, so any number of frames from 9 on is treated exactly.

    Source: Carreira and Zisserman (CVPR 2017); checked against recorded endpoints of
    piergiaj/pytorch-i3d.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = ConvUnit(3, 64, (7, 7, 7), (2, 2, 2))
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        self.Conv3d_2b_1x1 = ConvUnit(64, 64)
        self.Conv3d_2c_3x3 = ConvUnit(64, 192, (3, 3, 3))
        self.MaxPool3d_3a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))
        channels = self._add_mixed(192, "Mixed_3b", "Mixed_3c")
        self.MaxPool3d_4a_3x3 = MaxPool((3, 3, 3), (2, 2, 2))
        fourth = ("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f")
        channels = self._add_mixed(channels, *fourth)
        self.MaxPool3d_5a_2x2 = MaxPool((2, 2, 2), (2, 2, 2))
        channels = self._add_mixed(channels, "Mixed_5b", "Mixed_5c")
        self.logits = Logits(channels)

    def _add_mixed(self, channels: int, *names: str) -> int:
        for name in names:
            block = Mixed(channels, MIXED[name])
            self.add_module(name, block)
            channels = block.out_channels
        return channels

    def endpoints(
        self, x: Float[Tensor, "b 3 t h w"]
    ) -> Iterator[tuple[str, Float[Tensor, "b c t2 h2 w2"]]]:
        """Yields the name and activations of every layer in front of the average pool.

        Args:
            x: Videos in [-1, 1] of any size; only one endpoint is kept at a time.
        """
        for name, layer in self.named_children():
            if layer is not self.logits:
                x = layer(x)
                yield name, x

    def forward(self, x: Float[Tensor, "b 3 t 224 224"]) -> Float[Tensor, "b classes"]:
        """Returns the 400 logits before the softmax, averaged over time.

        Args:
            x: Videos in [-1, 1] of at least `MIN_FRAMES` frames.
        """
        return self.stream(lambda first, last: x[:, :, first:last], x.shape[2])

    def stream(self, read: ReadFrames, frames: int) -> Float[Tensor, "b classes"]:
        """Returns the same for videos that are read part by part.

        The wide layers in front of the third max pool see `CHUNK` of their time steps at a time,
        together with the neighbours that their windows reach, so nothing is computed twice and
        the result is that of the whole clip. What is behind takes a fifth of the memory.

        Args:
            read: From first and last (exclusive) frame to those frames, in [-1, 1].
            frames: How many there are.
        """
        x = self.stem(read, frames)
        for name, layer in self.named_children():
            if name.startswith(("MaxPool3d_4", "MaxPool3d_5", "Mixed")):
                x = layer(x)
        logits: Tensor = self.logits(x)
        return logits

    def stem(self, read: ReadFrames, frames: int) -> Float[Tensor, "b 192 t2 h2 w2"]:
        """Returns the activations behind the third max pool; see `stream`."""
        first = [
            self.MaxPool3d_2a_3x3(self.Conv3d_1a_7x7.window(x, ends))
            for x, ends in windows(read, frames, self.Conv3d_1a_7x7)
        ]
        x = joined(first)
        unit = self.Conv3d_2c_3x3
        parts = windows(lambda a, b: self.Conv3d_2b_1x1(x[:, :, a:b]), x.shape[2], unit)
        return joined([self.MaxPool3d_3a_3x3(unit.window(y, ends)) for y, ends in parts])

    def fold(self, dtype: torch.dtype = torch.float32) -> None:
        """Absorbs all normalisations into the convolutions, for faster inference."""
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fold(dtype)


def joined(parts: list[Float[Tensor, "b c _ h w"]]) -> Float[Tensor, "b c t h w"]:
    """Returns consecutive parts as one tensor; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def windows(
    read: ReadFrames, size: int, unit: ConvUnit
) -> Iterator[tuple[Float[Tensor, "b c t h w"], tuple[int, int]]]:
    """Yields what a convolution needs for each `CHUNK` of its time steps, and its padding.

    Args:
        read: From first and last (exclusive) step of its input to those steps.
        size: Steps of its input.
        unit: The convolution.
    """
    kernel, stride = unit.kernel[0], unit.stride[0]
    front, _ = same_padding(size, kernel, stride)
    steps = -(-size // stride)
    for first in range(0, steps, CHUNK):
        last = min(first + CHUNK, steps)
        start, stop = first * stride - front, (last - 1) * stride - front + kernel
        yield read(max(start, 0), min(stop, size)), (max(-start, 0), max(stop - size, 0))


class I3DLogits(NetworkExtractor):
    """The features of FVD: 400 logits of I3D, averaged over time.

    A clip is resized part by part as the network asks for frames, so a clip of 128 frames needs
    a third of a gigabyte.

    Source: Unterthiner et al. (2018), `frechet_video_distance.py`; preprocessing of StyleGAN-V.
    """

    name = "i3d"
    dim = N_CLASSES
    network: ClassVar[type[nn.Module]] = I3D
    weights_name: ClassVar[str] = "i3d-k400"
    inputs: ClassVar[Mapping[str, Preprocess]] = I3D_INPUTS
    min_frames: ClassVar[int] = MIN_FRAMES

    def features(self, clips: UInt8[Tensor, "b t h w 3"]) -> Float[Tensor, "b 400"]:
        """Returns the float32 logits of a group of clips."""
        logits: Tensor = self.net.stream(self.reader(clips), clips.shape[1])
        return logits

    def reader(self, clips: UInt8[Tensor, "b t h w 3"]) -> ReadFrames:
        """Returns the function from first and last frame to prepared frames of all clips."""

        def read(first: int, last: int) -> Float[Tensor, "b 3 t 224 224"]:
            frames = rearrange(clips[:, first:last], "b t h w c -> (b t) h w c")
            x = self.prepare(frames).to(self.dtype)
            x = rearrange(x, "(b t) c h w -> b c t h w", b=len(clips))
            return x.contiguous(memory_format=torch.channels_last_3d)

        return read
