"""Writing files so that a kill or a full disk never leaves half of one."""

import os
import sys
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO

from vgbench.errors import CheckpointError


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a temporary file beside `path`, then renames it to `path`.

    Raises:
        OSError: If writing fails; `path` is then as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


# Lightning's counters, which say how often a run was resumed. The position is `clips_seen`.
_COUNTERS = ("epoch", "global_step", "loops")


class AtomicCheckpointIO(CheckpointIO):
    """Saves checkpoints whole or not at all, and loads them without executing anything.

    The same state makes the same file, however often its run was resumed, so that the hash of a
    checkpoint says which one it is.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes `checkpoint` to `path`.

        Raises:
            CheckpointError: If the disk is full or cannot be written; the file that was at
                `path` before is still there.
        """
        state = {key: value for key, value in checkpoint.items() if key not in _COUNTERS}
        try:
            write_atomically(Path(path), lambda file: torch.save(_canonical(state), file))
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise CheckpointError(
                f"cannot write {path}: {reason}; the checkpoint before it is intact"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Returns the contents of `path`; see `vgbench.models.checkpoint.read_checkpoint`."""
        from vgbench.models.checkpoint import read_checkpoint

        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | Path) -> None:
        """Deletes `path` if it is there."""
        Path(path).unlink(missing_ok=True)


def _canonical(value: Any) -> Any:
    """Returns an equal value whose texts and tuples are shared in one way.

    Pickling writes an object once and then refers to it, so equal states that share other objects,
    as states that were read from a file do, make other bytes.
    """
    if type(value) is str:  # interning takes no subclass
        return sys.intern(value)
    if isinstance(value, dict):
        items = {_canonical(key): _canonical(item) for key, item in value.items()}
        value = copy(value)  # a `state_dict` has attributes beside its items
        value.clear()
        value.update(items)
    elif type(value) in (list, tuple):  # a named tuple is made otherwise
        value = type(value)([_canonical(item) for item in value])
    return value
