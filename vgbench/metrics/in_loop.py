"""The metrics as torchmetrics, for anybody's own training loop; also the way plugins embed them.

States are the features of all clips, so they merge by concatenation: over batches, processes and
`merge_state`, with the numbers of a single process.
"""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import rank_zero_warn
from torchmetrics.utilities.data import dim_zero_cat

from vgbench.errors import ProtocolError, UsageError
from vgbench.metrics.extractors.base import FeatureExtractor, open_extractor
from vgbench.metrics.protocol import (
    EvalProtocol,
    count_notes,
    get_protocol,
    metric_name,
    refuse_few,
)
from vgbench.metrics.score import FeatureSet, Numbers, numbers
from vgbench.video import check_clips


class SetMetric(Metric):
    """A number that compares a set of real clips with a set of generated ones.

    Args:
        protocol: Which features and which statistic; its rules on the choice of clips are the
            caller's to follow. A name, or a record (`dataclasses.replace(get_protocol(...), ...)`).
        weights_dir: Folder of installed weights, if not the default one.
        extractor: Feature extractor in place of the one that the protocol names.
        kwargs: Options of `torchmetrics.Metric`.

    Raises:
        UsageError: If the protocol's statistic is not one of this class.
        WeightsError: If its weights are not installed.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    default: ClassVar[str]
    statistics: ClassVar[tuple[str, ...]]

    real: list[Tensor]
    fake: list[Tensor]

    def __init__(
        self,
        protocol: str | EvalProtocol | None = None,
        *,
        weights_dir: Path | None = None,
        extractor: FeatureExtractor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        chosen = protocol or self.default
        self.protocol = get_protocol(chosen) if isinstance(chosen, str) else chosen
        if self.protocol.statistic not in self.statistics:
            raise UsageError(
                f"protocol {self.protocol.id} computes '{self.protocol.statistic}'; "
                f"{type(self).__name__} takes {' or '.join(self.statistics)}"
            )
        core = extractor or open_extractor(
            self.protocol.extractor,
            weights_dir,
            preprocess=self.protocol.preprocess,
            bn_eps=self.protocol.bn_eps,
        )
        # In a tuple the network is no submodule, so checkpoints of the caller do not carry it.
        self._core = (core,)
        self.add_state("real", default=[], dist_reduce_fx="cat")
        self.add_state("fake", default=[], dist_reduce_fx="cat")

    @property
    def extractor(self) -> FeatureExtractor:
        """The feature extractor."""
        return self._core[0]

    @property
    def metric(self) -> str:
        """Name that the number may carry, given the weights: `FVD16`, `FD16[i3d:1a2b3c4d]`, ..."""
        weights = self.extractor.weights
        return metric_name(self.protocol, weights.identity, weights.sha256)

    def update(self, videos: Tensor, *, real: bool) -> None:
        """Adds clips to one of the two sets.

        Args:
            videos: uint8 RGB clips `(B, T, H, W, 3)`; model outputs pass `vgbench.video.to_uint8`
                first.
            real: Whether they are real ones.

        Raises:
            DataError: If `videos` are not uint8 RGB clips.
            ProtocolError: If their length is not the protocol's.
        """
        frames = check_clips(videos).shape[1]
        if self.protocol.frames == 1:
            videos = rearrange(videos, "b t h w c -> (b t) 1 h w c")
        elif frames != self.protocol.frames:
            raise ProtocolError(
                f"protocol {self.protocol.id} takes clips of {self.protocol.frames} frames, "
                f"got {frames}"
            )
        net = self.extractor.to(self.device).for_frames(videos.shape[2], videos.shape[3])
        rows = net(videos).to(self.device)
        (self.real if real else self.fake).append(rows)

    def compute(self) -> Tensor:
        """Returns the number, float64.

        Raises:
            ProtocolError: If there are too few clips for the metric's name.
        """
        return torch.tensor(self.numbers().value, dtype=torch.float64, device=self.device)

    def numbers(self) -> Numbers:
        """Returns the number of this process's clips with its interval and permutation null."""
        sides = {"real": self.real, "fake": self.fake}
        rows = {side: _rows(state) for side, state in sides.items()}
        n_real, n_fake = len(rows["real"]), len(rows["fake"])
        refuse_few(self.protocol, n_real, n_fake)
        for note in count_notes(self.protocol, n_real, n_fake, rows["real"].shape[1]):
            rank_zero_warn(f"{self.metric}: {note}", UserWarning)
        sets = {side: FeatureSet(keep_rows=True) for side in sides}
        for side, found in sets.items():
            found.add(rows[side])
        return numbers(self.protocol, sets)


class FrechetVideoDistance(SetMetric):
    """FVD, or the Fréchet distance of another core (`hfd16` needs no weights).

    Example:
        >>> from vgbench.metrics import FrechetVideoDistance
        >>> metric = FrechetVideoDistance("hfd16")
        >>> clips = torch.randint(0, 256, (4, 16, 32, 32, 3), dtype=torch.uint8)
        >>> metric.update(clips, real=True)
        >>> metric.update(clips.flip(0), real=False)
        >>> metric.metric, bool(metric.numbers().value < 1e-9)
        ('hFD16', True)
    """

    default = "fvd16"
    statistics = ("frechet", "frechet-infinity")


class KernelVideoDistance(SetMetric):
    """KVD, the unbiased discrepancy with a cubic kernel, or another kernel (`hmmd16`)."""

    default = "kvd16"
    statistics = ("mmd-poly3", "mmd-poly3-subsets", "mmd-poly2-v", "mmd-rational-quadratic")


class EnergyVideoDistance(SetMetric):
    """The unbiased energy distance; by default `hED16`, which needs no weights."""

    default = "hed16"
    statistics = ("energy",)


class FrechetInceptionDistance(SetMetric):
    """FID of single frames; every frame of the clips given is one image."""

    default = "fid"
    statistics = ("frechet",)


def _rows(state: list[Tensor]) -> np.ndarray:
    if isinstance(state, list) and not state:
        return np.zeros((0, 1), np.float32)
    return dim_zero_cat(state).cpu().numpy()
