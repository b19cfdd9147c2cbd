"""Factorised self-attention (F-SA): over time, then over space.

Source: G3AN (CVPR 2020), section 3 (factorised spatio-temporal self-attention);
wyhsirius/g3an-project `model/ops.py`.
"""

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.channels_last import StillAndMoving, conv, dense
from vgbench.nn.spectral_norm import SpectralConv

# Numbers held at one time on CPU: 4 MiB of float32, so that they stay in the cache.
_AT_A_TIME = 2**20


class _ChunkedAttention(torch.autograd.Function):
    """`softmax(q k') v` that holds the score maps of a few sequences at a time.

    Takes `[q k v]` side by side, as one matrix product makes them, in whatever order they lie in
    memory, and leaves results in that order. Backward recomputes the score maps, so memory is
    linear in the number of sequences. With `P = softmax(q k')`: `dV = P' dO`,
    `dS = P * (dO V' - rowsum(dO * O))`, `dQ = dS k`, `dK' = q' dS`.
    """

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, d: int) -> Tensor:
        out = torch.empty_like(qkv[..., 2 * d :])
        for some, out_of_some in _parts(qkv, out):
            q, k, v = _split(some, d)
            out_of_some.copy_(torch.bmm(_scores(q, k), v))
        ctx.save_for_backward(qkv, out)
        ctx.d = d
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        qkv, out = ctx.saved_tensors
        d_qkv = torch.empty_like(qkv)
        for some, o, do, d_some in _parts(qkv, out, grads[0], d_qkv):
            q, k, v = _split(some, ctx.d)
            dq, dk, dv = _split(d_some, ctx.d)
            scores = _scores(q, k)
            dv.copy_(torch.bmm(scores.mT, do))
            ds = torch.bmm(do, v.mT)
            ds.sub_((do * o).sum(-1, keepdim=True)).mul_(scores)
            dq.copy_(torch.bmm(ds, k))
            # q' dS is up to 20 times faster on CPU than dS' q, as d is small
            dk.copy_(torch.bmm(q.mT, ds).mT)
        return d_qkv, None


def _split(qkv: Tensor, d: int) -> tuple[Tensor, Tensor, Tensor]:
    return qkv[..., :d], qkv[..., d : 2 * d], qkv[..., 2 * d :]


def _parts(qkv: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yields the sequences of one sample of the batch, a few at a time, of every tensor."""
    _, sequences, tokens, channels = qkv.shape
    step = max(1, _AT_A_TIME // (tokens * max(tokens, channels)))
    for sample in zip(qkv, *others, strict=True):
        for start in range(0, sequences, step):
            yield tuple(x[start : start + step] for x in sample)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    scores = torch.bmm(q, k.mT)
    return torch.softmax(scores, dim=-1, out=scores)


def attend(qkv: Float[Tensor, "b s n dim"], d: int) -> Float[Tensor, "b s n c"]:
    """Returns `softmax(q k') v` for each of `s` sequences of `n` tokens, scores not scaled.

    On CUDA long sequences go through the fused kernel; elsewhere a few sequences are attended at
    a time. Either way the score maps of all sequences never exist together.

    Args:
        qkv: Queries and keys of `d` numbers each and values of `c`, side by side.
        d: Length of a query.
    """
    if qkv.is_cuda and qkv.shape[2] > 256:
        return F.scaled_dot_product_attention(*_split(qkv, d), scale=1.0)
    attended: Tensor = _ChunkedAttention.apply(qkv, d)  # type: ignore[no-untyped-call]
    return attended


class SelfAttention(nn.Module):
    """Self-attention along one axis, `x + gamma * attended(x)` with `gamma` 0 at first.

    Args:
        channels: Channels of the map, at least 8; queries and keys have an eighth of them.
        axis: `time`: each pixel attends over the frames; `space`: each frame over its pixels.
        layout: `fixed`, or `reference` for the published code, which reads the attended tokens
            in another axis order than they are stored in.
    """

    def __init__(
        self,
        channels: int,
        axis: Literal["time", "space"],
        layout: str,
    ) -> None:
        super().__init__()
        self.axis, self.layout = axis, layout
        point = (1, 1, 1)
        self.q_conv = SpectralConv(channels, channels // 8, point)
        self.k_conv = SpectralConv(channels, channels // 8, point)
        self.v_conv = SpectralConv(channels, channels, point)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor | StillAndMoving) -> Float[Tensor, "b t h w c"]:
        """Returns the attended map added to `x`, a map `[b, t, h, w, c]`."""
        qkv = conv(x, *self._weight_and_bias())
        attended = self._over_time(qkv) if self.axis == "time" else self._over_space(qkv)
        return dense(x) + attended

    def _weight_and_bias(self) -> tuple[Tensor, Tensor]:
        """The three convolutions as one; attention is linear in v, which takes gamma along."""
        layers = (self.q_conv, self.k_conv, self.v_conv)
        weights, biases = [layer.weight() for layer in layers], [layer.bias for layer in layers]
        return (
            torch.cat([*weights[:2], weights[2] * self.gamma]),
            torch.cat([*biases[:2], biases[2] * self.gamma]),
        )

    def _over_time(self, qkv: Tensor) -> Tensor:
        b, t, h, w, _ = qkv.shape
        attended = attend(rearrange(qkv, "b t h w c -> b (h w) t c"), len(self.q_conv.bias))
        if self.layout == "reference":  # (t, c) memory read as (c, t)
            attended = rearrange(attended.reshape(b, h * w, -1, t), "b n c t -> b n t c")
        return rearrange(attended, "b (h w) t c -> b t h w c", h=h)

    def _over_space(self, qkv: Tensor) -> Tensor:
        _, t, h, w, _ = qkv.shape
        attended = attend(rearrange(qkv, "b t h w c -> b t (h w) c"), len(self.q_conv.bias))
        if self.layout == "reference":  # (t, h, w, c) memory read as (h, w, c, t)
            attended = rearrange(attended, "b t n c -> b (t n c)")
            return rearrange(attended, "b (h w c t) -> b t h w c", t=t, h=h, w=w)
        return rearrange(attended, "b t (h w) c -> b t h w c", h=h)


class FactorizedSelfAttention(nn.Module):
    """F-SA: self-attention over time, then over space.

    Args:
        channels: Channels of the map, at least 8.
        layout: `fixed` or `reference`; see `SelfAttention`.
    """

    def __init__(self, channels: int, layout: str) -> None:
        super().__init__()
        self.tsa = SelfAttention(channels, "time", layout)
        self.ssa = SelfAttention(channels, "space", layout)

    def forward(self, x: Tensor | StillAndMoving) -> Float[Tensor, "b t h w c"]:
        """Returns the attended map."""
        attended: Tensor = self.ssa(self.tsa(x))
        return attended
