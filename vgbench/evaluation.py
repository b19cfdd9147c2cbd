"""From a model, a checkpoint or anybody's videos to leaderboard rows, in one call."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict, Unpack

import torch

from vgbench import __version__
from vgbench.data.sources import EndlessSource, VideoSource
from vgbench.errors import ProtocolError
from vgbench.metrics.evaluator import BatchSize, Evaluator, Progress, Score
from vgbench.metrics.feature_cache import FeatureCache
from vgbench.metrics.protocol import (
    EvalProtocol,
    SampleCounts,
    check_enough,
    get_protocol,
    refuse_few,
)
from vgbench.report.rows import LeaderboardRow
from vgbench.subjects import (
    Fake,
    Real,
    Subject,
    fake_set,
    open_real,
    open_subject,
    real_set,
    videos_needed,
)


class Settings(TypedDict, total=False):
    """How an evaluation is computed; none of it but `precision` moves a number.

    Attributes:
        device: `auto` (the default: a GPU if there is one), `cpu`, `cuda`.
        batch_size: Clips at a time (default 16), or `auto`: as many as memory allows.
        precision: Number format of networks: `fp32` (the default), `tf32` or `bf16`.
        weights_dir: Folder of installed weights, if not the default one.
        feature_cache: Folder that features are kept in and looked for; none by default. With one,
            an interrupted evaluation goes on where it stopped, and another metric of the same
            clips is a matter of seconds.
    """

    device: str
    batch_size: BatchSize
    precision: str
    weights_dir: Path | None
    feature_cache: Path | None


def evaluate(
    real: Real,
    fake: Fake,
    protocol: str | Sequence[str] = ("hed16", "hfd16"),
    *,
    seed: int = 0,
    on_progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> list[LeaderboardRow]:
    """Returns one leaderboard row per protocol for generated videos against real ones.

    Under an initialised `torch.distributed` the clips are shared out; every process returns the
    values of a single one.

    Args:
        real: uint8 RGB videos `(N, T, H, W, 3)` as an array or tensor; a source of videos; the name
            of a registered data set; a prepared cache; or a folder of video files.
        fake: The same; or a model; a checkpoint or run folder; or a function from the number of a
            video to its uint8 frames `(T, H, W, 3)`, which should depend on the number alone.
        protocol: One or several protocol names (`vgbench ls protocols`).
        seed: Seed of the generated videos. Real clips follow the protocol's own seed.
        on_progress: Called with (stage, done, total).
        settings: How it is computed; see `Settings`.

    Raises:
        ProtocolError: If there are too few clips, or they are too short or of different sizes.
        WeightsError: If a protocol's weights are not installed.
        DataError: If videos are missing, unreadable or not uint8.
        CheckpointError: If the checkpoint cannot be loaded.
        UsageError: If the device lacks the precision.

    Example:
        >>> import numpy as np, vgbench
        >>> real, fake = np.random.default_rng(0).integers(0, 256, (2, 8, 16, 32, 32, 3), np.uint8)
        >>> (row,) = vgbench.evaluate(real, fake, "hed16")
        >>> row.metric, row.n_real, row.n_fake
        ('hED16', 8, 8)
    """
    _refuse_unknown(settings)
    source = open_real(real)
    names = [protocol] if isinstance(protocol, str) else list(protocol)
    protocols = [get_protocol(one) for one in names]
    plans = {p.id: check_enough(p, _lengths(source), dataset=source.name) for p in protocols}
    evaluator = _evaluator(protocols, on_progress, settings)
    batch_size = settings.get("batch_size", 16)
    subject = open_subject(fake, seed, str(evaluator.device), batch_size, source)
    for p in protocols:
        _refuse_missing(p, plans[p.id], subject)
    has_floor = all(p.real_clips != "all-frames" for p in protocols)
    scores = evaluator.evaluate(
        real_set(source, plans, draw=0),
        fake_set(subject, plans, seed),
        real_set(source, plans, draw=1) if has_floor else None,
    )
    ceilings = _ceilings(evaluator, source, subject, plans, seed)
    return [
        _row(score, p, source, subject, seed, (*plans[p.id].notes, *ceilings.get(p.id, ())))
        for score, p in zip(scores, protocols, strict=True)
    ]


def _refuse_unknown(settings: Settings) -> None:
    unknown = settings.keys() - Settings.__annotations__.keys()
    if unknown:
        raise TypeError(f"evaluate() knows no setting {', '.join(sorted(unknown))}")


def _ceilings(
    evaluator: Evaluator,
    source: VideoSource,
    subject: Subject,
    plans: Mapping[str, SampleCounts],
    seed: int,
) -> dict[str, tuple[str]]:
    """Returns a note per protocol: what a model that draws within an inversion cannot beat."""
    if subject.best is None:
        return {}
    best = fake_set(subject.best, plans, seed)
    scores = evaluator.evaluate(real_set(source, plans, draw=0), best)
    text = "inversion ceiling {0.metric} {0.value:.4f}: its inversion of real clips"
    return {score.protocol_id: (text.format(score),) for score in scores}


def _evaluator(
    protocols: list[EvalProtocol], on_progress: Progress | None, settings: Settings
) -> Evaluator:
    folder = settings.get("feature_cache")
    return Evaluator(
        protocols,
        device=settings.get("device", "auto"),
        batch_size=settings.get("batch_size", 16),
        precision=settings.get("precision", "fp32"),
        weights_dir=settings.get("weights_dir"),
        on_progress=on_progress,
        cache=None if folder is None else FeatureCache(folder),
    )


def _refuse_missing(protocol: EvalProtocol, plan: SampleCounts, subject: Subject) -> None:
    """Refuses generated videos that are too short or too few, before any is read.

    Raises:
        ProtocolError: If a model draws no videos as long as the protocol takes them, or a protocol
            that fixes the number of samples would get fewer.
    """
    if subject.max_frames is not None and protocol.fake_span > subject.max_frames:
        raise ProtocolError(_too_long_text(protocol, subject))
    if subject.available is None or protocol.fake_reuse != "never":
        return
    samples = subject.available * protocol.frames_per_fake_video // protocol.trials
    refuse_few(protocol, plan.n_real, min(plan.n_fake, samples))


def _too_long_text(protocol: EvalProtocol, subject: Subject) -> str:
    text = (
        f"protocol {protocol.id} takes {protocol.fake_span} frames of a generated video; "
        f"'{subject.name}' draws at most {subject.max_frames}"
    )
    images = "\n  protocols of single frames: hed1, hfd1 (no weights needed), fid, kid"
    return text + (images if subject.max_frames == 1 else "")


def _lengths(source: VideoSource) -> list[int]:
    return [source.meta(i).n_frames for i in range(len(source))]


def _row(
    score: Score,
    protocol: EvalProtocol,
    source: VideoSource,
    subject: Subject,
    seed: int,
    notes: tuple[str, ...],
) -> LeaderboardRow:
    # A finite set has no second set of videos, only other clips of the same ones.
    finite = score.floor is not None and not isinstance(source, EndlessSource)
    floor_notes = ("floor from other clips of the same videos",) if finite else ()
    one_each = protocol.real_clips == "one-per-video"
    every_note = (score.note, *notes, *floor_notes, *subject.notes)
    return LeaderboardRow(
        **{**vars(score), "note": "; ".join(filter(None, every_note))},
        model=subject.name,
        dataset=source.name,
        n_real_videos=score.n_real if one_each else min(score.n_real, len(source)),
        n_fake_videos=videos_needed(protocol, score.n_fake),
        fps=source.meta(0).fps,
        dataset_fingerprint=source.fingerprint,
        split="train",
        seed_data=protocol.seed,
        seed_gen=seed,
        seed_train=subject.seed_train,
        checkpoint_sha256=subject.checkpoint_sha256,
        clips_seen=subject.clips_seen,
        config=subject.config,
        config_sha256=subject.config_sha256,
        selection=subject.selection,
        vgbench_version=__version__,
        torch_version=torch.__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
