"""`vgbench config`: the options of a run and of its groups."""

from pathlib import Path
from typing import Any

import click

from vgbench.cli import common


@click.group()
def config() -> None:
    """Show options and their values.

    \b
    Examples:
      vgbench config show model=g3an dataset=shapes
      vgbench config options model=g3an
    """


@config.command()
@click.argument("overrides", nargs=-1)
@click.option("--data-dir", help="Folder of prepared data sets.")
@click.option("--config-dir", type=click.Path(path_type=Path, exists=True), help="Own YAML groups.")
def show(overrides: tuple[str, ...], data_dir: str | None, config_dir: Path | None) -> None:
    """Print the resolved options that these words give, as YAML.

    \b
    Examples:
      vgbench config show model=g3an dataset=shapes
      vgbench config show model=g3an dataset=shapes budget=paper model.mode=3d
    """
    from vgbench.config.compose import compose
    from vgbench.config.store import to_plain, to_yaml

    composed = compose(list(overrides), common.data_dir(data_dir), config_dir)
    if common.option("as_json"):
        common.emit_json(to_plain(composed))
        return
    click.echo(to_yaml(composed), nl=False)


@config.command()
@click.argument("group")
def options(group: str) -> None:
    """Print the options of GROUP with type, default and meaning.

    \b
    Examples:
      vgbench config options model=g3an
      vgbench config options trainer
    """
    from rich.table import Table

    rows = _option_rows(group)
    if common.option("as_json"):
        common.emit_json(rows)
        return
    table = Table("option", "type", "default", "meaning")
    for row in rows:
        table.add_row(*row.values())
    common.console().print(table)


@config.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
def diff(run_a: Path, run_b: Path) -> None:
    """Print the options that differ between two run folders.

    \b
    Examples:
      vgbench config diff runs/g3an-shapes-20260101-1a2b runs/g3an-shapes-20260102-3c4d
      vgbench --json config diff runs/a runs/b
    """
    from dataclasses import asdict

    from vgbench.cli.compare import print_options
    from vgbench.report.compare import option_differences
    from vgbench.report.html.runs import read_run

    found = option_differences(read_run(run_a, 0).config, read_run(run_b, 1).config)
    if common.option("as_json"):
        common.emit_json([asdict(one) for one in found])
        return
    print_options(found)


def _option_rows(word: str) -> list[dict[str, str]]:
    from vgbench.config.options import format_value, options_of

    group, schema = _schema(word)
    rows = [
        (f"{group}.{name}", option.kind, format_value(option.default), option.meaning)
        for name, option in options_of(schema).items()
        if group != "stages" or name == "seed"
    ]
    rows += _model_rows(schema) if group == "model" else []
    rows += _STAGE_ROWS if group == "stages" else []
    names = ("option", "type", "default", "meaning")
    return [
        dict(zip(names, (key, getattr(kind, "__name__", str(kind)), *rest), strict=True))
        for key, kind, *rest in rows
    ]


_STAGE_ROWS: list[tuple[str, Any, str, str]] = [
    ("stages.NAME.kclips", float, "", "Training length of a stage; its model's own by default."),
    ("stages.NAME.batch_size", int, "", "Clips per step of a stage; its model's own by default."),
]


def _model_rows(schema: type[Any]) -> list[tuple[str, Any, str, str]]:
    """Returns the options of a model that are no fields of its record."""
    names = ", ".join({"default": {}, **schema.presets})
    rows: list[tuple[str, Any, str, str]] = []
    if schema.presets:
        rows = [("model.preset", str, "default", f"Values to start from: {names}.")]
    for stage in schema().stages():
        meaning = f"Artefact, run folder or checkpoint of {stage.model}, instead of training it."
        rows.append((f"model.init.{stage.name}", str, "", meaning))
    return rows


def _schema(word: str) -> tuple[str, type[Any]]:
    from vgbench.config.schema import GROUPS, StagesConfig
    from vgbench.errors import UsageError
    from vgbench.registry import DATASETS, LAUNCHERS, MODELS

    group, _, name = word.partition("=")
    named = {"model": MODELS, "dataset": DATASETS, "launcher": LAUNCHERS}
    if name and group in named:
        return group, named[group].get(name)
    groups = {**GROUPS, "stages": StagesConfig}
    if group in groups:
        return group, groups[group]
    accepted = ", ".join([*(f"{group}=NAME" for group in named), *groups])
    raise UsageError(f"'{word}' is no group of options; accepted: {accepted}")
