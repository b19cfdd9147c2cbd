"""`vgbench ls`: what there is to choose from."""

from typing import Any

import click

from vgbench.cli import common


@click.command()
@click.argument(
    "kind",
    type=click.Choice(
        [
            *("models", "datasets", "metrics", "protocols", "extractors", "launchers"),
            *("plugins", "artefacts"),
        ]
    ),
)
@click.option("--data-dir", help="Folder of prepared data sets.")
def ls(kind: str, data_dir: str | None) -> None:
    """List models, datasets, metrics, protocols, extractors, launchers, plugins or artefacts.

    Artefacts are finished stages of runs, which other runs start from.

    \b
    Examples:
      vgbench ls models
      vgbench ls artefacts
      vgbench --json ls protocols
    """
    rows = {
        "models": _models,
        "datasets": lambda: _datasets(data_dir),
        "metrics": _metrics,
        "protocols": _protocols,
        "extractors": _extractors,
        "launchers": _launchers,
        "plugins": _plugins,
        "artefacts": _artefacts,
    }[kind]()
    if common.option("as_json"):
        common.emit_json(rows)
        return
    if kind == "artefacts":  # the rest is in the JSON; the name says model and data set
        shown = ("artefact", "size", "kclips", "seed", "MB", "note")
        rows = [{name: row[name] for name in shown} for row in rows]
    _print(kind, rows)


def _models() -> list[dict[str, Any]]:
    from vgbench.registry import MODELS

    found = MODELS.load_all()
    return [
        {"model": name, "summary": schema.summary, "budgets": ", ".join(schema.budgets)}
        for name, schema in found.items()
    ]


def _datasets(given: str | None) -> list[dict[str, Any]]:
    from vgbench.config.listing import dataset_rows

    return dataset_rows(common.data_dir(given))


def _metrics() -> list[dict[str, Any]]:
    from vgbench.metrics.protocol import PROTOCOLS

    metrics: dict[str, list[str]] = {}
    for protocol in PROTOCOLS.load_all().values():
        metrics.setdefault(protocol.metric, []).append(f"{protocol.variant}@{protocol.version}")
    return [{"metric": name, "variants": ", ".join(found)} for name, found in metrics.items()]


def _protocols() -> list[dict[str, Any]]:
    from vgbench.metrics.protocol import PROTOCOLS

    return [
        {
            "protocol": protocol.id,
            "hash": protocol.hash,
            "statistic": protocol.statistic,
            "extractor": protocol.extractor,
            "frames": protocol.frames,
            "stride": protocol.stride,
        }
        for protocol in PROTOCOLS.load_all().values()
    ]


def _extractors() -> list[dict[str, Any]]:
    from vgbench.registry import EXTRACTORS

    return [
        {"extractor": name, "features": found.dim, "preprocess": _inputs(found)}
        for name, found in EXTRACTORS.load_all().items()
    ]


def _inputs(extractor: Any) -> str:
    """Returns the ways in which an extractor prepares frames, the default first."""
    return ", ".join(getattr(extractor, "inputs", ())) or str(extractor.preprocess_id)


def _launchers() -> list[dict[str, Any]]:
    from vgbench.registry import LAUNCHERS

    return [
        {"launcher": name, "options": f"vgbench config options launcher={name}"}
        for name in LAUNCHERS.load_all()
    ]


def _plugins() -> list[dict[str, Any]]:
    from dataclasses import asdict

    return [asdict(plugin) for registry in common.registries() for plugin in registry.plugins()]


def _artefacts() -> list[dict[str, Any]]:
    from vgbench.training.artefacts import list_artefacts

    return list_artefacts(common.artefacts_dir())


def _print(kind: str, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    console = common.console()
    if not rows:
        console.print(f"no {kind}")
        return
    table = Table()
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
