"""`vgbench data info`: what is known of a data set."""

from typing import Any

import click

from vgbench.cli import common
from vgbench.cli.data.bar import data_dir_option

_CACHE_FACTS = (
    *("resolution", "videos", "frames", "longest", "fps", "splits", "licence"),
    *("sources", "refused", "ignored", "options", "libraries", "key"),
)


@click.command()
@click.argument("name")
@data_dir_option
def info(name: str, data_dir: str | None) -> None:
    """Show where a data set comes from, its licence, and the command that prepares it.

    NAME is a preset, a prepared data set, or a built-in one. Nothing is downloaded.

    \b
    Examples:
      vgbench data info sky_timelapse_256
      vgbench data info mine_64 --json
    """
    facts = {"dataset": name, **_preset(name), **_prepared(name, data_dir)}
    if common.option("as_json"):
        common.emit_json(facts)
        return
    for key, value in facts.items():
        for line in value if isinstance(value, (list, tuple)) else [value]:
            common.console().print(f"{key.replace('_', ' '):14} {_text(line)}", markup=False)


def _preset(name: str) -> dict[str, Any]:
    from dataclasses import asdict

    from vgbench.config.presets import find_preset, prepare_command

    preset = find_preset(name)
    if preset is None:
        return {}
    facts = {key: value for key, value in asdict(preset).items() if value not in (0, ())}
    hidden = ("name", "folder", "aliases")
    return {
        **{key: value for key, value in facts.items() if key not in hidden},
        "prepare": prepare_command(name),
    }


def _prepared(name: str, data_dir: str | None) -> dict[str, Any]:
    """Returns the facts of a cache; of a preset that is not prepared, that it is not."""
    from vgbench.cli.data.find import cache_folder
    from vgbench.config.presets import find_preset
    from vgbench.data.config import read_manifest
    from vgbench.errors import DataError
    from vgbench.registry import DATASETS

    if name in DATASETS:
        return {"about": DATASETS.get(name).summary}
    try:
        folder = cache_folder(name, data_dir)
    except DataError:
        if find_preset(name) is None:
            raise
        return {"prepared": "no"}
    manifest = read_manifest(folder)
    return {"prepared": str(folder), **{key: manifest[key] for key in _CACHE_FACTS}}


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_text(item)}" for key, item in value.items())
    return str(value)
