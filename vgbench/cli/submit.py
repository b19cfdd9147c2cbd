"""Sweeps that a launcher starts: `launcher=slurm` writes the job, `--submit` hands it over."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.cli.sweep import PlannedRun
    from vgbench.launchers.base import Launcher

# Folders that a run on another machine must find where this one does.
_VARIABLES = (
    *("VGBENCH_RUNS_DIR", "VGBENCH_DATA_DIR"),
    *("VGBENCH_WEIGHTS_DIR", "VGBENCH_FEATURES_DIR"),
)


def launcher_of(words: Sequence[str]) -> "Launcher":
    """Returns the launcher that words such as `launcher=slurm launcher.time=1:00:00` describe.

    Raises:
        UsageError: If a name, option or value is not accepted.
    """
    from vgbench.config.options import expected, no_such_option, options_of
    from vgbench.errors import UsageError
    from vgbench.registry import LAUNCHERS

    given = dict(word.partition("=")[::2] for word in words)
    name = given.pop("launcher", "")
    if not name:
        raise UsageError(f"{words[0]}: no launcher given; add launcher=NAME, e.g. launcher=slurm")
    schema = LAUNCHERS.get(name)
    options = options_of(schema)
    values: dict[str, Any] = {}
    for key, text in given.items():
        option = options.get(key.partition(".")[2])
        if option is None:
            raise no_such_option(key, schema, name)
        try:
            values[option.name] = option.kind(text)
        except ValueError as error:
            kind = expected(key, option.kind, option.default)
            raise UsageError(f"{key}={text}: {kind}") from error
    launcher: Launcher = schema(**values)
    return launcher


def implied_words(launcher: "Launcher", words: Sequence[str]) -> list[str]:
    """Returns the options of a run that follow from its launcher, and that no word gives."""
    given = {word.partition("=")[0] for word in words}
    return [f"{key}={value}" for key, value in launcher.overrides().items() if key not in given]


def hand_over(
    launcher: "Launcher", folder: Path, runs: "Sequence[PlannedRun]", options: dict[str, Any]
) -> None:
    """Writes the job of a sweep into its folder; with `--submit`, hands it over."""
    from vgbench.launchers.base import Task, Work

    folder.mkdir(parents=True, exist_ok=True)
    work = Work(
        folder=folder,
        tasks=[Task(run.point.name, run.command) for run in runs],
        at_once=options["jobs"],
        python=Path(sys.executable),
        directory=Path.cwd(),
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
    )
    job = launcher.write(work)
    command = launcher.command(job)
    console = common.console()
    console.print(f"wrote {job}: {len(runs)} runs", markup=False)
    answer = _submitted(command) if options["submit"] else None
    console.print(answer or f"hand it over with\n  {shlex.join(command)}", markup=False)
    if common.option("as_json"):
        record = {"job": str(job), "runs": [str(run.path) for run in runs], "submitted": answer}
        common.emit_json(record)


def _submitted(command: list[str]) -> str:
    """Runs the command and returns its answer.

    Raises:
        UsageError: If it is not installed here, or refuses the job.
    """
    from vgbench.errors import UsageError

    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError(
            f"'{command[0]}' is not found on this machine; on one that has it, run\n"
            f"  {shlex.join(command)}"
        ) from error
    if done.returncode:
        raise UsageError(f"'{shlex.join(command)}' was refused: {done.stderr.strip()}")
    return done.stdout.strip()
