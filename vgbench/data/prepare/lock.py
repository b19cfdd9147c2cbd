"""One `data prepare` per cache at a time."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vgbench.errors import DataError


@contextmanager
def exclusive(target: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock file of `target` while the block runs.

    The system frees the lock of a process that dies; its file stays and is taken over.

    Args:
        target: Folder of the cache; the lock is `NAME.lock` beside it.
        tell: Called with a message if the lock of a dead process is taken over.

    Raises:
        DataError: If another process holds it; says which.
    """
    path = target.with_name(f"{target.name}.lock")
    descriptor = _acquire(path, target)
    try:
        owner = _owner(path)
        if owner:
            tell(f"taking over {path}: process {owner['pid']} on {owner['host']} is gone")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path, target: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            owner = _owner(path) or {"pid": "?", "host": "?"}
            os.close(descriptor)
            raise DataError(
                f"{target} is being prepared by process {owner['pid']} on {owner['host']}\n"
                "  wait until it is done, or stop it and continue with --resume"
            ) from None
        except FileNotFoundError:
            pass  # its owner finished between our two steps, and removed it
        os.close(descriptor)


def _me() -> dict[str, Any]:
    return {"pid": os.getpid(), "host": socket.gethostname()}


def _owner(path: Path) -> dict[str, Any] | None:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) and {"pid", "host"} <= owner.keys() else None
