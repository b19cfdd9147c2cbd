"""Which data sets there are: registered ones, and those prepared in the data folder."""

from collections.abc import Mapping
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vgbench.config.presets import find_preset, prepare_command, presets
from vgbench.data.config import CacheConfig, cache_config, find_cache, find_prepared
from vgbench.errors import UnknownNameError
from vgbench.registry import DATASETS, nearest, unknown_name_text
from vgbench.types import DatasetConfig


def dataset_names(data_dir: Path) -> list[str]:
    """Returns the names of registered and prepared data sets, sorted."""
    return sorted({*DATASETS.names(), *find_prepared(data_dir)})


def dataset_schema(name: str) -> type[DatasetConfig]:
    """Returns the options record of a data set; a name that is not registered is a cache."""
    schema: type[DatasetConfig] = DATASETS.get(name) if name in DATASETS else CacheConfig
    return schema


def dataset_values(name: str, data_dir: Path) -> Mapping[str, Any]:
    """Returns the values that a prepared data set fixes: where it lies and what it holds.

    Raises:
        UnknownNameError: If the name is not known but spelled like one that is.
        DataError: If it is a preset or like nothing known: then it is not prepared yet.
    """
    return {} if name in DATASETS else asdict(cache_config(cache_path(name, data_dir)))


def cache_path(name: str, data_dir: Path) -> Path:
    """Returns the folder of the prepared data set `name`; raises as `dataset_values`."""
    prepared, preset = find_prepared(data_dir), find_preset(name)
    if preset is None:
        known = dataset_names(data_dir)
        stems = {full.rpartition("_")[0] for full in prepared}
        # a preset must be spelled almost right: many names are like one of so many
        guesses = [*nearest(name, known), *get_close_matches(name, presets(), cutoff=0.8)]
        if guesses and name not in (*prepared, *stems):
            raise UnknownNameError(
                unknown_name_text("dataset", name, [*known, *sorted({*guesses} - {*known})])
            )
    names = (name, preset.name, *preset.aliases) if preset else (name,)
    found = next((prepared[other] for other in names if other in prepared), None)
    return found or find_cache(name, data_dir, prepare_command(name))
