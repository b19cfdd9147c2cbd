"""`vgbench run`: train a method on a data set."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vgbench.config.schema import RunConfig
    from vgbench.training.fit import Listener, Plan, StageState
    from vgbench.training.run_folder import RunFolder


@click.command()
@click.argument("overrides", nargs=-1, metavar="model=NAME dataset=NAME [key=value ...]")
@click.option("-m", "--multirun", is_flag=True, help="Run every point of a sweep, one by one.")
@click.option("--resume", type=click.Path(path_type=Path), help="Continue the run in this folder.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Folder of the new run.")
@click.option("--dry-run", is_flag=True, help="Show the resolved options and stop.")
@click.option("--data-dir", help="Folder of prepared data sets.")
@click.option(
    "--config-dir", type=click.Path(path_type=Path, exists=True), help="Your own YAML groups."
)
def run(overrides: tuple[str, ...], **options: Any) -> None:
    """Train a method on a data set, or continue a run.

    \b
    Examples:
      vgbench run model=g3an dataset=shapes
      vgbench run model=g3an dataset=clips budget=paper model.channels=32 seed=1
      vgbench run --resume runs/g3an-shapes-20260101-1a2b
    """
    words = list(overrides)
    if options["multirun"]:
        _sweep(words, options)
        return
    folder: RunFolder | None
    if options["resume"]:
        config, folder, words = _resumed(words, options)
    else:
        config = _compose(words, options)
        folder = None if options["dry_run"] else _new_folder(config, options["run_dir"])
    if folder is None or options["dry_run"]:
        from vgbench.config.store import to_yaml

        click.echo(to_yaml(config), nl=False)
        return
    if config.trainer.devices > 1 and not common.is_launched():
        from vgbench.cli.launch import launch

        raise click.exceptions.Exit(launch(config.trainer.devices, folder.path))
    _prepare_process(config)
    from vgbench.training.stages import run as run_stages

    listener = _listener(config, folder, words)
    artefacts = common.artefacts_dir()
    run_stages(config, folder, words, listener, artefacts, resume=bool(options["resume"]))
    common.console().print(f"done; measure it with\n  vgbench eval {folder.path}")
    if common.option("as_json") and common.is_first():
        common.emit_json({"run_dir": str(folder.path), "checkpoint": str(folder.last)})


def _compose(words: list[str], options: dict[str, Any]) -> "RunConfig":
    from vgbench.config.compose import compose
    from vgbench.metrics.protocol import get_protocol

    config = compose(words, common.data_dir(options["data_dir"]), options["config_dir"])
    for name in (
        *config.protocol.names,
        config.protocol.watched,
    ):  # a typo would only show after training
        get_protocol(name)
    return config


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


def _resumed(
    words: list[str], options: dict[str, Any]
) -> tuple["RunConfig", "RunFolder", list[str]]:
    from vgbench.config.store import resumed
    from vgbench.models.checkpoint import find_checkpoint
    from vgbench.training.run_folder import RunFolder

    folder = RunFolder.open(options["resume"], writes=common.is_first())
    saved, all_words = folder.config(), [*folder.overrides(), *words]
    if not saved.model.stages():  # a run with stages may have stopped before the model's own start
        find_checkpoint(folder.path)
    config = resumed(saved, _compose(all_words, options)) if words else saved
    return config, folder, all_words


def _prepare_process(config: "RunConfig") -> None:
    from vgbench.runtime import keep_memory

    if config.trainer.keep_memory and config.trainer.accelerator != "gpu":
        keep_memory()
    if config.trainer.threads:
        import torch

        torch.set_num_threads(config.trainer.threads)


def _sweep(words: list[str], options: dict[str, Any]) -> None:
    from vgbench.config.sweep import expand
    from vgbench.errors import UsageError

    if options["resume"] or options["run_dir"]:
        raise UsageError("-m starts new runs; it takes neither --resume nor --run-dir")
    points = expand(words)
    for point in points:
        _compose(point, options)  # every point is checked before the first one starts
    shared = [f"--data-dir={options['data_dir']}"] if options["data_dir"] else []
    shared += [f"--config-dir={options['config_dir']}"] if options["config_dir"] else []
    shared += ["--dry-run"] if options["dry_run"] else []
    for number, point in enumerate(points, start=1):
        click.echo(f"[{number}/{len(points)}] {' '.join(point)}", err=True)
        command = [sys.executable, "-m", "vgbench", "run", *shared, *point]
        code = subprocess.run(command, check=False).returncode
        if code != 0:
            raise click.exceptions.Exit(code if code > 0 else 128 + signal.Signals(-code))


def _listener(config: "RunConfig", folder: "RunFolder", words: list[str]) -> "Listener":
    from vgbench.cli.progress import progress_listener
    from vgbench.training.fit import Listener

    console = common.console()

    def overview(plan: "Plan", stages: "Sequence[StageState]") -> None:
        first_screen(console, config, folder, plan, stages)
        console.print(f"[bold]repeat[/bold]   vgbench run {' '.join(words)}")

    tell = progress_listener(console, config.trainer.log_seconds)
    return Listener(overview=overview, progress=tell, message=console.print)


def first_screen(
    console: Any,
    config: "RunConfig",
    folder: "RunFolder",
    plan: "Plan",
    stages: "Sequence[StageState]",
) -> None:
    """Prints what is about to run."""
    from rich.table import Table

    model, source = plan.model, plan.source
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    spec = model.spec
    rows = {
        "model": f"{config.model_name}  {parameter_counts(model)}",
        "dataset": f"{config.dataset_name}  {plan.videos} of {len(source)} videos usable, "
        f"{spec.height}x{spec.width}, fingerprint {source.fingerprint[:12]}",
        "clips": str(model.clips),
        "budget": f"{config.budget.name}  {config.budget.kclips:g} kclips, "
        f"batch {config.budget.batch_size}",
        "device": f"{plan.device}  {config.trainer.precision}, seed {config.seed}",
        "folder": str(folder.path),
    }
    rows |= {
        f"stage {number}": f"{stage.name}  {stage.model}  {stage.state}"
        for number, stage in enumerate(stages, start=1)
    }
    for name, text in rows.items():
        table.add_row(f"[bold]{name}[/bold]", text)
    console.print(table)


def parameter_counts(model: Any) -> str:
    """Returns the parameters of a model's networks, e.g. `generator 1.7 M, ...`."""
    counts = {
        name: sum(p.numel() for p in child.parameters())
        for name, child in model.named_children()
        if name != "generator_ema"
    }
    return ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in counts.items() if count)
