"""One process at a time makes a folder: a `data prepare`, a stage of a run."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def exclusive(
    target: Path, tell: Callable[[str], None], busy: Callable[[str], None]
) -> Iterator[None]:
    """Holds the lock file of `target` while the block runs.

    The system frees the lock of a process that dies; its file stays and is taken over.

    Args:
        target: The folder that is made; the lock is `NAME.lock` beside it.
        tell: Called with a message if the lock of a dead process is taken over.
        busy: Called with `process PID on HOST` whenever another process is found to hold the
            lock: it raises, or waits before the next attempt.
    """
    path = target.with_name(f"{target.name}.lock")
    descriptor = _acquire(path, busy)
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


def _acquire(path: Path, busy: Callable[[str], None]) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except BlockingIOError:
            owner = _owner(path) or {"pid": "?", "host": "?"}
            os.close(descriptor)
            busy(f"process {owner['pid']} on {owner['host']}")
            continue
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
