"""Evaluation while a run trains, and the best checkpoint by it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from vgbench.config.schema import ProtocolConfig
from vgbench.data.sources import VideoSource
from vgbench.metrics.extractors.base import open_extractor
from vgbench.metrics.protocol import get_protocol
from vgbench.models.base import VideoGAN
from vgbench.models.checkpoint import read_checkpoint
from vgbench.training.callbacks import batch_clips, crossed
from vgbench.training.checkpoint_io import AtomicCheckpointIO
from vgbench.training.run_folder import RunFolder


@dataclass(frozen=True)
class Evaluation:
    """One number measured while training.

    Attributes:
        clips_seen: Where the run stood.
        value: The number.
    """

    clips_seen: int
    value: float


class KeepBest(pl.Callback):
    """Evaluates the weight average every interval and keeps the best state as `best.ckpt`.

    The file records all evaluations it was chosen from, so a row of it says `best-of-k by ...`, and
    a resumed run goes on choosing. Real clips pass the network once; their features stay in the run
    folder.

    Args:
        folder: Of the run.
        source: Training videos, the reference.
        options: What is evaluated, and how often.
        weights_dir: Folder of installed weights, if not the default one.

    Raises:
        WeightsError: If the protocol needs weights that are not installed; before the first step.
    """

    def __init__(
        self,
        folder: RunFolder,
        source: VideoSource,
        options: ProtocolConfig,
        weights_dir: Path | None = None,
    ) -> None:
        self.folder = folder
        self.source = source
        self.weights_dir = weights_dir
        self.protocol = get_protocol(options.watched)
        open_extractor(self.protocol.extractor, weights_dir)
        self.interval_kclips = options.every_kclips
        self.evaluations: list[Evaluation] = []

    @property
    def best(self) -> Evaluation | None:
        """The best evaluation so far; of equals, the first."""
        sign = -1 if self.protocol.higher_is_better else 1
        return min(self.evaluations, key=lambda one: sign * one.value, default=None)

    @property
    def scalars(self) -> dict[str, float | None]:
        """Last and best number by the name of a column; None before the first."""
        last, best = (self.evaluations[-1], self.best) if self.evaluations else (None, None)
        return {
            self.protocol.id: None if last is None else last.value,
            "best": None if best is None else best.value,
        }

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Takes up the evaluations that a resumed run has behind it."""
        if not self.folder.best.is_file():
            return
        about = read_checkpoint(self.folder.best)["vgbench"]
        # What lies ahead of the resumed position is trained and evaluated again, to equal numbers.
        self.evaluations = [
            Evaluation(int(clips), float(value))
            for clips, value in about["evaluations"]
            if clips <= pl_module.clips_seen
        ]

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluates when the interval has passed."""
        seen = pl_module.clips_seen
        if crossed(self.interval_kclips, seen - batch_clips(trainer, batch), seen):
            self.evaluate(trainer, pl_module)

    def evaluate(self, trainer: pl.Trainer, model: VideoGAN) -> None:
        """Measures the model; saves it if it is the best so far."""
        from vgbench.evaluation import evaluate

        (row,) = evaluate(
            self.source,
            model,
            self.protocol.id,
            device=str(model.device),
            weights_dir=self.weights_dir,
            feature_cache=self.folder.features,
        )
        self.evaluations.append(Evaluation(model.clips_seen, row.value))
        record = {
            "selection": f"best-of-{len(self.evaluations)} by {row.metric}",
            "evaluations": [[one.clips_seen, one.value] for one in self.evaluations],
        }
        if self.best == self.evaluations[-1]:
            own, model.provenance = model.provenance, {**model.provenance, **record}
            trainer.save_checkpoint(self.folder.best)
            model.provenance = own
        elif trainer.is_global_zero:
            self._restamp(record)

    def _restamp(self, record: dict[str, Any]) -> None:
        """Tells the best checkpoint that it was chosen from one more."""
        contents = read_checkpoint(self.folder.best)
        contents["vgbench"] |= record
        AtomicCheckpointIO().save_checkpoint(contents, self.folder.best)
