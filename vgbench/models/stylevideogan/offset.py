"""The offset trick: the motion of one subject on another, by adding a constant to its latents."""

import math
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
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
    """

    mean: Float[Tensor, "l d"]
    axes: Float[Tensor, "g r k"]
    variances: Float[Tensor, "g r"]

    def remove(self, offset: Float[Tensor, "l d"]) -> Float[Tensor, "l d"]:
        """Returns the part of an offset that is orthogonal to all directions."""
        groups = offset.to(self.axes).reshape(len(self.axes), -1)
        along = einsum(self.axes, groups, "g r k, g k -> g r")
        rest = groups - einsum(self.axes, along, "g r k, g r -> g k")
        return rest.reshape(offset.shape).to(offset)


def motion_subspace(
    latents: Float[Tensor, "f l d"],
    rank: int | None = None,
    per_style: bool = False,
    explained: float = 0.95,
    max_rank: int = 32,
) -> Subspace:
    """Returns the first principal directions of a subject's latents, found in float64.

    Args:
        latents: W+ latents of the frames that the temporal model was trained on, at least 2.
        rank: Number of directions; None for as many as explain `explained` of the variance, at
            most `max_rank`.
        per_style: Whether each style vector is decomposed by itself.
        explained: Share of the variance.
        max_rank: Largest number of directions chosen by that share.

    Raises:
        UsageError: If there are less than 2 frames or `rank` is negative.

    Source: StyleVideoGAN (BMVC 2021), section 3 (offset trick); the rank is our choice.
    """
    if len(latents) < 2 or (rank is not None and rank < 0):
        raise UsageError(
            f"{len(latents)} frames, rank {rank}: expected 2 frames or more and a rank >= 0"
        )
    step = math.ceil(len(latents) / _MAX_FRAMES)
    frames = latents[::step].double()
    mean = latents.mean(dim=0, dtype=torch.float64)
    pattern = "f l d -> l f d" if per_style else "f l d -> 1 f (l d)"
    _, singular, axes = torch.linalg.svd(rearrange(frames - mean, pattern), full_matrices=False)
    variances = singular.square() / (len(frames) - 1)
    chosen = _explaining(variances, explained).clamp_max(max_rank) if rank is None else rank
    # Beyond the rank of the latents, directions are arbitrary: nothing moves along them.
    tiny = singular[:, :1] * max(len(frames), axes.shape[2]) * torch.finfo(singular.dtype).eps
    ranks = (singular > tiny).sum(dim=1).clamp_max(chosen)
    most = int(ranks.max())
    kept = torch.arange(most) < ranks[:, None]
    return Subspace(
        mean,
        axes[:, :most] * kept[:, :, None],
        variances[:, :most] * kept,
    )


def _explaining(variances: Float[Tensor, "g r"], share: float) -> Tensor:
    """Returns how many of the largest variances add up to a share of all, per group."""
    sums = variances.cumsum(dim=1)
    return (sums < share * sums[:, -1:]).sum(dim=1) + 1


class OffsetTrick(nn.Module):
    """The subspace of the training latents, kept with a trained model.

    Args:
        options: Which directions.
        num_ws: Style vectors per frame.
        w_dim: Numbers per style vector.
    """

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def __init__(self, options: OffsetOptions, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.options = options
        groups, size = (num_ws, w_dim) if options.per_style else (1, num_ws * w_dim)
        most = min(options.most, size)
        self.register_buffer("mean", torch.zeros(num_ws, w_dim))
        self.register_buffer("axes", torch.zeros(groups, most, size))
        self.register_buffer("variances", torch.zeros(groups, most))

    @property
    def subspace(self) -> Subspace:
        """The directions; none until they are fitted."""
        return Subspace(self.mean, self.axes, self.variances)

    def fit(self, latents: Float[Tensor, "f l d"]) -> None:
        """Finds the directions of the latents of some training frames; see `motion_subspace`."""
        options = self.options
        limits = (options.explained, options.max_rank)
        found = motion_subspace(latents, options.rank or None, options.per_style, *limits)
        rank = found.axes.shape[1]
        self.mean.copy_(found.mean)
        self.axes.zero_()[:, :rank].copy_(found.axes)
        self.variances.zero_()[:, :rank].copy_(found.variances)


def subject_offset(
    target: Float[Tensor, "l d"],
    reference: Float[Tensor, "l d"],
    subspace: Subspace | None = None,
) -> Float[Tensor, "l d"]:
    """Returns what is to be added to a subject's latents to make them another's.

    Args:
        target: Latent of a picture of the other subject.
        reference: Latent of the subject that it corresponds to: the mean, or a clip's first.
        subspace: Directions to leave alone (the trick); None for the naive offset.
    """
    offset = target - reference
    return offset if subspace is None else subspace.remove(offset)


def transfer(
    blocks: Iterable[Float[Tensor, "n _t l d"]],
    targets: Float[Tensor, "n l d"] | Float[Tensor, "l d"],
    subspace: Subspace,
    ref: Literal["mean", "first"] = "mean",
    naive: bool = False,
) -> Iterator[Float[Tensor, "n _t l d"]]:
    """Yields a rollout's latents moved to other subjects.

    Args:
        blocks: W+ latents of clips, block by block.
        targets: Latent of a picture of each clip's other subject, or of the one of all clips.
        subspace: Of the subject that the temporal model was trained on.
        ref: What the picture corresponds to: the subject's `mean`, or each clip's `first` frame,
            which then is the picture itself if the offset is naive.
        naive: Whether the whole offset is added, motion included.
    """
    offsets: Tensor | None = None
    for ws in blocks:
        if offsets is None:
            mean = subspace.mean.to(ws).expand_as(ws[:, 0])
            references = mean if ref == "mean" else ws[:, 0]
            kept = None if naive else subspace
            pairs = zip(targets.expand_as(references), references, strict=True)
            offsets = torch.stack([subject_offset(target, r, kept) for target, r in pairs])
        yield ws + offsets[:, None]
