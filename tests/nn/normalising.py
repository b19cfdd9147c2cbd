"""One of two processes that normalise a batch together; see `test_global_batch_norm.py`."""

import sys

import torch
import torch.distributed as dist

from vgbench.nn.encoder.batch_norm import GlobalBatchNorm
from vgbench.nn.processes import average_


def step(maps, weights, process=0, processes=1):
    """Output, gradients and running statistics of this process's share of a batch."""
    norm = GlobalBatchNorm(maps.shape[1]).double()
    with torch.no_grad():
        norm.weight.copy_(weights[0])
        norm.bias.copy_(weights[1])
    share = maps.chunk(processes)[process].clone().requires_grad_()
    out = norm(share)
    loss = out.pow(3).mean()
    loss.backward()
    average_([norm.weight.grad, norm.bias.grad])
    own = {"out": out.detach(), "input": share.grad / processes}
    alike = {"weight": norm.weight.grad, "bias": norm.bias.grad} | dict(norm.named_buffers())
    return own, alike


if __name__ == "__main__":
    folder, rank = sys.argv[1], int(sys.argv[2])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    given = torch.load(f"{folder}/given.pt", weights_only=True)
    torch.save(step(given["maps"], given["weights"], rank, 2), f"{folder}/{rank}.pt")
    dist.destroy_process_group()
