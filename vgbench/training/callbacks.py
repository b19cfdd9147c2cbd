"""What happens beside the training steps; everything is scheduled on `clips_seen`."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from vgbench import media
from vgbench.models.base import VideoGAN
from vgbench.nn.noise import seeded_generator
from vgbench.nn.processes import largest
from vgbench.training.metrics_csv import MetricsCsv
from vgbench.training.run_folder import RunFolder
from vgbench.video import to_uint8

# Seconds between two rows of scalars; averages over all steps in between are written.
_LOG_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        clips_seen: Clips shown so far.
        total: Clips to show in all.
        clips_per_second: Over the last steps.
        seconds_left: Estimate for the rest.
        scalars: Latest averages of what the method logs.
        stage: Which of the run's models is trained, e.g. `stage 1/2 image`; empty if there is one.
    """

    clips_seen: int
    total: int
    clips_per_second: float
    seconds_left: float
    scalars: dict[str, float] = field(default_factory=dict)
    stage: str = ""


def crossed(interval_kclips: float, before: int, after: int) -> bool:
    """Returns whether a multiple of the interval lies in (before, after]."""
    interval = interval_kclips * 1000
    return int(after // interval) > int(before // interval)


def batch_clips(trainer: pl.Trainer, batch: dict[str, Any]) -> int:
    """Returns the clips that one step shows, over all processes."""
    return len(batch["t"]) * trainer.world_size


class StopAtBudget(pl.Callback):
    """Ends training when the budget's clips are seen."""

    def __init__(self, total: int) -> None:
        self.total = total

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Makes no step if the budget is reached already, by a run that is resumed."""
        self.on_train_batch_end(trainer, pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Stops after the step that reaches the budget."""
        if pl_module.clips_seen >= self.total:
            trainer.should_stop = True


class StopOnSignal(pl.Callback):
    """Ends training after the current step on SIGTERM, SIGUSR1 or Ctrl-C.

    A context manager: signals are caught inside, and between trainings. A second Ctrl-C interrupts
    at once.

    Attributes:
        received: The signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: list[dict[signal.Signals, Any]] = []

    def __enter__(self) -> "StopOnSignal":
        self._before.append(self._take_over())
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.pop().items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes over the signals again: Lightning has set handlers of its own, for its loop."""
        self._take_over()

    def _take_over(self) -> dict[signal.Signals, Any]:
        numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
        return {number: signal.signal(number, self._receive) for number in numbers}

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.received == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        """Stops once a signal came, to all processes after the same step."""
        number = largest(int(self.received or 0), pl_module.device)
        if number:
            self.received = signal.Signals(number)
            trainer.should_stop = True


class SaveCheckpoints(pl.Callback):
    """Keeps `last.ckpt` and, every interval, a checkpoint named after the clips seen."""

    def __init__(self, folder: RunFolder, interval_kclips: float) -> None:
        self.folder = folder
        self.interval_kclips = interval_kclips

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Keeps the untrained model, which a trained one is compared with."""
        if pl_module.clips_seen == 0:
            self.save(trainer, pl_module, keep=True)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves when the interval has passed."""
        seen = pl_module.clips_seen
        if crossed(self.interval_kclips, seen - batch_clips(trainer, batch), seen):
            self.save(trainer, pl_module, keep=True)

    def save(self, trainer: pl.Trainer, model: VideoGAN, keep: bool = False) -> None:
        """Replaces `last.ckpt`; with `keep`, also under a name that stays."""
        trainer.save_checkpoint(self.folder.last)
        if keep and trainer.is_global_zero:
            name = f"kclip-{model.clips_seen / 1000:09.3f}.ckpt"
            link_or_copy(self.folder.last, self.folder.checkpoints / name)


def link_or_copy(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`, or a copy where links are not possible."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        target.write_bytes(source.read_bytes())


class SampleVideos(pl.Callback):
    """Writes videos (or images) of the same latents every interval, to watch progress."""

    def __init__(self, folder: RunFolder, interval_kclips: float, fps: float, seed: int) -> None:
        self.folder = folder
        self.interval_kclips = interval_kclips
        self.fps = fps
        self.seed = seed

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Samples when the interval has passed."""
        seen = pl_module.clips_seen
        due = crossed(self.interval_kclips, seen - batch_clips(trainer, batch), seen)
        if due and trainer.is_global_zero:
            self.write(pl_module)

    def write(self, model: VideoGAN, count: int = 16, columns: int = 4) -> Path:
        """Writes a grid of `count` videos and returns its path."""
        generators = [seeded_generator(self.seed, "eval", i) for i in range(count)]
        videos = to_uint8(model.sample(count, model.clips.frames, generators)).cpu().numpy()
        suffix = ".png" if model.max_frames == 1 else ".mp4"
        path = self.folder.samples / f"kclip-{model.clips_seen / 1000:09.3f}{suffix}"
        factor = max(1, 128 // model.spec.height)
        tiled = media.grid(videos, columns)
        media.write_clip(path, media.enlarge(tiled, factor), self.fps)
        return path


class Report(pl.Callback):
    """Averages what the steps return, writes it to `metrics.csv` and tells how far the run is.

    Args:
        folder: Of the run.
        total: Clips to show in all.
        tell: Called with the progress.
        watched: Latest numbers of the evaluation while training, by name; None where there is none
            yet.
    """

    def __init__(
        self,
        folder: RunFolder,
        total: int,
        tell: Callable[[Progress], None],
        watched: Callable[[], dict[str, float | None]] = dict,
    ) -> None:
        self.folder = folder
        self.total = total
        self.tell = tell
        self.watched = watched
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()
        self._clips = 0
        self._since = 0.0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Opens `metrics.csv` at the position of the run."""
        if trainer.is_global_zero:
            self._csv = MetricsCsv(self.folder.metrics, pl_module.clips_seen)
        self._since = time.monotonic()
        self._clips = pl_module.clips_seen

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds up the scalars of the step, not all of which every step has; reports in time."""
        for name, value in outputs.items():
            if isinstance(value, Tensor):
                value = value.detach()
                self._sums[name] = self._sums.get(name, torch.zeros_like(value)) + value
                self._counts[name] += 1
        finished = pl_module.clips_seen >= self.total
        if finished or time.monotonic() - self._since >= _LOG_SECONDS:
            self._flush(trainer, pl_module)

    def _flush(self, trainer: pl.Trainer, model: VideoGAN) -> None:
        seconds = time.monotonic() - self._since
        rate = (model.clips_seen - self._clips) / max(seconds, 1e-9)
        scalars = {name: float(value) / self._counts[name] for name, value in self._sums.items()}
        left = max(self.total - model.clips_seen, 0) / max(rate, 1e-9)
        if trainer.is_global_zero:
            watched = self.watched()
            row = {**scalars, **watched, "clips_per_second": round(rate, 3)}
            self._csv.append(model.clips_seen, row)
            scalars |= {name: value for name, value in watched.items() if value is not None}
            for logger in trainer.loggers:
                logger.log_metrics(scalars, step=model.clips_seen)
            self.tell(Progress(model.clips_seen, self.total, rate, left, scalars))
        self._sums, self._counts = {}, Counter()
        self._clips, self._since = model.clips_seen, time.monotonic()
