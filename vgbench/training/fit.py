"""One training run, from its options to its last checkpoint."""

import logging
import signal
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from vgbench import __version__
from vgbench.config.schema import RunConfig
from vgbench.data.datamodule import ClipDataModule
from vgbench.data.sources import VideoSource, open_dataset
from vgbench.errors import (
    DivergenceError,
    ExplodedLossError,
    InterruptedRunError,
    PreemptedError,
    UsageError,
    VGBenchError,
)
from vgbench.models.base import VideoGAN, plain
from vgbench.models.checkpoint import FORMAT, build_model
from vgbench.training.artefacts import ReadyStage
from vgbench.training.callbacks import (
    Progress,
    Report,
    SampleVideos,
    SaveCheckpoints,
    StopAtBudget,
    StopOnSignal,
)
from vgbench.training.checkpoint_io import AtomicCheckpointIO
from vgbench.training.distributed import SharedBatches, environment_of_processes
from vgbench.training.latents import EncodeFrames, LatentCache
from vgbench.training.run_folder import RunFolder
from vgbench.training.selection import KeepBest
from vgbench.training.weights import give_weights, needed_weights, weights_folder
from vgbench.types import VideoSpec

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run is about to do, for its first screen.

    Attributes:
        model: The untrained model.
        source: The training videos.
        data: The clips drawn from them.
        total: Clips to show in all.
        device: Where it trains.
    """

    model: VideoGAN
    source: VideoSource
    data: ClipDataModule
    total: int
    device: str

    @property
    def videos(self) -> int:
        """Videos that are long enough to be used."""
        return len(self.data.dataset)


@dataclass(frozen=True)
class StageState:
    """What is about to happen to a stage, for the first screen.

    Attributes:
        name: Of the stage.
        model: Registered name of its model.
        state: `to train 9 kclips`, `continued`, `reused NAME`, `given PATH` or `done`.
    """

    name: str
    model: str
    state: str


@dataclass(frozen=True)
class Listener:
    """Who is told what happens: the command line, or nobody.

    Attributes:
        start: Called before the first step of every stage and of the model itself.
        progress: Called every few seconds.
        overview: Called once, before anything is trained, with the plan of the run's own model and
            the stages before it.
        message: Called with a line on what happens between trainings.
    """

    start: Callable[[Plan], None] = lambda plan: None
    progress: Callable[[Progress], None] = lambda progress: None
    overview: Callable[[Plan, Sequence[StageState]], None] = lambda plan, stages: None
    message: Callable[[str], None] = lambda line: None


def fit(
    config: RunConfig,
    folder: RunFolder,
    overrides: list[str],
    listener: Listener,
    resume: bool = False,
    ready: Sequence[ReadyStage] = (),
    signals: StopOnSignal | None = None,
    artefacts: Path | None = None,
) -> None:
    """Trains the model that `config` describes and leaves its checkpoints in `folder`.

    Args:
        config: The run's options.
        folder: Where everything is written; nothing is before data and model are known to fit.
        overrides: The words that gave the options, kept so that the run can be repeated.
        listener: Who is told about it.
        resume: Continue from `checkpoints/last.ckpt`; the result equals an uninterrupted run's.
        ready: The finished stages that a new run starts from.
        signals: Who catches signals, if not this training alone.
        artefacts: Folder for what other runs may use as well; the run's own if there is none.

    Raises:
        DivergenceError: If a loss or gradient is not finite; the last finite state is saved.
        PreemptedError: If SIGTERM or SIGUSR1 came; the state is saved.
        InterruptedRunError: If Ctrl-C came; the state is saved.
        DataError: If the data set has no clip the model can use, or is not the one resumed.
        CheckpointError: If a checkpoint or a stage's weights cannot be read, or written.
        WeightsError: If weights that a loss or the evaluation needs are not installed.
    """
    made = plan(config)
    if ready:
        made.model.provenance["stages"] = {stage.name: stage.about for stage in ready}
    run = _Run(config, folder, listener, made, signals or StopOnSignal())
    run.share(artefacts or folder.path)
    trainer = run.trainer(deterministic=config.deterministic)
    for stage in ready if not resume else ():
        made.model.start_from(stage.name, stage.load())
    give_weights(config, made.model, folder.last if resume else None)
    folder.start(config, overrides)
    listener.start(made)
    run.train(trainer, resume)


def plan(config: RunConfig) -> Plan:
    """Returns what training would start with; raises as `fit` if data and model do not fit."""
    _hush_lightning()
    _check_installed(config)
    source = open_dataset(config.dataset, "train")
    model = _model(config, source)
    data = ClipDataModule(
        source,
        model.clips,
        config.budget.share(config.trainer.processes),
        config.seed,
        config.trainer.allow_data_change,
    )
    return Plan(model, source, data, round(config.budget.kclips * 1000), _device(config))


def _check_installed(config: RunConfig) -> None:
    if config.trainer.accelerator == "gpu" and not torch.accelerator.is_available():
        raise UsageError(
            "trainer.accelerator=gpu: no GPU is found; expected auto or cpu      (vgbench doctor)"
        )
    for name in config.logger.names:
        if find_spec(name) is None:
            raise UsageError(
                f"logger.names={name}: {name} is not installed\n  pip install 'vgbench[{name}]'"
            )


def _device(config: RunConfig) -> str:
    bare = pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=1,
        plugins=[environment_of_processes()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return str(bare.strategy.root_device)


def _hush_lightning() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="pytorch_lightning")


def _model(config: RunConfig, source: VideoSource) -> VideoGAN:
    first, weights = source.meta(0), needed_weights(config)
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
        "batch_size": config.budget.batch_size,
        "protocols": list(config.protocol.names),
        **({"weights": weights} if weights else {}),
    }
    return model


class _Run:
    """The callbacks of one training, and what is done when it ends in any way."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        listener: Listener,
        made: Plan,
        signals: StopOnSignal,
    ) -> None:
        self.config = config
        self.folder = folder
        self.listener = listener
        self.made = made
        self.signals = signals
        self.saver = SaveCheckpoints(folder, config.budget.checkpoint_kclips)
        fps = float(getattr(config.dataset, "fps", 25.0))
        self.samples = SampleVideos(folder, config.budget.sample_kclips, fps, config.seed)
        self.callbacks: list[pl.Callback] = [StopAtBudget(made.total), self.saver, self.samples]
        report = Report(folder, made.total, listener.progress)
        if config.protocol.every_kclips:
            best = KeepBest(folder, made.source, config.protocol, weights_folder(config))
            report.watched = lambda: best.scalars
            self.callbacks.append(best)
        # The signal's callback is last, so that a step's records are complete when it stops.
        self.callbacks += [report, self.signals]

    def share(self, parent: Path) -> None:
        """Keeps what other runs may use as well in a folder."""
        cache = LatentCache(parent, self.config.dataset_name, self.listener.message)
        self.callbacks.append(EncodeFrames(cache, self._end_if_stopped))

    def trainer(self, deterministic: bool) -> pl.Trainer:
        """Returns Lightning's trainer without the parts that vgbench does itself."""
        settings = self.config.trainer
        return pl.Trainer(
            accelerator=settings.accelerator,
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=SharedBatches() if settings.processes > 1 else "auto",
            precision=settings.precision,  # type: ignore[arg-type]
            max_epochs=-1,
            plugins=[AtomicCheckpointIO(), environment_of_processes()],
            callbacks=list(self.callbacks),
            logger=_loggers(self.config, self.folder) or False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            deterministic=deterministic,
            default_root_dir=self.folder.path,
        )

    def train(self, trainer: pl.Trainer, resume: bool) -> None:
        """Trains to the budget or to the first reason to stop, and records the outcome."""
        model = self.made.model
        self.folder.set_status("running", model.clips_seen)
        # Before a checkpoint is read, as its numbers would be rounded to the model's.
        trainer.strategy.precision_plugin.convert_module(model)
        try:
            with self.signals:
                trainer.fit(model, self.made.data, ckpt_path=self.folder.last if resume else None)
                self._finish(trainer, model)
        except DivergenceError as error:
            raise self._diverged(trainer, model, error) from error
        except VGBenchError as error:
            self.folder.set_status(state_of(error), model.clips_seen, error.exit_code)
            raise

    def _finish(self, trainer: pl.Trainer, model: VideoGAN) -> None:
        self.saver.save(trainer, model, keep=self.signals.received is None)
        if self.signals.received is not None:
            raise stopped(self.signals.received, model.clips_seen, self.folder)
        if trainer.is_global_zero:
            self.samples.write(model)
        self.folder.set_status("done", model.clips_seen, 0)

    def _end_if_stopped(self, trainer: pl.Trainer, model: VideoGAN) -> None:
        """Ends the run if a signal came before its first step.

        Raises:
            PreemptedError, InterruptedRunError: If so.
        """
        if self.signals.received is None:
            return
        if model.clips_seen == 0:  # later, the checkpoint that is resumed is all there is to keep
            self.saver.save(trainer, model)
        raise stopped(self.signals.received, model.clips_seen, self.folder)

    def _diverged(
        self, trainer: pl.Trainer, model: VideoGAN, error: DivergenceError
    ) -> DivergenceError:
        usable = not isinstance(error, ExplodedLossError)
        usable = usable and all(bool(torch.isfinite(p).all()) for p in model.parameters())
        if usable:
            self.saver.save(trainer, model)
        self.folder.set_status("diverged", model.clips_seen, error.exit_code)
        kept = "the last finite state" if usable else "the checkpoint before it"
        return DivergenceError(
            f"training diverged at {model.clips_seen / 1000:g} kclips: {error}\n"
            f"  {kept} is {self.folder.last}; earlier ones lie beside it\n"
            "  try a smaller learning rate or another seed"
        )


def stopped(
    number: signal.Signals, clips_seen: int, folder: RunFolder
) -> PreemptedError | InterruptedRunError:
    """Returns the error that ends a run because of a signal; it says how to go on."""
    text = f"stopped at {clips_seen / 1000:g} kclips, state saved; continue with\n"
    text += f"  vgbench run --resume {folder.resume_path}"
    return InterruptedRunError(text) if number == signal.SIGINT else PreemptedError(text)


def state_of(error: VGBenchError) -> str:
    """Returns the state in which an error leaves a run; see `RunFolder.set_status`."""
    return {75: "preempted", 130: "interrupted"}.get(error.exit_code, "failed")


def _loggers(config: RunConfig, folder: RunFolder) -> list[Any]:
    return [_logger(name, folder) for name in config.logger.names]


def _logger(name: str, folder: RunFolder) -> Any:
    from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

    if name == "tensorboard":
        return TensorBoardLogger(folder.path, name="tb", version="")
    return WandbLogger(project="vgbench", save_dir=folder.path)
