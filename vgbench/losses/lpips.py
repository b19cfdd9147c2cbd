"""LPIPS: how different two images look to a classifier, weighted by what people said.

Source: "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric" (CVPR 2018),
equation 1; state-dict names are those of the published AlexNet and VGG-16 weights
(`features.*`) and of richzhang/PerceptualSimilarity (`lin*`), so that both fit.
It is meaningless without weights.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError

_SMALLEST = 32  # of which AlexNet's last map is one pixel
# Mean and deviation of ImageNet's colours, for images in [-1, 1].
_MEAN, _DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class _Conv(NamedTuple):
    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1


class _Layout(NamedTuple):
    """Convolutions, each followed by a ReLU, and sizes of poolings; and the ReLUs looked at."""

    layers: tuple[_Conv | int, ...]
    taps: tuple[int, ...]


_ALEX = _Layout(
    (_Conv(64, 11, 4, 2), 3, _Conv(192, 5, 1, 2), 3, _Conv(384), _Conv(256), _Conv(256)),
    (1, 4, 7, 9, 11),
)
_VGG = _Layout(
    (
        *[_Conv(64)] * 2,
        2,
        *[_Conv(128)] * 2,
        2,
        *[_Conv(256)] * 3,
        2,
        *[_Conv(512)] * 3,
        2,
        *[_Conv(512)] * 3,
    ),
    (3, 8, 15, 22, 29),
)
NETS = {"alex": _ALEX, "vgg": _VGG}


class _ChannelWeights(nn.Module):
    """A weight per channel of squared differences."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # Nested by the names of the published weights.
        self.model = nn.Sequential(nn.Dropout(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 h w"]:
        weighted: Tensor = self.model(x)
        return weighted


class LPIPS(nn.Module):
    """Learned perceptual distance of images. It is frozen and always in evaluation mode.

    Args:
        net: Whose features: `alex` or `vgg`.

    Raises:
        UsageError: If there is no such network.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: str = "alex") -> None:
        super().__init__()
        if net not in NETS:
            raise UsageError(f"net={net}: expected one of {', '.join(NETS)}")
        layers, self.taps = NETS[net]
        self.features = nn.Sequential(*_modules(layers))
        for i, tap in enumerate(self.taps):
            conv = self.features[tap - 1]
            assert isinstance(conv, nn.Conv2d)
            self.add_module(f"lin{i}", _ChannelWeights(conv.out_channels))
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> "LPIPS":
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(
        self, fake: Float[Tensor, "n 3 h w"], real: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, ""]:
        """Returns the mean distance of pairs of images in [-1, 1].

        Raises:
            UsageError: If they are too small for the network.
        """
        if min(fake.shape[2:]) < _SMALLEST:
            raise UsageError(f"LPIPS looks at images of {_SMALLEST}x{_SMALLEST} pixels or more")
        pairs = zip(self._directions(fake), self._directions(real), strict=True)
        total = fake.new_zeros(())
        for i, (f, g) in enumerate(pairs):
            apart: Tensor = self.get_submodule(f"lin{i}")((f - g).square())
            total = total + apart.mean()
        return total

    def _directions(self, images: Tensor) -> Iterator[Tensor]:
        """Yields the feature maps that are looked at, each pixel's scaled to unit length."""
        x = (images - self.mean) / self.deviation
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in self.taps:
                yield F.normalize(x, dim=1, eps=1e-10)


def lpips_alex() -> LPIPS:
    """Returns the distance by the features of AlexNet, without weights."""
    return LPIPS("alex")


def lpips_vgg() -> LPIPS:
    """Returns the distance by the features of VGG-16, without weights."""
    return LPIPS("vgg")


def _modules(layers: tuple[_Conv | int, ...]) -> Iterator[nn.Module]:
    channels = 3
    for layer in layers:
        if isinstance(layer, int):
            yield nn.MaxPool2d(layer, 2)
        else:
            yield nn.Conv2d(channels, *layer)
            # Not in place: the distance keeps the map.
            yield nn.ReLU()
            channels = layer.channels
