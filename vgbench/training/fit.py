"""One training run, from its options to its last checkpoint."""

import logging
import signal
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytorch_lightning as pl
import torch

from vgbench import __version__
from vgbench.config.schema import RunConfig
from vgbench.data.datamodule import ClipDataModule
from vgbench.data.sources import VideoSource, open_dataset
from vgbench.errors import (
    DivergenceError,
    InterruptedRunError,
    PreemptedError,
    UsageError,
    VGBenchError,
)
from vgbench.models.base import VideoGAN, plain
from vgbench.models.checkpoint import FORMAT, build_model
from vgbench.training.callbacks import (
    Progress,
    Report,
    SampleVideos,
    SaveCheckpoints,
    StopAtBudget,
    StopOnSignal,
)
from vgbench.training.checkpoint_io import AtomicCheckpointIO
from vgbench.training.run_folder import RunFolder
from vgbench.training.selection import KeepBest
from vgbench.types import VideoSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run is about to do, for its first screen.

    Attributes:
        model: The untrained or resumed model.
        source: The training videos.
        videos: Videos that are long enough to be used.
        total: Clips to show in all.
        device: Where it trains.
    """

    model: VideoGAN
    source: VideoSource
    videos: int
    total: int
    device: str


@dataclass(frozen=True)
class Listener:
    """Who is told what happens: the command line, or nobody.

    Attributes:
        start: Called once before the first step.
        progress: Called every few seconds.
    """

    start: Callable[[Plan], None] = lambda plan: None
    progress: Callable[[Progress], None] = lambda progress: None


def fit(
    config: RunConfig,
    folder: RunFolder,
    overrides: list[str],
    listener: Listener,
    resume: bool = False,
) -> None:
    """Trains the model that `config` describes and leaves its checkpoints in `folder`.

    Args:
        config: The run's options.
        folder: Where everything is written; nothing is before data and model are known to fit.
        overrides: The words that gave the options, kept so that the run can be repeated.
        listener: Who is told about it.
        resume: Continue from `checkpoints/last.ckpt`; the result equals an uninterrupted run's.

    Raises:
        DivergenceError: If a loss or gradient is not finite; the last finite state is saved.
        PreemptedError: If SIGTERM or SIGUSR1 came; the state is saved.
        InterruptedRunError: If Ctrl-C came; the state is saved.
        DataError: If the data set has no clip the model can use, or is not the one resumed.
        CheckpointError: If the checkpoint cannot be read or written.
    """
    source = open_dataset(config.dataset, "train")
    model = _model(config, source)
    data = ClipDataModule(
        source,
        model.clips,
        config.budget.batch_size,
        config.seed,
        config.trainer.allow_data_change,
    )
    total = round(config.budget.kclips * 1000)
    run = _Run(config, folder, listener, source)
    trainer = run.trainer(deterministic=config.deterministic)
    device = str(trainer.strategy.root_device)
    folder.start(config, overrides)
    listener.start(Plan(model, source, len(data.dataset), total, device))
    run.train(trainer, model, data, resume)


def _model(config: RunConfig, source: VideoSource) -> VideoGAN:
    first = source.meta(0)
    spec = VideoSpec(height=first.height, width=first.width)
    model = build_model(config.model, spec, config.seed)
    model.provenance = {
        "format": FORMAT,
        "version": __version__,
        "model": config.model_name,
        "dataset": config.dataset_name,
        "dataset_config": plain(asdict(config.dataset)),
        "dataset_fingerprint": source.fingerprint,
        "fps": first.fps,
        "budget": config.budget.name,
        "protocols": list(config.protocol.names),
    }
    return model


class _Run:
    """The callbacks of one run, and what is done when it ends in any way."""

    def __init__(
        self, config: RunConfig, folder: RunFolder, listener: Listener, source: VideoSource
    ) -> None:
        total = round(config.budget.kclips * 1000)
        self.config = config
        self.folder = folder
        self.signals = StopOnSignal()
        self.saver = SaveCheckpoints(folder, config.budget.checkpoint_kclips)
        fps = float(getattr(config.dataset, "fps", 25.0))
        self.samples = SampleVideos(folder, config.budget.sample_kclips, fps, config.seed)
        self.callbacks: list[pl.Callback] = [StopAtBudget(total), self.saver, self.samples]
        report = Report(folder, total, listener.progress)
        if config.protocol.every_kclips:
            best = KeepBest(folder, source, config.protocol)
            report.watched = lambda: best.scalars
            self.callbacks.append(best)
        # The signal's callback is last, so that a step's records are complete when it stops.
        self.callbacks += [report, self.signals]

    def trainer(self, deterministic: bool) -> pl.Trainer:
        """Returns Lightning's trainer without the parts that vgbench does itself."""
        settings = self.config.trainer
        if settings.accelerator == "gpu" and not torch.accelerator.is_available():
            raise UsageError(
                "trainer.accelerator=gpu: no GPU is found; expected auto or cpu      "
                "(vgbench doctor)"
            )
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            precision=settings.precision,  # type: ignore[arg-type]
            max_epochs=-1,
            plugins=[AtomicCheckpointIO()],
            callbacks=list(self.callbacks),
            logger=_loggers(self.config, self.folder) or False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            deterministic=deterministic,
            default_root_dir=self.folder.path,
        )

    def train(
        self, trainer: pl.Trainer, model: VideoGAN, data: ClipDataModule, resume: bool
    ) -> None:
        """Trains to the budget or to the first reason to stop, and records the outcome."""
        self.folder.set_status("running", model.clips_seen)
        checkpoint = self.folder.last if resume else None
        try:
            trainer.fit(model, data, ckpt_path=checkpoint)
            self.saver.save(trainer, model, keep=self.signals.received is None)
            if self.signals.received is not None:
                self._stopped(model)
            self.samples.write(model)
            self.folder.set_status("done", model.clips_seen, 0)
        except DivergenceError as error:
            raise self._diverged(trainer, model, error) from error
        except VGBenchError as error:
            state = {75: "preempted", 130: "interrupted"}.get(error.exit_code, "failed")
            self.folder.set_status(state, model.clips_seen, error.exit_code)
            raise
        finally:
            self.signals.restore()

    def _stopped(self, model: VideoGAN) -> None:
        kclips = model.clips_seen / 1000
        text = f"stopped at {kclips:g} kclips, state saved; continue with\n"
        text += f"  vgbench run --resume {self.folder.path}"
        if self.signals.received == signal.SIGINT:
            raise InterruptedRunError(text)
        raise PreemptedError(text)

    def _diverged(
        self, trainer: pl.Trainer, model: VideoGAN, error: DivergenceError
    ) -> DivergenceError:
        finite = all(bool(torch.isfinite(p).all()) for p in model.parameters())
        if finite:
            self.saver.save(trainer, model)
        self.folder.set_status("diverged", model.clips_seen, error.exit_code)
        kept = "the last finite state" if finite else "the checkpoint before it"
        return DivergenceError(
            f"training diverged at {model.clips_seen / 1000:g} kclips: {error}\n"
            f"  {kept} is {self.folder.last}; earlier ones lie beside it\n"
            "  try a smaller learning rate or another seed"
        )


def _loggers(config: RunConfig, folder: RunFolder) -> list[Any]:
    return [_logger(name, folder) for name in config.logger.names]


def _logger(name: str, folder: RunFolder) -> Any:
    from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

    try:
        if name == "tensorboard":
            return TensorBoardLogger(folder.path, name="tb", version="")
        return WandbLogger(project="vgbench", save_dir=folder.path)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"logger.names={name}: {name} is not installed\n  pip install 'vgbench[{name}]'"
        ) from error
