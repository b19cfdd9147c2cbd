"""`vgbench run -m`: every point of a sweep in a process of its own, here or by a launcher."""

import os
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.config.schema import RunConfig
    from vgbench.config.sweep import Point
    from vgbench.training.summary import RunSummary


@dataclass(frozen=True)
class PlannedRun:
    """One point of a sweep, with where it is trained.

    Attributes:
        point: Its name and words.
        config: Its options.
        path: Its folder.
        command: Words of the `vgbench` that trains it, and goes on with it where it stopped.
    """

    point: "Point"
    config: "RunConfig"
    path: Path
    command: tuple[str, ...]


def is_sweep(words: list[str], options: dict[str, Any]) -> bool:
    """Returns whether a command line asks for a sweep, or for a launcher.

    Raises:
        UsageError: If it holds options of sweeps without asking for one.
    """
    from vgbench.config.sweep import split_group
    from vgbench.errors import UsageError

    launched = bool(split_group(words, "launcher")[0])
    if options["submit"] and not launched:
        raise UsageError("--submit needs a launcher; add launcher=NAME, e.g. launcher=slurm")
    for name in ("jobs", "keep_going"):
        if options[name] and not options["multirun"]:
            raise UsageError(f"--{name.replace('_', '-')} is for sweeps; add -m")
    return launched or bool(options["multirun"])


def sweep(words: list[str], options: dict[str, Any]) -> None:
    """Trains the points of a sweep that are not trained yet, and shows all of them.

    Every point is checked before the first one starts.
    """
    from vgbench.cli.jobs import Jobs
    from vgbench.cli.submit import hand_over, implied_words, launcher_of
    from vgbench.config.sweep import split_group, sweep_name
    from vgbench.errors import UsageError

    if options["resume"]:
        raise UsageError("a sweep takes no --resume: the same words again go on with its runs")
    given, words = split_group(words, "launcher")
    launcher = launcher_of(given) if given else None
    folder = options["run_dir"] or common.runs_dir() / sweep_name(words)
    if launcher is not None:
        words += implied_words(launcher, words)
    runs = _planned(words, folder, options)
    if options["dry_run"]:
        for run in runs:
            click.echo(shlex.join(["vgbench", *run.command]))
        return
    if launcher is not None:
        hand_over(launcher, folder, runs, options)
        return
    todo = [run for run in runs if not _is_finished(run, bool(options["measure"]))]
    done = len(runs) - len(todo)
    common.console().print(f"{len(runs)} runs in {folder}, {done} of them done", markup=False)
    code = Jobs(todo, options["jobs"] or 1, bool(options["keep_going"]), folder).run()
    _show(folder, runs)
    raise click.exceptions.Exit(code)


def _planned(words: list[str], folder: Path, options: dict[str, Any]) -> list[PlannedRun]:
    from vgbench.cli.begin import check_unchanged, compose
    from vgbench.config.sweep import expand

    if not options["multirun"]:
        compose(words, options)  # says that several values need -m
    runs = []
    for point in expand(words):
        path = folder / point.name
        config = compose(list(point.words), options)
        if (path / "config.yaml").is_file():
            check_unchanged(path, config)
        command = ("run", "--continue", "--run-dir", str(path), *_passed(options), *point.words)
        runs.append(PlannedRun(point, config, path, command))
    return runs


def _passed(options: dict[str, Any]) -> list[str]:
    """Returns the options of the command that hold for every point."""
    folders = [(name, options[name]) for name in ("data_dir", "config_dir") if options[name]]
    words = [f"--{name.replace('_', '-')}={value}" for name, value in folders]
    return ["--eval", *words] if options["measure"] else words


def _is_finished(run: PlannedRun, measure: bool) -> bool:
    from vgbench.cli.measure import is_measured
    from vgbench.training.summary import is_done

    return is_done(run.path) and (not measure or is_measured(run.path, run.config))


def _show(folder: Path, runs: list[PlannedRun]) -> None:
    """Shows where every run stands: a table, or JSON."""
    from vgbench.metrics.protocol import get_protocol
    from vgbench.training.summary import summarise

    found = [summarise(run.path, get_protocol(run.config.protocol.watched).id) for run in runs]
    if common.option("as_json"):
        records = [_record(run, summary) for run, summary in zip(runs, found, strict=True)]
        common.emit_json({"sweep_dir": str(folder), "runs": records})
        return
    console = common.console()
    console.print(_table(folder, runs, found))
    if any((run.path / "eval").is_dir() for run in runs):
        console.print(f"the rows: vgbench leaderboard show {folder}")


def _record(run: PlannedRun, summary: "RunSummary") -> dict[str, Any]:
    named = {"point": run.point.name, "words": run.point.words, "run_dir": str(run.path)}
    return {**named, **asdict(summary)}


def _table(folder: Path, runs: list[PlannedRun], found: "list[RunSummary]") -> Any:
    from rich.table import Table

    from vgbench.cli.progress import duration

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    names = ["point", "state", "kclips", "clips/s", "time", "checkpoint"]
    watched = any(summary.watched is not None for summary in found)
    for name in [*names[:-1], *(["watched"] if watched else []), names[-1]]:
        left = name in ("point", "state", "checkpoint")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for run, one in zip(runs, found, strict=True):
        number = [] if not watched else ["" if one.watched is None else f"{one.watched:.4f}"]
        table.add_row(
            run.point.name,
            one.state,
            f"{one.kclips:g}",
            "" if one.clips_per_second is None else f"{one.clips_per_second:.1f}",
            duration(one.seconds),
            *number,
            "" if one.checkpoint is None else os.path.relpath(one.checkpoint, folder),
        )
    return table
