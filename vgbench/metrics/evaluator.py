"""One pass over real and generated clips for any number of protocols.

The evaluator is given sets of uint8 clips and knows neither models nor data sets. It keeps one
batch of clips at a time, and of each clip at most its features.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

from vgbench.errors import ProtocolError, UsageError
from vgbench.metrics.clip_set import Clip, Clips, ClipSet
from vgbench.metrics.extractors.base import FeatureExtractor, open_extractor
from vgbench.metrics.extractors.precision import check_precision
from vgbench.metrics.feature_cache import FeatureCache
from vgbench.metrics.feature_pass import Collected, Core, FeaturePass, Progress, core_of
from vgbench.metrics.machine import Machine
from vgbench.metrics.protocol import EvalProtocol, count_notes, metric_name, refuse_few
from vgbench.metrics.score import Score, numbers

__all__ = ["Clip", "ClipSet", "Clips", "Evaluator", "Progress", "Score"]

BatchSize = int | Literal["auto"]
_AUTO_BATCH = {False: 16, True: 64}  # without and with a GPU


class Evaluator:
    """Computes the numbers of several protocols, decoding and generating every clip once.

    Protocols with the same clip settings share one pass, whatever their extractors, and those
    with the same extractor one set of features. Under an initialised `torch.distributed` the
    clips are shared out; features are gathered in the order of the whole set, so every rank
    returns the values of a single process.

    Args:
        protocols: What to compute.
        device: `auto` (a GPU if there is one) or any device of torch.
        batch_size: Clips held and processed at a time, or `auto`: as many as memory allows. It
            does not change the numbers.
        precision: Number format of networks: `fp32`, `tf32` or `bf16`; part of the row. Extractors
            without weights compute in float32.
        weights_dir: Folder of installed weights, if not the default one.
        on_progress: Called with (stage, done, total); stages are `real`, `fake`, `floor` and
            `statistics`, with ` (cached)` behind where features come from the cache. Total is None
            where the number of clips is not known.
        extractors: Extractors by name in place of those that the registry loads.
        cache: Where features of sets that say what they are are kept and looked for.

    Raises:
        WeightsError: If an extractor's weights are not installed.
        ProtocolError: If an extractor preprocesses otherwise than a protocol demands.
        UsageError: If the device lacks the precision.
    """

    def __init__(
        self,
        protocols: Sequence[EvalProtocol],
        *,
        device: str = "auto",
        batch_size: BatchSize = 16,
        precision: str = "fp32",
        weights_dir: Path | None = None,
        on_progress: Progress | None = None,
        extractors: Mapping[str, FeatureExtractor] | None = None,
        cache: FeatureCache | None = None,
    ) -> None:
        self.protocols = tuple(protocols)
        self.device = find_device(device)
        self._machine = _machine(self.device, batch_size)
        self._report = on_progress or (lambda stage, done, total: None)
        self._cache = cache
        given = extractors or {}
        chosen = check_precision(precision, self.device)
        self._nets: dict[Core, FeatureExtractor] = {}
        for protocol in self.protocols:
            core = core_of(protocol)
            if core not in self._nets:
                self._nets[core] = given.get(protocol.extractor) or open_extractor(
                    protocol.extractor,
                    weights_dir,
                    preprocess=protocol.preprocess,
                    precision=chosen,
                    bn_eps=protocol.bn_eps,
                )
                self._nets[core].to(self.device)
            _check_core(protocol, self._nets[core])

    def evaluate(self, real: Clips, fake: Clips, floor: Clips | None = None) -> list[Score]:
        """Returns one score per protocol, in the order of the protocols.

        Args:
            real: Real clips: a set that can be read from any position; or an iterable; or, needed
                where protocols differ in their clips, a function from a protocol to an iterable.
                With several processes an iterable holds the share of this one: of W processes,
                number r has the clips r, r + W, ... More than the protocol takes are not read.
            fake: Generated clips, likewise.
            floor: A second set of real clips, likewise; gives what a perfect model would score.

        Raises:
            ProtocolError: If clips are too few, or of another length or size than they must be.
            DataError: If clips are not uint8 RGB, or features are not finite.
            UsageError: If protocols need different clips and one iterable was given.
        """
        groups: dict[tuple[object, ...], list[EvalProtocol]] = {}
        for protocol in self.protocols:
            groups.setdefault(protocol.clip_settings, []).append(protocol)
        is_general = all(
            clips is None or callable(clips) or isinstance(clips, ClipSet)
            for clips in (real, fake, floor)
        )
        if len(groups) > 1 and not is_general:
            raise UsageError(
                f"{len(groups)} clip settings in one evaluation: give functions from a protocol "
                "to its clips instead of clips"
            )
        scores: dict[str, Score] = {}
        for group in groups.values():
            scores |= self._evaluate_group(group, real, fake, floor)
        return [scores[protocol.id] for protocol in self.protocols]

    def _evaluate_group(
        self, group: list[EvalProtocol], real: Clips, fake: Clips, floor: Clips | None
    ) -> dict[str, Score]:
        """Returns the scores of protocols that share their clips, by protocol id."""
        shared = FeaturePass(group, self._nets, self._machine, self._cache, self._report)
        clips = group[0]
        sets = {"real": shared.collect("real", real, clips.real_total)}
        n_real = sets["real"].n // clips.trials
        for protocol in group:
            refuse_few(protocol, n_real, max(protocol.min_clips, protocol.n_fake or 0))
        n_fake = n_real if clips.n_fake is None else clips.n_fake
        n_videos = -(-n_fake * clips.trials // clips.frames_per_fake_video)
        sets["fake"] = shared.collect("fake", fake, n_videos)
        if floor is not None:
            sets["floor"] = shared.collect("floor", floor, n_real * clips.trials)
        assert shared.resolution is not None
        scores = {}
        for done, protocol in enumerate(group):
            self._report("statistics", done, len(group))
            scores[protocol.id] = self._score(protocol, sets, shared.resolution)
        self._report("statistics", len(group), len(group))
        return scores

    def _score(
        self, protocol: EvalProtocol, sets: Mapping[str, Collected], resolution: tuple[int, int]
    ) -> Score:
        core = core_of(protocol)
        net = self._nets[core].for_frames(*resolution)
        n_real, n_fake = (sets[stage].n // protocol.trials for stage in ("real", "fake"))
        refuse_few(protocol, n_real, n_fake)
        found = numbers(
            protocol,
            {stage: own.features[core] for stage, own in sets.items()},
            {stage: own.videos for stage, own in sets.items() if own.videos is not None},
        )
        notes = (*count_notes(protocol, n_real, n_fake, net.dim), *found.notes)
        return Score(
            metric=metric_name(protocol, net.weights.identity, net.weights.sha256),
            **{name: value for name, value in vars(found).items() if name != "notes"},
            higher_is_better=protocol.higher_is_better,
            protocol_id=protocol.id,
            protocol_hash=protocol.hash,
            feature_net=net.name,
            feature_net_sha256=net.weights.sha256,
            weights_identity=net.weights.identity,
            preprocess_id=net.preprocess_id,
            n_real=n_real,
            n_fake=n_fake,
            frames=protocol.frames,
            stride=protocol.stride,
            resolution="x".join(map(str, resolution)),
            ddof=protocol.ddof,
            precision=net.precision,
            device=_device_name(self.device),
            note="; ".join(notes),
        )


def find_device(name: str) -> torch.device:
    """Returns the device that `name` means; `auto` is a GPU if there is one.

    Raises:
        UsageError: If torch knows no such device or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device '{name}': choose auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("this machine has no usable NVIDIA GPU; choose --device cpu or auto")
    return device


def _machine(device: torch.device, batch_size: BatchSize) -> Machine:
    if batch_size == "auto":
        return Machine(device, _AUTO_BATCH[device.type == "cuda"], is_auto=True)
    if batch_size < 1:
        raise UsageError(f"batch_size={batch_size}: expected 1 or more, or 'auto'")
    return Machine(device, batch_size)


def _check_core(protocol: EvalProtocol, extractor: FeatureExtractor) -> None:
    # `yuv601` is met by `yuv601-l3`: the number of pyramid levels follows the frame size
    if extractor.preprocess_id.split("-l")[0] != protocol.preprocess:
        raise ProtocolError(
            f"protocol {protocol.id} demands the preprocessing '{protocol.preprocess}', "
            f"extractor '{extractor.name}' does '{extractor.preprocess_id}'"
        )
    bn_eps = getattr(extractor, "bn_eps", None)
    if protocol.bn_eps not in (None, bn_eps):
        raise ProtocolError(
            f"protocol {protocol.id} demands normalisations with eps {protocol.bn_eps}, those of "
            f"extractor '{extractor.name}' have {bn_eps}"
        )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
