"""Exponential moving average of a network's weights."""

import copy

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """A copy of a network whose weights follow the trained ones with a half-life.

    Buffers (batch statistics, spectral-norm vectors) are copied as they are: they are averages
    or iterates already.

    Args:
        network: The network to follow.
        half_life_kclips: Training clips, in thousands, after which an old value counts half.
        rampup: Early on, the half-life is no more than this share of the clips seen, so that the
            first weights are soon forgotten; 0 for the full half-life from the start.

    Source: ProGAN (ICLR 2018), section "evaluation"; half-life in images as in StyleGAN2, its
    ramp-up as in StyleGAN2-ADA (NeurIPS 2020).
    """

    def __init__(self, network: nn.Module, half_life_kclips: float, rampup: float = 0.0) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.half_life_kclips, self.rampup = half_life_kclips, rampup

    @torch.no_grad()
    def update(self, network: nn.Module, clips: int, seen: int) -> None:
        """Moves the average towards `network`.

        Args:
            network: The trained network.
            clips: Clips of the step that was made.
            seen: Clips seen before it.
        """
        half_life = self.half_life_kclips * 1000
        if self.rampup:
            half_life = min(half_life, seen * self.rampup)
        keep = 0.5 ** (clips / half_life) if half_life else 0.0
        averages: list[Tensor] = list(self.network.parameters())
        values = [p.detach() for p in network.parameters()]
        torch._foreach_lerp_(averages, values, 1 - keep)
        for average, value in zip(self.network.buffers(), network.buffers(), strict=True):
            average.copy_(value)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns the output of the averaged network."""
        result: Tensor = self.network(*inputs)
        return result
