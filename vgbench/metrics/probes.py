"""Probes of a metric: numbers of damaged real clips that show how much motion weighs in it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from vgbench.seeds import stream_seed

# Sets differ in size, hence no names of axes.
Clips = UInt8[Tensor, "_b _t _h _w 3"]
ClipMetric = Callable[[Tensor, Tensor], float]

_GRID = 8  # nodes a side of a field of displacements


def frozen(clips: UInt8[Tensor, "b t h w 3"]) -> UInt8[Tensor, "b t h w 3"]:
    """Returns clips that are their first frame throughout: all appearance, no motion."""
    return clips[:, :1].expand_as(clips).contiguous()


def motion_ratio(metric: ClipMetric, real: Clips, fake: Clips, other: Clips) -> float:
    """Returns a model's number over that of frozen real clips; 1 is as bad as having no motion.

    Args:
        metric: From real and other clips to a number.
        real: Reference clips.
        fake: Generated clips.
        other: Other real clips; frozen, they set the scale.

    Source: the frozen set that StyleGAN-V builds with its data tools.
    """
    return metric(real, fake) / metric(real, frozen(other))


def content_bias(
    metric: ClipMetric, real: Clips, other: Clips, *, pixels: float, seed: int = 0
) -> float:
    """Returns metric(spatio-temporal damage) / metric(spatial damage) at equal damage per frame.

    Near 1 a metric sees frames alone; the larger the ratio, the more motion weighs.

    Args:
        metric: From real and other clips to a number.
        real: Reference clips.
        other: Other real clips, to be damaged.
        pixels: Strength, see `elastic_warp`.
        seed: Key of the fields.

    Source: Ge et al., "On the content bias in Fréchet video distance" (2024), section 3.
    """
    both, space = (
        metric(real, elastic_warp(other, pixels=pixels, per_frame=flag, seed=seed))
        for flag in (True, False)
    )
    return both / space


def elastic_warp(
    clips: UInt8[Tensor, "b t h w 3"], *, pixels: float, per_frame: bool, seed: int = 0
) -> UInt8[Tensor, "b t h w 3"]:
    """Returns clips bent by a smooth random field of displacements.

    A field that is constant over time harms appearance alone. One drawn anew for every frame harms
    each frame as much, and motion besides.

    Args:
        clips: Clips to damage.
        pixels: Standard deviation of the displacements at the nodes of an 8x8 grid.
        per_frame: Whether each frame has a field of its own.
        seed: Key of the fields; clip i has those of number i.
    """
    return torch.stack([_warp(clip, pixels, per_frame, seed, i) for i, clip in enumerate(clips)])


def _warp(
    clip: UInt8[Tensor, "t h w 3"], pixels: float, per_frame: bool, seed: int, number: int
) -> UInt8[Tensor, "t h w 3"]:
    frames, height, width, _ = clip.shape
    generator = torch.Generator().manual_seed(stream_seed(seed, "warp", number))
    nodes = torch.randn(frames if per_frame else 1, 2, _GRID, _GRID, generator=generator)
    field = F.interpolate(nodes, (height, width), mode="bicubic", align_corners=True) * pixels
    moved = _places(height, width) + rearrange(field, "t c h w -> t h w c")
    # grid_sample counts from -1 at the first pixel to 1 at the last
    unit = moved * torch.tensor([2 / (width - 1), 2 / (height - 1)]) - 1
    bent = F.grid_sample(
        rearrange(clip, "t h w c -> t c h w").float().cpu(),
        unit.expand(frames, -1, -1, -1),
        padding_mode="border",
        align_corners=True,
    )
    pixels_of = rearrange(bent, "t c h w -> t h w c").round().to(torch.uint8)
    return pixels_of.to(clip.device).contiguous()


def _places(height: int, width: int) -> Float[Tensor, "h w 2"]:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).float()
