"""What the processes of one training run exchange, so that they compute what one would.

Each process holds an equal, contiguous share of the global batch and all weights. Its loss is the
mean over its share, and gradients are averaged (`average_`). Whatever couples the samples of a
batch goes through `gathered` or `process_mean`, whose derivatives cross the processes as well, to
any order. With a single process all of them return what they are given.

Every process must make the same calls in the same order.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


def process_count() -> int:
    """Returns the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gathered(x: Float[Tensor, "n ..."]) -> Float[Tensor, "m ..."]:
    """Returns the samples of all processes in the order of the global batch.

    Args:
        x: This process's share; all shares have the same size.
    """
    if process_count() == 1:
        return x
    result: Tensor = _Gather.apply(x)  # type: ignore[no-untyped-call]
    return result


def share_of(x: Float[Tensor, "m ..."]) -> Float[Tensor, "n ..."]:
    """Returns this process's share of a global batch, the reverse of `gathered`.

    Args:
        x: The global batch, computed alike by every process.
    """
    count = process_count()
    return x if count == 1 else x.chunk(count)[dist.get_rank()]


def process_mean(x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Returns the mean over processes: the global mean, if `x` is a mean over this one's share."""
    if process_count() == 1:
        return x
    result: Tensor = _Mean.apply(x)  # type: ignore[no-untyped-call]
    return result


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Replaces tensors by their means over processes, in one exchange."""
    if process_count() == 1 or not tensors:
        return
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
    dist.all_reduce(flat)
    flat /= process_count()
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def largest(value: int, device: torch.device) -> int:
    """Returns the largest of the processes' numbers.

    Args:
        value: This process's.
        device: Where the processes exchange tensors.
    """
    if process_count() == 1:
        return value
    box = torch.tensor(value, device=device)
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


class _Gather(torch.autograd.Function):
    """All shares in a row; its adjoint is `_SumShare`, as every process's loss depends on each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        shares = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in _processes()]
        dist.all_gather(shares, x.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        result: Tensor = _SumShare.apply(grads[0])  # type: ignore[no-untyped-call]
        return result


class _SumShare(torch.autograd.Function):
    """This process's share of the sum over processes; its adjoint is `_Gather`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return share_of(total).clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        result: Tensor = _Gather.apply(grads[0])  # type: ignore[no-untyped-call]
        return result


class _Mean(torch.autograd.Function):
    """Mean over processes, which is its own adjoint."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total / process_count()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return process_mean(grads[0])


def _processes() -> range:
    return range(process_count())
