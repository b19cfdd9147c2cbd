"""Minibatch standard deviation, which shows a discriminator how samples vary."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor

from vgbench.errors import UsageError
from vgbench.nn.processes import gathered, share_of


def minibatch_std(
    x: Float[Tensor, "n c h w"], group_size: int, eps: float = 1e-8
) -> Float[Tensor, "n c2 h w"]:
    """Returns `x` with one more channel: the mean standard deviation within its group.

    A group is every `n / group_size`-th sample of the batch, the global one where processes share
    it.

    Args:
        x: The map.
        group_size: Samples per group, fewer if the batch is smaller.
        eps: Added to the variance.

    Raises:
        UsageError: If the batch does not divide into groups.

    Source: "Progressive Growing of GANs" (ICLR 2018), section 3; grouped as in StyleGAN2.
    """
    whole = gathered(x)
    n, _, h, w = whole.shape
    group_size = min(group_size, n)
    if n % group_size:
        raise UsageError(
            f"a batch of {n} does not divide into groups of {group_size} for the minibatch "
            f"standard deviation; choose a batch size that is a multiple of {group_size}"
        )
    groups = rearrange(whole, "(g m) c h w -> g m c h w", g=group_size)
    std = (groups.var(dim=0, correction=0) + eps).sqrt().mean(dim=(1, 2, 3))
    channel = repeat(std, "m -> (g m) 1 h w", g=group_size, h=h, w=w)
    return torch.cat([x, share_of(channel)], dim=1)
