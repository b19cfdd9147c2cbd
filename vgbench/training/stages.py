"""A run with the stages that its model declares: each a training of its own, shared by runs."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

from torch import Tensor

from vgbench.config.schema import BudgetConfig, ProtocolConfig, RunConfig, StagesConfig
from vgbench.errors import CheckpointError, UsageError
from vgbench.locks import exclusive
from vgbench.metrics.processes import from_first
from vgbench.training.artefacts import (
    ReadyStage,
    artefact_path,
    find_artefact,
    given_stage,
    publish,
    stage_key,
)
from vgbench.training.callbacks import Progress, StopOnSignal
from vgbench.training.checkpoint_io import write_atomically
from vgbench.training.distributed import join
from vgbench.training.fit import Listener, Plan, StageState, fit, plan, state_of, stopped
from vgbench.training.run_folder import RunFolder
from vgbench.types import Stage

# Seconds between two looks at a stage that another process trains.
_POLL_S = 0.5


def run(
    config: RunConfig,
    folder: RunFolder,
    overrides: list[str],
    listener: Listener,
    artefacts: Path,
    resume: bool = False,
) -> None:
    """Trains the stages of a model that are not there yet, and then the model.

    A finished stage becomes an artefact, which this and every other run with the same key starts
    from. Of several runs that need it at once, one trains it and the others wait.

    Args:
        config: The run's options.
        folder: Of the run; stages have theirs in `stages/01-image`.
        overrides: The words that gave the options.
        listener: Who is told about it.
        artefacts: Folder that artefacts are kept in and looked for.
        resume: Continue where the run stopped: in a stage, or in the model; from the start if it
            stopped before its first checkpoint.

    Raises:
        CheckpointError: If an artefact or a given stage is damaged or does not fit; and as `fit`,
            of any of the stages.
    """
    if config.model.stages():
        _StagedRun(config, folder, overrides, listener, artefacts).run(resume)
        return

    def start(made: Plan) -> None:
        listener.overview(made, ())
        listener.start(made)

    started = resume and folder.begun
    fit(config, folder, overrides, replace(listener, start=start), started, artefacts=artefacts)


class _StagedRun:
    """One run and its stages; arguments as in `run`."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        overrides: list[str],
        listener: Listener,
        artefacts: Path,
    ) -> None:
        self.config = config
        self.folder = folder
        self.overrides = overrides
        self.listener = listener
        self.artefacts = artefacts
        self.stages = config.model.stages()
        self.signals = StopOnSignal()
        self.ready: dict[str, ReadyStage] = {}

    def run(self, resume: bool) -> None:
        """Trains what is missing, then the model itself."""
        started = resume and self.folder.begun
        if started:
            self._recall()
        self._survey()
        with self.signals:
            for stage in self.stages:
                if stage.name not in self.ready:
                    self._make(stage) if self.folder.writes else self._follow(stage)
            self._record()
            ready = [self.ready[stage.name] for stage in self.stages]
            listener = self._labelled(self._label(len(self.stages)), self.config)
            fit(
                self.config,
                self.folder,
                self.overrides,
                listener,
                started,
                ready,
                self.signals,
                self.artefacts,
            )

    # What is there already.

    def _survey(self) -> None:
        """Says what is about to happen; nothing is written before all is known to fit."""
        made = plan(self.config)
        self.fingerprint, self.spec = made.source.fingerprint, made.model.spec
        join(self.config.trainer, made.device.startswith("cuda"))
        states = [StageState(s.name, s.model, self._state(s)) for s in self.stages]
        self._agree()
        self.folder.start(self.config, self.overrides)
        for one in states:
            self.folder.log(f"stage {one.name} ({one.model}): {one.state}")
        self.listener.overview(made, states)

    def _agree(self) -> None:
        """Lets all processes start from what the first one found, as another run may publish."""
        names = from_first(list(self.ready))
        for stage in self.stages:
            if stage.name in names and stage.name not in self.ready:
                self._take_up(stage)
        self.ready = {name: self.ready[name] for name in names}

    def _state(self, stage: Stage) -> str:
        """Returns what is about to happen to a stage; takes it up if it is ready."""
        if stage.name in self.ready:
            return "done"
        if stage.name in self.config.init:
            path = Path(self.config.init[stage.name])
            self.ready[stage.name] = given_stage(stage, path, self.spec)
            return f"given {path}"
        if stage.given:
            raise UsageError(_must_be_given(stage, self.config.model_name))
        if all(name in self.ready for name in self._before(stage)) and self._take_up(stage):
            return f"reused {self.ready[stage.name].about['artefact']}"
        alone = self._alone(stage)
        plan(alone)
        if self._folder(stage).last.is_file():
            return "to continue"
        return f"to train {alone.budget.kclips:g} kclips"

    def _take_up(self, stage: Stage) -> bool:
        """Makes a stage ready if its artefact exists; says whether."""
        path, key = self._target(stage)
        found = find_artefact(path, key)
        if found is not None:
            self.ready[stage.name] = found.ready(stage.name)
        return found is not None

    def _target(self, stage: Stage) -> tuple[Path, str]:
        """Returns the folder and the key of a stage's artefact."""
        alone = self._alone(stage)
        before = [self.ready[name] for name in self._before(stage)]
        key = stage_key(alone, self.fingerprint, self.spec, before)
        return artefact_path(self.artefacts, alone, key), key

    def _before(self, stage: Stage) -> list[str]:
        """Returns the names of the stages that a stage starts from itself.

        Raises:
            UsageError: If the model does not list them before it.
        """
        listed = [other.name for other in self.stages[: self.stages.index(stage)]]
        needed = [other.name for other in stage.config.stages()]
        missing = [name for name in needed if name not in listed]
        if missing:
            raise UsageError(
                f"'{self.config.model_name}' must list the stage '{missing[0]}' before "
                f"'{stage.name}', which starts from it"
            )
        return needed

    def _alone(self, stage: Stage) -> RunConfig:
        """Returns a stage as a run of its own."""
        own = self.config.stages.of[stage.name]
        return replace(
            self.config,
            model_name=stage.model,
            model=stage.config,
            budget=BudgetConfig(**{f.name: getattr(own, f.name) for f in fields(BudgetConfig)}),
            protocol=ProtocolConfig(names=own.protocols),
            stages=StagesConfig(),
            init={},
            seed=self.config.stages.seed,
        )

    def _folder(self, stage: Stage) -> RunFolder:
        return self.folder.stage(self.stages.index(stage) + 1, stage.name)

    # Making what is missing.

    def _make(self, stage: Stage) -> None:
        """Trains a stage and publishes it, unless another run does so first."""
        self._end_if_stopped(stage)
        path, key = self._target(stage)
        self.artefacts.mkdir(parents=True, exist_ok=True)
        label, own = self._label(self.stages.index(stage)), self._folder(stage)
        with exclusive(path, self.listener.message, self._wait(stage, label, path)):
            if self._take_up(stage):
                from_first("reuse")
                done = f"reused {path.name}"
            else:
                trained = path.with_name(f".{path.name}.trained-in")
                if not own.begun:
                    self._inherit(trained, own)
                write_atomically(trained, lambda file: file.write(str(own.path.resolve()).encode()))
                from_first("train")
                self._train(stage, own, label)
                made = publish(path, key, self._alone(stage), self.folder.path, own.path)
                trained.unlink(missing_ok=True)
                self.ready[stage.name] = made.ready(stage.name)
                from_first("published")
                done = f"done, kept as {path.name}"
        self.listener.message(f"{label}: {done}")
        self.folder.log(f"stage {stage.name}: {done}")

    def _inherit(self, trained: Path, own: RunFolder) -> None:
        """Takes up what another run, which was stopped or killed, has trained of the same stage.

        Args:
            trained: File that names the folder of the stage in the run that trained it last.
            own: Folder of the stage in this run.
        """
        other = RunFolder(Path(trained.read_text("utf-8"))) if trained.is_file() else own
        if not other.last.is_file():
            return
        copy = own.path.with_name(f".{own.path.name}.tmp")
        for left in (copy, own.path):  # of a run that was killed before its first checkpoint
            shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(other.path, copy)
        copy.rename(own.path)
        self.listener.message(f"going on with the stage that {other.path} began")

    def _wait(self, stage: Stage, label: str, path: Path) -> Callable[[str], None]:
        """Returns what to do while another run holds the lock of the stage's artefact."""
        told: list[str] = []

        def wait(owner: str) -> None:
            if owner not in told:
                told.append(owner)
                self.folder.set_status("waiting", 0, stage=self._folder(stage).path.name)
                self.listener.message(f"{label}: {owner} trains it; waiting for {path.name}")
            self._end_if_stopped(stage)
            from_first("wait")
            time.sleep(_POLL_S)

        return wait

    def _follow(self, stage: Stage) -> None:
        """Does as the first of the processes that share the run's batches says."""
        word = "wait"
        while word == "wait":
            word = from_first("")
        if word == "stop":
            self.signals.received = self.signals.received or signal.SIGTERM
            self._end_if_stopped(stage)
        if word == "train":
            self._train(stage, self._folder(stage), self._label(self.stages.index(stage)))
            from_first("")
        self._take_up(stage)

    def _train(self, stage: Stage, own: RunFolder, label: str) -> None:
        alone = self._alone(stage)
        before = [self.ready[name] for name in self._before(stage)]
        listener = self._labelled(label, alone)
        fit(alone, own, self.overrides, listener, own.last.is_file(), before, self.signals)

    def _end_if_stopped(self, stage: Stage) -> None:
        """Ends the run if a signal came between two trainings.

        Raises:
            PreemptedError, InterruptedRunError: If so.
        """
        if self.signals.received is None:
            return
        if self.folder.writes:
            from_first("stop")
        error = stopped(self.signals.received, 0, self.folder)
        name = self._folder(stage).path.name
        self.folder.set_status(state_of(error), 0, error.exit_code, name)
        raise error

    def _label(self, index: int) -> str:
        """Returns e.g. `stage 1/2 image`; the last one is the model itself."""
        names = [*(stage.name for stage in self.stages), self.config.model_name]
        return f"stage {index + 1}/{len(names)} {names[index]}"

    def _labelled(self, label: str, config: RunConfig) -> Listener:
        """Returns the listener of one training, which says in which stage the run is."""
        budget = config.budget
        text = f"{label}: {config.model_name}, {budget.kclips:g} kclips, batch {budget.batch_size}"

        def start(made: Plan) -> None:
            self.listener.message(text)
            self.listener.start(made)

        def progress(now: Progress) -> None:
            self.listener.progress(replace(now, stage=label))

        return replace(self.listener, start=start, progress=progress)

    # The record of the stages that the model started from.

    def _record(self) -> None:
        about = {stage.name: dict(self.ready[stage.name].about) for stage in self.stages}
        self.folder.write("stages.json", json.dumps(about, indent=2))

    def _recall(self) -> None:
        """Takes up the stages of a model that has started: its checkpoints hold all of them."""
        path = self.folder.path / "stages.json"
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            self.ready = {s.name: ReadyStage(s.name, about[s.name], _none) for s in self.stages}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path} is not readable ({error}); start a new run") from error


def _must_be_given(stage: Stage, model: str) -> str:
    return (
        f"'{model}' starts from a '{stage.model}' that learned from other data\n"
        f"  name an artefact, a run folder or a checkpoint of one: model.init.{stage.name}=PATH"
        "      (vgbench ls artefacts)"
    )


def _none() -> dict[str, Tensor]:
    raise RuntimeError("a resumed model has its own weights")
