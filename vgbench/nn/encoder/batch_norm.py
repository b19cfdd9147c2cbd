"""Batch normalisation of maps by the statistics of the global batch."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.processes import process_count, process_mean


class GlobalBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` whose statistics are those of all processes' maps, of as many in each.

    Source: Ioffe and Szegedy, "Batch normalization" (ICML 2015), algorithm 2.
    """

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:  # noqa: A002
        """Returns the normalised maps; in training the running statistics take a step."""
        if not (self.training and process_count() > 1):
            return super().forward(input)
        axes, wide = (0, 2, 3), input.to(torch.promote_types(input.dtype, torch.float32))
        mean = process_mean(wide.mean(axes, keepdim=True))
        centred = wide - mean
        var = process_mean(centred.square().mean(axes, keepdim=True))
        count = process_count() * wide.numel() // wide.shape[1]
        self._track(mean.flatten(), var.flatten() * (count / (count - 1)))
        scale = self.weight.view(1, -1, 1, 1) * (var + self.eps).rsqrt()
        return (centred * scale + self.bias.view(1, -1, 1, 1)).to(input.dtype)

    @torch.no_grad()
    def _track(self, mean: Float[Tensor, " c"], unbiased: Float[Tensor, " c"]) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)
