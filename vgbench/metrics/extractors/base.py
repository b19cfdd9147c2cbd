"""The contract of feature extractors: uint8 clips in, one float32 vector per clip out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from vgbench.errors import DataError, UsageError
from vgbench.metrics.extractors.precision import Precision, arithmetic, check_precision
from vgbench.metrics.extractors.resize import Preprocess
from vgbench.registry import EXTRACTORS
from vgbench.video import check_clips
from vgbench.weights.record import WeightsRef
from vgbench.weights.store import WeightStore


class FeatureExtractor(nn.Module, ABC):
    """A frozen map from a clip to a feature vector, resizing and normalisation included.

    Features of a clip do not depend on the other clips of the batch. Every extractor is built by
    `load(weights_dir)`; `open_extractor` finds it by its name in `vgbench.registry.EXTRACTORS`.

    Attributes:
        name: Name in the registry.
        dim: Length of a feature vector.
        preprocess_id: Name of the resizing and normalisation; part of a protocol's identity.
        version: Raised whenever the features of a clip change; cached ones are then not used.
        weights: Identity of the weights in use.
        precision: Number format of its arithmetic.
    """

    name: str
    dim: int
    preprocess_id: str
    version: int = 1
    weights: WeightsRef
    precision: Precision = "fp32"

    @classmethod
    @abstractmethod
    def load(cls, weights_dir: Path | None = None) -> "FeatureExtractor":
        """Returns the extractor in evaluation mode, on the CPU, with its installed weights.

        Args:
            weights_dir: Folder of installed weights (default: `vgbench.weights.store`'s);
                ignored by extractors without weights.

        Raises:
            WeightsError: If its weights are not installed; the text says how to install them.
        """

    @abstractmethod
    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns the float32 features of uint8 RGB `clips`, on the device of the module.

        Raises:
            DataError: If `clips` are not what `vgbench.video.check_clips` accepts, or are too
                short for the extractor.
        """

    def for_frames(self, height: int, width: int) -> "FeatureExtractor":
        """Returns the extractor to use for frames of this size; itself, unless sizes differ."""
        return self

    @property
    def identity(self) -> dict[str, object]:
        """Everything beside the clips that decides the features."""
        return {
            "extractor": self.name,
            "version": self.version,
            "dim": self.dim,
            "preprocess": self.preprocess_id,
            "precision": self.precision,
            "weights": f"{self.weights.identity}:{self.weights.sha256 or self.weights.name}",
        }


class NetworkExtractor(FeatureExtractor):
    """An extractor whose network reads its weights from the store.

    A subclass names the network, its weights and the ways of preparing frames, and computes the
    features of groups of clips.

    Args:
        net: The network with its normalisations apart; they are folded here.
        weights: Where its numbers come from.
        preprocess: A name in `inputs`; None takes the first.
        precision: Number format of its arithmetic.

    Class attributes:
        network: Class of the network; its `fold(dtype)` makes it fit for inference.
        weights_name: Name of its weights in the catalog.
        inputs: Ways of preparing frames by preprocess name, the default first.
        min_frames: Shortest clip.
        max_frames: Longest clip, or None.

    Attributes:
        dtype: Number format of weights and activations.
        gpu_group: Clips that go through the network together on a GPU, to fill it.

    Raises:
        UsageError: If there is no such preprocessing.
    """

    network: ClassVar[type[nn.Module]]
    weights_name: ClassVar[str]
    inputs: ClassVar[Mapping[str, Preprocess]]
    min_frames: ClassVar[int] = 1
    max_frames: ClassVar[int | None] = None
    gpu_group: int = 8
    net: Any  # nn.Module, whose attributes mypy takes for tensors

    def __init__(
        self,
        net: nn.Module,
        weights: WeightsRef,
        *,
        preprocess: str | None = None,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__()
        self.preprocess_id = preprocess or next(iter(self.inputs))
        if self.preprocess_id not in self.inputs:
            known = ", ".join(self.inputs)
            raise UsageError(f"'{self.name}' prepares frames by {known}; not by '{preprocess}'")
        self.prepare = self.inputs[self.preprocess_id]
        self.weights = weights
        self.precision = precision
        self.bn_eps = next(norm.eps for norm in _norms(net))
        self.net = net.eval().requires_grad_(False)
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.net.fold(self.dtype)
        self.eval()

    @classmethod
    def load(
        cls,
        weights_dir: Path | None = None,
        *,
        preprocess: str | None = None,
        precision: Precision = "fp32",
        bn_eps: float | None = None,
    ) -> "NetworkExtractor":
        """Returns the extractor in evaluation mode, on the CPU, with its installed weights.

        Args:
            weights_dir: Folder of installed weights (default: `vgbench.weights.store`'s).
            preprocess: A name in `inputs`; None takes the default.
            precision: Number format of its arithmetic.
            bn_eps: Constant of the normalisations, for protocols whose network has another one.

        Raises:
            WeightsError: If they are not installed or the files are damaged.
            UsageError: If there is no such preprocessing.
        """
        tensors, weights = WeightStore(weights_dir).load(cls.weights_name)
        net = cls.network()
        net.load_state_dict(tensors)
        for norm in _norms(net):
            norm.eps = bn_eps or norm.eps
        return cls(net, weights, preprocess=preprocess, precision=precision)

    @abstractmethod
    def features(self, clips: UInt8[Tensor, "b t h w 3"]) -> Float[Tensor, "b dim"]:
        """Returns the float32 features of a group of clips of the right length and device."""

    @torch.inference_mode()
    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns the float32 features of each clip.

        Raises:
            DataError: If `clips` are not uint8 RGB, or too short or too long.
            UsageError: If the device lacks the precision.
        """
        self._check_frames(check_clips(clips).shape[1])
        device = next(self.net.parameters()).device
        check_precision(self.precision, device)
        size = self.group_size(device)
        with arithmetic(self.precision, device):
            groups = torch.split(clips.to(device, non_blocking=True), size)
            return torch.cat([self.features(_filled(g, size))[: len(g)] for g in groups])

    def group_size(self, device: torch.device) -> int:
        """Returns how many clips go through the network together.

        It does not follow the batch: kernels are chosen by shape, so features would too. On a CPU
        one clip is enough to occupy it, and its activations stay in the cache.
        """
        return 1 if device.type == "cpu" else self.gpu_group

    @property
    def identity(self) -> dict[str, object]:
        """Everything beside the clips that decides the features."""
        return {**super().identity, "bn_eps": self.bn_eps}

    def _check_frames(self, frames: int) -> None:
        if frames < self.min_frames:
            raise DataError(
                f"'{self.name}' needs clips of at least {self.min_frames} frames, got {frames}\n"
                "  use longer clips, or the extractor 'inception-2015' for single frames"
            )
        if self.max_frames is not None and frames > self.max_frames:
            raise DataError(
                f"'{self.name}' sees clips of at most {self.max_frames} frames, got {frames}\n"
                '  single frames of a clip: rearrange(clips, "b t h w c -> (b t) 1 h w c")'
            )


def open_extractor(
    spec: str,
    weights_dir: Path | None = None,
    *,
    preprocess: str | None = None,
    precision: Precision = "fp32",
    bn_eps: float | None = None,
) -> FeatureExtractor:
    """Returns the extractor that a protocol names, e.g. `i3d`, `jet` or `i3d-random:7`.

    Args:
        spec: Registered name; behind a colon the seed of drawn weights.
        weights_dir: Folder of installed weights, if not the default one.
        preprocess: Preparation of the frames; None takes the extractor's default.
        precision: Number format of networks; extractors without weights compute in float32.
        bn_eps: Constant of the normalisations; None takes the network's own.

    Raises:
        UnknownNameError: If no extractor has that name.
        WeightsError: If its weights are not installed.
        UsageError: If it lacks the preprocessing, or a seed is given to weights that are read.
    """
    name, _, seed = spec.partition(":")
    kind = EXTRACTORS.get(name)
    options: dict[str, Any] = {}
    if issubclass(kind, NetworkExtractor):
        options = {"preprocess": preprocess, "precision": precision, "bn_eps": bn_eps}
    if seed and not (seed.isdecimal() and getattr(kind, "takes_seed", False)):
        raise UsageError(f"extractor '{spec}': write {name}, or i3d-random:SEED with a whole SEED")
    if seed:
        options["seed"] = int(seed)
    extractor: FeatureExtractor = kind.load(weights_dir, **options)
    return extractor


def _norms(net: nn.Module) -> list[nn.BatchNorm2d | nn.BatchNorm3d]:
    return [m for m in net.modules() if isinstance(m, (nn.BatchNorm2d, nn.BatchNorm3d))]


def _filled(group: UInt8[Tensor, "n t h w 3"], size: int) -> UInt8[Tensor, "size t h w 3"]:
    """Returns the group with its first clip repeated until it has `size` clips."""
    missing = size - len(group)
    return torch.cat([group, group[:1].expand(missing, -1, -1, -1, -1)]) if missing else group
