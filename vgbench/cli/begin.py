"""How a run begins: as a new one, resumed, or wherever it was left; one at a time in a folder."""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.config.schema import RunConfig
    from vgbench.training.run_folder import RunFolder

# Seconds between two looks at a run that another process trains.
_POLL_S = 0.5


@dataclass(frozen=True)
class Start:
    """A run that is about to begin.

    Attributes:
        config: Its options.
        folder: Its folder.
        words: What gave the options.
        mode: Whether it must be new, must be there, or may be either.
    """

    config: "RunConfig"
    folder: "RunFolder"
    words: list[str]
    mode: Literal["new", "resume", "continue"]


def compose(words: list[str], options: dict[str, Any]) -> "RunConfig":
    """Returns the run that words describe, under the folders that options of the command name."""
    from vgbench.config.compose import compose as composed
    from vgbench.metrics.protocol import get_protocol

    config = composed(words, common.data_dir(options["data_dir"]), options["config_dir"])
    for name in (
        *config.protocol.names,
        config.protocol.watched,
    ):  # a typo would only show after training
        get_protocol(name)
    return config


def start_of(words: list[str], options: dict[str, Any]) -> Start:
    """Returns how the run of a command line begins; nothing is written."""
    from vgbench.errors import UsageError

    if options["resume"]:
        return _resumed(words, options)
    if options["go_on"] and not options["run_dir"]:
        raise UsageError("--continue needs the folder of the run: --run-dir DIR")
    config = _as_started(compose(words, options))
    if not options["go_on"]:
        return Start(config, _new_folder(config, options["run_dir"]), words, "new")
    from vgbench.training.run_folder import RunFolder

    return Start(config, RunFolder(options["run_dir"], common.is_first()), words, "continue")


def _new_folder(config: "RunConfig", path: Path | None) -> "RunFolder":
    from vgbench.errors import UsageError
    from vgbench.training.run_folder import RunFolder, new_run_path

    # The processes of a run on several devices write where the one that started them says.
    given = path or os.environ.get("VGBENCH_RUN_DIR")
    if given and not common.is_first():
        return RunFolder(Path(given), writes=False)
    if common.is_launched() and not given:
        raise UsageError("under torchrun the processes need one folder: give --run-dir")
    return RunFolder.new(Path(given) if given else new_run_path(common.runs_dir(), config))


def _resumed(words: list[str], options: dict[str, Any]) -> Start:
    from vgbench.config.store import resumed
    from vgbench.models.checkpoint import find_checkpoint
    from vgbench.training.run_folder import RunFolder

    folder = RunFolder.open(options["resume"], writes=common.is_first())
    saved, all_words = folder.config(), [*folder.overrides(), *words]
    if not saved.model.stages():  # a run with stages may have stopped before the model's own start
        find_checkpoint(folder.path)
    config = resumed(saved, compose(all_words, options)) if words else saved
    return Start(_as_started(config), folder, all_words, "resume")


def _as_started(config: "RunConfig") -> "RunConfig":
    """Returns the run on as many machines and devices as torchrun was told to use.

    Weights come from the folder that the environment names, unless the run names another.

    Raises:
        UsageError: If several machines are asked for, and this process was started alone.
    """
    from vgbench.errors import UsageError

    weights = common.weights_dir()
    if weights is not None and not config.trainer.weights_dir:
        config = replace(config, trainer=replace(config.trainer, weights_dir=str(weights)))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        trainer = replace(config.trainer, devices=devices, nodes=world // devices)
        return replace(config, trainer=trainer)
    if config.trainer.nodes > 1:
        raise UsageError(
            f"trainer.nodes={config.trainer.nodes}: several machines are started by torchrun, "
            "on each of them\n  to use this one alone: trainer.nodes=1"
        )
    return config


def check_unchanged(path: Path, config: "RunConfig") -> None:
    """Checks that the run in a folder is the one that `config` describes.

    Raises:
        UsageError: If an option differs that decides its numbers; lists up to three.
    """
    from vgbench.config.store import differences, from_yaml
    from vgbench.config.sweep import is_decisive
    from vgbench.errors import UsageError

    saved = from_yaml((path / "config.yaml").read_text(encoding="utf-8"))
    changed = differences(saved, config)
    lines = [
        f"\n  {key}: {old} -> {new}" for key, (old, new) in changed.items() if is_decisive(key)
    ]
    if lines:
        raise UsageError(
            f"{path} was begun with other options:{''.join(lines[:3])}\n"
            "  repeat the words that it was begun with, or choose another --run-dir"
        )


@contextmanager
def held(start: Start) -> Iterator[Literal["new", "resume", "done"]]:
    """Yields how the run goes on, and keeps other processes out of its folder meanwhile.

    The first of several processes decides for all.
    """
    from vgbench.locks import exclusive
    from vgbench.metrics.processes import from_first

    _meet(start.config)
    if not common.is_first():
        word: Any = "wait"
        while word == "wait":
            word = from_first("")
        if isinstance(word, Exception):
            raise word
        yield word
        return
    path, console = start.folder.path, common.console()
    if path.parent.is_file():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    told: list[str] = []

    def busy(owner: str) -> None:
        if start.mode != "continue":
            _refuse(path, owner)
        if owner not in told:
            told.append(owner)
            console.print(f"{owner} trains in {path}; waiting for it", markup=False)
        from_first("wait")
        time.sleep(_POLL_S)

    with exclusive(path, console.print, busy):
        yield from_first(_decided(start))


def _meet(config: "RunConfig") -> None:
    """Joins the other processes of the run, if there are any."""
    if config.trainer.processes == 1:
        return
    import torch

    from vgbench.training.distributed import join

    join(config.trainer, config.trainer.accelerator != "cpu" and torch.cuda.is_available())


def _refuse(path: Path, owner: str) -> None:
    from vgbench.errors import UsageError
    from vgbench.metrics.processes import from_first

    pid = owner.split()[1]
    error = UsageError(f"{owner} trains in {path}; wait for its end, or stop it: kill {pid}")
    from_first(error)
    raise error


def _decided(start: Start) -> Literal["new", "resume", "done"]:
    from vgbench.errors import VGBenchError
    from vgbench.metrics.processes import from_first
    from vgbench.training.run_folder import RunFolder
    from vgbench.training.summary import is_done

    path = start.folder.path
    if start.mode != "continue":
        return start.mode
    try:
        if not (path / "config.yaml").is_file():
            RunFolder.new(path)
            return "new"
        check_unchanged(path, start.config)
    except VGBenchError as error:
        from_first(error)
        raise
    return "done" if is_done(path) else "resume"
