"""`jet`: handcrafted spatio-temporal statistics; no weights, no seed, 198 numbers per clip.

`jet-2` adds three numbers that see how evenly things move, `jet-long` three that see a long clip
repeat itself; `jet-image` is the part of `jet` that single frames have.

A clip becomes a pyramid of luminance plus two chroma planes, of which `jet_blocks` makes blocks of
bounded numbers. A core is a choice of blocks, which have equal weight.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vgbench.errors import DataError, ProtocolError
from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.metrics.extractors.jet_blocks import (
    DYNAMICS,
    JERK,
    LAYOUT,
    MOTION,
    REPEATS,
    TEXTURE,
    Block,
    pyramid,
)
from vgbench.video import check_clips
from vgbench.weights.record import WeightsRef

MAX_LEVELS = 7  # frames of up to 2047 pixels


@dataclass(frozen=True)
class JetCore:
    """The blocks of a core, in the order of its features.

    Attributes:
        name: Name of the extractor.
        blocks: Their numbers follow one another; those of a block, level by level.
    """

    name: str
    blocks: tuple[Block, ...]

    def sizes(self, levels: int) -> tuple[int, ...]:
        """Returns how many numbers each block has with this many pyramid levels."""
        return tuple(block.size(levels) for block in self.blocks)

    def sizes_of(self, numbers: int) -> tuple[int, ...]:
        """Returns how many numbers each block has of so many in all.

        Raises:
            ProtocolError: If no number of levels gives as many.
        """
        for levels in range(1, MAX_LEVELS + 1):
            if sum(sizes := self.sizes(levels)) == numbers:
                return sizes
        raise ProtocolError(
            f"'{self.name}' has {sum(self.sizes(3))} numbers per clip with 3 levels; "
            f"no number of levels gives {numbers}"
        )

    def check_size(self, frames: int, height: int, width: int, levels: int) -> None:
        """Checks that clips of this size have all numbers.

        Raises:
            DataError: If they are too short or their frames too small.
        """
        least = max(block.min_frames for block in self.blocks)
        if frames < least:
            raise DataError(f"{self.name} needs clips of {least} frames or more, got {frames}")
        smallest = 7 * 2 ** (levels - 1)
        if min(height, width) < smallest:
            raise DataError(
                f"{self.name} with {levels} levels needs frames of {smallest}x{smallest} pixels "
                f"or more, got {height}x{width}"
            )


JET = JetCore("jet", (LAYOUT, TEXTURE, MOTION, DYNAMICS))
JET_2 = JetCore("jet-2", (*JET.blocks, JERK))
JET_LONG = JetCore("jet-long", (*JET.blocks, REPEATS))
JET_IMAGE = JetCore("jet-image", (LAYOUT, TEXTURE))


def jet_levels(height: int, width: int) -> int:
    """Returns the number of pyramid levels: 3 up to 64 pixels, one more per doubling."""
    return 3 + max(0, math.floor(math.log2(min(height, width) / 64)))


def jet_features(
    clip: UInt8[Tensor, "t h w 3"],
    levels: int = 3,
    dtype: torch.dtype = torch.float32,
    core: JetCore = JET,
) -> Float[Tensor, "dim"]:
    """Returns the features of one clip, block by block.

    Args:
        clip: RGB frames, 0..255; for `jet` t >= 9, shorter side at least 7 at the coarsest level.
        levels: Pyramid levels; each halves the one before.
        dtype: Arithmetic and result type.
        core: Which blocks.

    Raises:
        DataError: If the clip is too short or its frames too small.
    """
    frames, height, width, _ = clip.shape
    core.check_size(frames, height, width, levels)
    made = pyramid(clip, levels, dtype)
    return torch.cat([block.of(made) for block in core.blocks])


class Jet(FeatureExtractor):
    """The `jet` core: 51 numbers per clip and 49 per pyramid level.

    Clips are processed one by one: batches would not fit the processor's cache, and features are
    then the same bits for every batch size.

    Args:
        levels: Pyramid levels; `for_frames` returns the core with as many as frames take.

    Class attributes:
        core: Its blocks.
    """

    core: ClassVar[JetCore] = JET
    name = JET.name
    dim = sum(JET.sizes(3))
    preprocess_id = "yuv601-l3"

    def __init__(self, levels: int = 3) -> None:
        super().__init__()
        self.levels = levels
        self.dim = sum(self.core.sizes(levels))
        self.preprocess_id = f"yuv601-l{levels}"
        self.weights = WeightsRef(self.name, "handcrafted")

    @classmethod
    def load(cls, weights_dir: Path | None = None) -> "Jet":
        """Returns the extractor; it has no weights, so the folder is ignored."""
        return cls().eval()

    def for_frames(self, height: int, width: int) -> FeatureExtractor:
        """Returns the core with the levels that frames of this size take."""
        levels = jet_levels(height, width)
        if levels > MAX_LEVELS:
            raise DataError(
                f"jet takes frames whose shorter side is up to {32 * 2**MAX_LEVELS - 1} "
                f"pixels, got {height}x{width}; choose a smaller resolution"
            )
        return self if levels == self.levels else type(self)(levels)

    @torch.no_grad()
    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns the features of each clip, float32.

        Raises:
            DataError: If clips are not uint8 RGB, too short or too small.
        """
        clips = check_clips(clips)
        return torch.stack([jet_features(clip, self.levels, core=self.core) for clip in clips])


class Jet2(Jet):
    """`jet` and a number per level that says how evenly things move, as a block of its own.

    Real videos differ so much in how fast and how visibly things move that `jet` does not see
    neighbouring frames blended where motion is slow and smooth. The ratio of third to second time
    differences does not depend on either.
    """

    core = JET_2
    name = JET_2.name
    dim = sum(JET_2.sizes(3))


class JetLong(Jet):
    """`jet` for clips of 32 frames and more: three more numbers say how much of a clip repeats.

    The longest lag of `jet` is 8 frames, so it sees a loop only by the jump at its seam. Its own
    block has as much weight as each other one.
    """

    core = JET_LONG
    name = JET_LONG.name
    dim = sum(JET_LONG.sizes(3))


class JetImage(Jet):
    """The blocks of `jet` that need no second frame, for single frames; 51 numbers, 19 per level.

    Motion and dynamics are left out; layout and texture have equal weight.
    """

    core = JET_IMAGE
    name = JET_IMAGE.name
    dim = sum(JET_IMAGE.sizes(3))

    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns the features of each clip, which has one frame, float32.

        Raises:
            DataError: If clips are not uint8 RGB, too small, or longer than one frame.
        """
        if check_clips(clips).shape[1] != 1:
            raise DataError(f"jet-image takes single frames, got clips of {clips.shape[1]}")
        return super().forward(clips)


@dataclass(frozen=True)
class JetNormalizer:
    """Z-scores relative to a reference set, squashed at 3, every block with equal weight.

    Attributes:
        mean: Mean of each feature over the reference set.
        sd: Its standard deviation (ddof 0), at least 0.1 times the root mean square of its block.
        weight: One over the root of the size of the feature's block times the number of blocks.

    Deviates: `sd` is also at least 1e-3, for reference sets on which a whole block is constant
    (still videos), where the relative floor is zero.
    """

    mean: Float[np.ndarray, "dim"]
    sd: Float[np.ndarray, "dim"]
    weight: Float[np.ndarray, "dim"]

    @classmethod
    def fit(cls, rows: Float[np.ndarray, "n dim"], core: JetCore = JET) -> "JetNormalizer":
        """Returns the normaliser of a reference set of raw features of a core.

        Raises:
            ProtocolError: If the set has fewer than two rows, or rows that are not the core's.
        """
        if len(rows) < 2:
            raise ProtocolError(f"a reference set needs two clips or more, got {len(rows)}")
        rows = rows.astype(np.float64)
        sizes = core.sizes_of(rows.shape[1])
        edges = np.cumsum([0, *sizes])
        sd = rows.std(axis=0)
        for start, stop in pairwise(edges):
            typical = np.sqrt(np.square(sd[start:stop]).mean())
            sd[start:stop] = np.maximum(sd[start:stop], max(0.1 * typical, 1e-3))
        weight = np.repeat([1 / np.sqrt(len(sizes) * size) for size in sizes], sizes)
        return cls(rows.mean(axis=0), sd, weight)

    def __call__(self, rows: Float[np.ndarray, "n dim"]) -> Float[np.ndarray, "n dim"]:
        """Returns normalised float64 features."""
        z = (rows.astype(np.float64) - self.mean) / self.sd
        squashed: Float[np.ndarray, "n dim"] = 3 * np.tanh(z / 3) * self.weight
        return squashed
