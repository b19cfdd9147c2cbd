"""Every data set there is, as rows for people and machines."""

from pathlib import Path
from typing import Any

from vgbench.config.presets import presets
from vgbench.data.config import cache_config, find_prepared
from vgbench.errors import DataError
from vgbench.registry import DATASETS


def dataset_rows(data_dir: Path) -> list[dict[str, Any]]:
    """Returns name, kind and a summary of every data set.

    Built-in and plugin data sets come first, then what is prepared, then presets that are not.

    Args:
        data_dir: Folder of prepared data sets.
    """
    prepared = find_prepared(data_dir)
    return [
        *(_row(name, "built in", schema.summary) for name, schema in DATASETS.load_all().items()),
        *(_row(name, "prepared", _facts(folder)) for name, folder in prepared.items()),
        *(
            _row(name, "preset", f"{preset.about}")
            for name, preset in presets().items()
            if not {name, *preset.aliases} & prepared.keys()
        ),
    ]


def _row(name: str, kind: str, about: str) -> dict[str, Any]:
    return {"dataset": name, "kind": kind, "about": about}


def _facts(folder: Path) -> str:
    try:
        cache = cache_config(folder)
    except DataError as error:
        return str(error).splitlines()[0]
    size = f"{cache.resolution}x{cache.resolution}"
    return f"{cache.videos} videos, {size}, {cache.fps:g} fps"
