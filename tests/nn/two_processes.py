"""One of two processes; checks that shared batches have the values and slopes of whole ones."""

import os

import torch
import torch.distributed as dist
from torch import Tensor

from vgbench.nn import processes
from vgbench.nn.batch_norm import RowBatchNorm
from vgbench.nn.minibatch_std import minibatch_std
from vgbench.nn.processes import average_, gathered, largest, process_mean, share_of


def slopes(x: Tensor, weight: Tensor, norm: RowBatchNorm) -> list[Tensor]:
    """Gradients of a mean loss with a gradient penalty, of samples `x`."""
    x = x.clone().requires_grad_()
    maps = minibatch_std(torch.tanh(x * weight), 4)
    rows = norm(maps.flatten(1))
    values = rows.square().sum(dim=1) + process_mean(rows.mean()).exp()
    (slope,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    loss = values.mean() + slope.square().flatten(1).sum(dim=1).mean()
    return list(torch.autograd.grad(loss, [weight, *norm.parameters()]))


def build() -> tuple[Tensor, RowBatchNorm]:
    torch.manual_seed(1)
    weight = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    norm = RowBatchNorm(16).double()
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter, 1.0, 0.3)
    return weight, norm


def main() -> None:
    rank = int(os.environ["LOCAL_RANK"])
    whole = torch.randn(8, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight, norm = build()
    address = f"tcp://{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
    dist.init_process_group("gloo", address, rank=rank, world_size=2)
    share = share_of(whole)
    assert torch.equal(share, whole[4 * rank : 4 * rank + 4])
    assert torch.equal(gathered(share), whole)
    torch.testing.assert_close(process_mean(share.mean(dim=0)), whole.mean(dim=0))
    assert largest(rank + 3, torch.device("cpu")) == 4
    together = slopes(share, weight, norm)
    average_(together)
    running = norm.running_var.clone()
    assert processes.process_count() == 2
    dist.destroy_process_group()
    weight, norm = build()
    # Composed of plain operations, as the kernel of one process has no second derivative.
    norm.forward = norm._shared
    for got, want in zip(together, slopes(whole, weight, norm), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(running, norm.running_var)


if __name__ == "__main__":
    main()
