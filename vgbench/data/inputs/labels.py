"""Classes of videos from a `dataset.json`, as the StyleGAN line of codes writes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vgbench.errors import DataError

LABELS = "dataset.json"
_MAX_BYTES = 2**28


@dataclass(frozen=True)
class Labels:
    """Class of each folder, by the last part of its name; -1 where none is given."""

    classes: Mapping[str, int] = field(default_factory=dict)

    def of(self, folder: str) -> int:
        """Returns the class of a folder of frames."""
        return self.classes.get(folder.rpartition("/")[2], -1)


def folder_labels(source: Path) -> Labels:
    """Returns the labels in the root of a folder, if there are any.

    Raises:
        DataError: As `parse_labels`, or if the file cannot be read.
    """
    path = source / LABELS
    if not path.is_file() or path.is_symlink():
        return Labels()
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES >> 20} MiB")
        return parse_labels(str(path), path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def read_json(where: str, data: bytes) -> Any:
    """Returns parsed JSON.

    Raises:
        DataError: If it is none; names `where`.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not readable JSON ({error})") from error


def parse_labels(where: str, data: bytes) -> Labels:
    """Returns the labels in `{"labels": {frame: class}}` or `{"labels": [[frame, class], ...]}`.

    All frames of a folder have the class of the folder.

    Args:
        where: How messages call the file.
        data: Its content.

    Raises:
        DataError: If it is something else, or two frames of a folder differ.
    """
    content = read_json(where, data)
    given = content.get("labels") if isinstance(content, dict) else None
    if given is None:
        return Labels()
    pairs = list(given.items()) if isinstance(given, dict) else given
    if not isinstance(pairs, list):
        raise DataError(f"{where} holds no list of labels")
    classes: dict[str, int] = {}
    for pair in pairs:
        frame, label = _checked(where, pair)
        folder = frame.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
        if classes.setdefault(folder, label) != label:
            both = f"{classes[folder]} and {label}"
            raise DataError(f"{where} gives frames of {folder!r} the classes {both}")
    return Labels(classes)


def _checked(where: str, pair: Any) -> tuple[str, int]:
    if isinstance(pair, (list, tuple)) and len(pair) == 2:
        frame, label = pair
        is_class = isinstance(label, int) and not isinstance(label, bool) and label >= 0
        if isinstance(frame, str) and is_class:
            return frame, label
    raise DataError(f"{where} holds the label {pair!r:.80}; expected a frame and a whole number")
