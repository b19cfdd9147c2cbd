"""The offset trick: the motion of one subject on another, by adding a constant to its latents."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.models.animation import Offset
from vgbench.models.stylevideogan.options import OffsetOptions

# Frames that the decomposition looks at, evenly spaced; its time grows with their square.
_MAX_FRAMES = 4000


class Subspace(NamedTuple):
    """Directions in which a subject's latents move: pose and expression, not identity.

    Attributes:
        mean: Mean latent of the subject, `l d`.
        axes: Orthonormal directions, `g r k`, zeros where a group has fewer than others. Groups
            are the style vectors (`g` = l, `k` = d) or all of them as one (`g` = 1, `k` = l d).
        variances: Variance of the latents along each direction, `g r`.
        total: Their variance along all directions, these or others, `g`.
    """

    mean: Float[Tensor, "l d"]
    axes: Float[Tensor, "g r k"]
    variances: Float[Tensor, "g r"]
    total: Float[Tensor, " g"]

    def first(self, rank: int) -> "Subspace":
        """Returns the first directions of each group; without any, nothing is removed."""
        return self._replace(axes=self.axes[:, :rank], variances=self.variances[:, :rank])

    def explaining(self, share: float) -> "Subspace":
        """Returns the first directions of each group that explain a share of its variance."""
        before = self.variances.cumsum(dim=1) - self.variances
        kept = before < share * self.total[:, None]
        return self._replace(axes=self.axes * kept[..., None], variances=self.variances * kept)

    def remove(self, offsets: Float[Tensor, "n l d"]) -> Float[Tensor, "n l d"]:
        """Returns the part of offsets that is orthogonal to all directions."""
        groups = offsets.to(self.axes).reshape(len(offsets), len(self.axes), -1)
        along = einsum(self.axes, groups, "g r k, n g k -> n g r")
        rest = groups - einsum(self.axes, along, "g r k, n g r -> n g k")
        return rest.reshape(offsets.shape).to(offsets)


def motion_subspace(
    latents: Float[Tensor, "f l d"], rank: int, per_style: bool = False
) -> Subspace:
    """Returns the first principal directions of a subject's latents, found in float64.

    Args:
        latents: W+ latents of the frames that the temporal model was trained on, at least 2.
        rank: Number of directions.
        per_style: Whether each style vector is decomposed by itself.

    Raises:
        UsageError: If there are less than 2 frames or `rank` is negative.

    Source: StyleVideoGAN (BMVC 2021), section 3 (offset trick).
    """
    if len(latents) < 2 or rank < 0:
        raise UsageError(
            f"{len(latents)} frames, rank {rank}: expected 2 frames or more and a rank >= 0"
        )
    frames = latents[:: math.ceil(len(latents) / _MAX_FRAMES)].double()
    mean = frames.mean(dim=0)
    pattern = "f l d -> l f d" if per_style else "f l d -> 1 f (l d)"
    _, singular, axes = torch.linalg.svd(rearrange(frames - mean, pattern), full_matrices=False)
    variances = singular.square() / (len(frames) - 1)
    # Beyond the rank of the latents, directions are arbitrary: nothing moves along them.
    tiny = singular[:, :1] * max(len(frames), axes.shape[2]) * torch.finfo(latents.dtype).eps
    kept = singular > tiny
    every = Subspace(mean, axes * kept[..., None], variances * kept, variances.sum(dim=1))
    return every.first(rank)


class Directions(nn.Module):
    """The directions of a subspace, kept with a trained model; zeros until they are found.

    Args:
        groups: Style vectors, or 1 if they are decomposed as one.
        rank: Number of directions.
        size: Numbers per group.
    """

    axes: Tensor
    variances: Tensor
    total: Tensor

    def __init__(self, groups: int, rank: int, size: int) -> None:
        super().__init__()
        self.register_buffer("axes", torch.zeros(groups, min(rank, size), size))
        self.register_buffer("variances", torch.zeros(groups, min(rank, size)))
        self.register_buffer("total", torch.zeros(groups))

    def keep(self, found: Subspace) -> None:
        """Takes over the directions of a subspace, which may have fewer."""
        rank = found.axes.shape[1]
        self.axes.zero_()[:, :rank].copy_(found.axes)
        self.variances.zero_()[:, :rank].copy_(found.variances)
        self.total.copy_(found.total)


class OffsetTrick(nn.Module):
    """In which directions the training latents move, kept with a trained model.

    Args:
        options: How many directions.
        num_ws: Style vectors per frame.
        w_dim: Numbers per style vector.
    """

    mean: Tensor

    def __init__(self, options: OffsetOptions, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("mean", torch.zeros(num_ws, w_dim))
        self.joint = Directions(1, options.max_rank, num_ws * w_dim)
        self.by_style = Directions(num_ws, options.max_rank, w_dim)

    def fit(self, latents: Float[Tensor, "f l d"], mean: Float[Tensor, "l d"]) -> None:
        """Finds the directions of the latents of the training frames, whose mean is known."""
        self.mean.copy_(mean)
        for kept, per_style in ((self.joint, False), (self.by_style, True)):
            kept.keep(motion_subspace(latents, self.options.max_rank, per_style))

    def subspace(self, offset: Offset) -> Subspace:
        """Returns the directions that an offset leaves alone.

        Raises:
            UsageError: If it asks for more directions than are kept.
        """
        own = self.by_style if offset.per_style else self.joint
        every = Subspace(self.mean, own.axes, own.variances, own.total)
        if offset.rank is None:
            return every.explaining(self.options.explained)
        most = own.axes.shape[1]
        if offset.rank > most:
            raise UsageError(
                f"rank {offset.rank}: the model keeps {most} directions, expected 0 to {most}\n"
                "  more are kept by runs with a larger model.offset.max_rank"
            )
        return every.first(offset.rank)


def transfer(
    blocks: Iterable[Float[Tensor, "n _t l d"]],
    targets: Float[Tensor, "n l d"],
    subspace: Subspace,
    ref: str = "mean",
) -> Iterator[Float[Tensor, "n _t l d"]]:
    """Yields a rollout's latents moved to other subjects.

    Args:
        blocks: W+ latents of clips, block by block.
        targets: Latent of a picture of each clip's other subject.
        subspace: Of the subject that the temporal model was trained on.
        ref: What the picture corresponds to: the subject's `mean`, or each clip's `first` frame.
    """
    offsets: Tensor | None = None
    for ws in blocks:
        if offsets is None:
            offsets = subspace.remove(targets - (ws[:, 0] if ref == "first" else subspace.mean))
        yield ws + offsets[:, None]
