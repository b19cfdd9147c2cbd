"""Bilinear sampling of maps at given places, differentiable twice."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_BILINEAR, _ZEROS = 0, 0  # ATen's numbers of interpolation and padding modes


class _Sample(torch.autograd.Function):
    """Sampling is linear in the map, so its derivative is its adjoint, and back again.

    PyTorch knows the first derivative only.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = x.shape
        return F.grid_sample(x, grid, align_corners=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        spread: Tensor = _Spread.apply(grads[0], grid, ctx.shape)  # type: ignore[no-untyped-call]
        return spread, None


class _Spread(torch.autograd.Function):
    """Adjoint of `_Sample`: adds each sample to the pixels that it was read from."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        adjoint = torch.ops.aten.grid_sampler_2d_backward
        spread: Tensor = adjoint(
            y, y.new_zeros(shape), grid, _BILINEAR, _ZEROS, False, (True, False)
        )[0]
        return spread

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        sampled: Tensor = _Sample.apply(grads[0], grid)  # type: ignore[no-untyped-call]
        return sampled, None, None


def sample_bilinear(
    x: Float[Tensor, "n c h w"], grid: Float[Tensor, "n h2 w2 2"]
) -> Float[Tensor, "n c h2 w2"]:
    """Returns `torch.nn.functional.grid_sample(x, grid)`, with derivatives of `x` of any order.

    Args:
        x: The maps.
        grid: Places (x, y) in [-1, 1] from edge to edge, not differentiated; zeros lie outside.
    """
    sampled: Tensor = _Sample.apply(x, grid)  # type: ignore[no-untyped-call]
    return sampled
