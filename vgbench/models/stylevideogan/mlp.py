"""Linear layers, each with a leaky ReLU behind it, made to be differentiated twice."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LeakyReLU(nn.Module):
    """Leaky ReLU that tells autograd that its slope is constant, so its curvature is zero.

    PyTorch's own sends zeros back instead: the second derivative of a network then costs another
    pass of nothing. The gradients are the same to the last bit.

    Args:
        slope: Slope for negative inputs.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Returns `x` where it is positive, else `slope * x`."""
        return x * torch.where(x > 0, x.new_ones(()), self.slope)


def mlp(widths: Sequence[int], slope: float) -> nn.Sequential:
    """Returns layers from `widths[0]` to `widths[-1]` numbers, the last one activated too."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), LeakyReLU(slope)]
    return nn.Sequential(*layers)
