"""The rows of a run: its untrained and its last model under the run's own protocols."""

import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.config.schema import RunConfig

# The untrained model is the floor that a trained one is compared with.
_MEASURED = ("kclip-00000.000.ckpt", "last.ckpt")


def measure_run(path: Path, config: "RunConfig") -> None:
    """Measures what has no row yet, and stores the rows in the run's `eval/`.

    Args:
        path: Folder of a finished run.
        config: Its options.

    Raises:
        PreemptedError: If SIGTERM came; what was computed is kept with the features.
    """
    from vgbench.cli.evaluate import evaluate, measured, store
    from vgbench.metrics.processes import from_first

    device = "cpu" if config.trainer.accelerator == "cpu" else "auto"
    # The first process decides: it is the one that stores rows.
    for name in from_first(_missing(path, config)):
        words = [str(path / "checkpoints" / name), f"--device={device}"]
        options = evaluate.make_context("eval", words).params
        with _stopped_cleanly(path):
            rows, output = measured(options.pop("checkpoint"), options)
        if common.is_first():
            store(rows, output)


def is_measured(path: Path, config: "RunConfig") -> bool:
    """Returns whether `measure_run` would find nothing to do."""
    return not _missing(path, config)


def _missing(path: Path, config: "RunConfig") -> list[str]:
    """Returns the names of the checkpoints that lack a row of any of the run's protocols."""
    from vgbench.metrics.protocol import get_protocol
    from vgbench.report.row_files import collect

    wanted = {get_protocol(name).id for name in config.protocol.names}
    found: dict[str, set[str]] = {}
    for row in collect((path / "eval").glob("*.json")):
        found.setdefault(row.checkpoint_sha256, set()).add(row.protocol_id)
    ids = {name: found.get(_sha256(path / "checkpoints" / name), set()) for name in _MEASURED}
    # Without protocols of its own a run is measured by what the installed weights allow.
    return [name for name, have in ids.items() if not have or not wanted <= have]


def _sha256(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@contextmanager
def _stopped_cleanly(path: Path) -> Iterator[None]:
    from vgbench.errors import PreemptedError

    def stop(number: int, frame: FrameType | None) -> None:
        raise PreemptedError(f"stopped while {path} was measured; go on with the same command")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
