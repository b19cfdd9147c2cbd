"""From what a user calls a data set to where it is."""

from pathlib import Path
from typing import TYPE_CHECKING

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.data.sources import VideoSource


def cache_folder(name: str, data_dir: str | None) -> Path:
    """Returns the cache that `name` means: a folder, or the name of a prepared data set.

    Raises:
        DataError: If it is not prepared.
        UnknownNameError: If it is spelled like one that is.
    """
    from vgbench.config.catalog import cache_path
    from vgbench.data.config import MANIFEST
    from vgbench.errors import DataError
    from vgbench.registry import DATASETS

    if name in DATASETS:
        raise DataError(f"'{name}' is not prepared from files: it is drawn on the fly")
    folder = Path(name).expanduser()
    return folder if (folder / MANIFEST).is_file() else cache_path(name, common.data_dir(data_dir))


def open_named(name: str, split: str, data_dir: str | None) -> "VideoSource":
    """Returns the videos of `split` of a registered or prepared data set, or of a cache folder.

    Raises:
        DataError: If it is not prepared or has no such split.
        UnknownNameError: If it is spelled like one that is.
    """
    from vgbench.data.config import cache_config
    from vgbench.data.sources import open_dataset
    from vgbench.registry import DATASETS

    if name in DATASETS:
        return open_dataset(DATASETS.get(name)(), split)
    return open_dataset(cache_config(cache_folder(name, data_dir)), split)
