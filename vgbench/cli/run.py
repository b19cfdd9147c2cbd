"""`vgbench run`: train a method on a data set, or every point of a sweep."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vgbench.cli.begin import Start
    from vgbench.config.schema import RunConfig
    from vgbench.training.fit import Listener, Plan, StageState
    from vgbench.training.run_folder import RunFolder


@click.command()
@click.argument("overrides", nargs=-1, metavar="model=NAME dataset=NAME [key=value ...]")
@click.option(
    "-m", "--multirun", is_flag=True, help="Run every point of a sweep: a=1,2 b=range(3)."
)
@click.option("--jobs", type=click.IntRange(1), help="Points at a time (default: 1).")
@click.option("--keep-going", is_flag=True, help="Finish the other points after a failure.")
@click.option("--eval", "measure", is_flag=True, help="Then measure the untrained and last model.")
@click.option("--resume", type=click.Path(path_type=Path), help="Continue the run in this folder.")
@click.option("--run-dir", type=click.Path(path_type=Path), help="Folder of the run, or the sweep.")
@click.option("--continue", "go_on", is_flag=True, help="Go on with what is in --run-dir.")
@click.option("--submit", is_flag=True, help="With launcher=NAME: hand the job over to it.")
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
      vgbench run -m model=g3an,styleganv dataset=shapes seed=range(3) --eval
    """
    from vgbench.cli.begin import start_of
    from vgbench.cli.sweep import is_sweep, sweep

    words = list(overrides)
    if is_sweep(words, options):
        sweep(words, options)
        return
    if options["dry_run"]:
        _show(words, options)
        return
    start = start_of(words, options)
    if start.config.trainer.devices > 1 and not common.is_launched():
        from vgbench.cli.launch import launch

        code = launch(start.config.trainer.devices, start.folder.path)
        raise click.exceptions.Exit(code)
    _train(start, bool(options["measure"]))


def _show(words: list[str], options: dict[str, Any]) -> None:
    from vgbench.cli.begin import compose, start_of
    from vgbench.config.store import to_yaml

    config = start_of(words, options).config if options["resume"] else compose(words, options)
    click.echo(to_yaml(config), nl=False)


def _train(start: "Start", measure: bool) -> None:
    """Trains in this process, alone or as one of several."""
    from vgbench.cli.begin import held
    from vgbench.cli.measure import measure_run
    from vgbench.training.stages import run as run_stages

    config, folder, words = start.config, start.folder, start.words
    console = common.console()
    _prepare_process(config)
    with held(start) as how:
        if how == "done":
            console.print(f"{folder.path} is trained already", markup=False)
        else:
            listener, artefacts = _listener(config, folder, words), common.artefacts_dir()
            run_stages(config, folder, words, listener, artefacts, resume=how == "resume")
        if measure:
            measure_run(folder.path, config)
        else:
            console.print(f"done; measure it with\n  vgbench eval {folder.path}")
    if common.option("as_json") and common.is_first():
        common.emit_json({"run_dir": str(folder.path), "checkpoint": str(folder.last)})


def _prepare_process(config: "RunConfig") -> None:
    from vgbench.runtime import keep_memory

    if config.trainer.keep_memory and config.trainer.accelerator != "gpu":
        keep_memory()
    if config.trainer.threads:
        import torch

        torch.set_num_threads(config.trainer.threads)


def _listener(config: "RunConfig", folder: "RunFolder", words: list[str]) -> "Listener":
    from rich.markup import escape

    from vgbench.cli.progress import progress_listener
    from vgbench.training.fit import Listener

    console = common.console()

    def overview(plan: "Plan", stages: "Sequence[StageState]") -> None:
        first_screen(console, config, folder, plan, stages)
        console.print(f"[bold]repeat[/bold]   vgbench run {escape(shlex.join(words))}")

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
