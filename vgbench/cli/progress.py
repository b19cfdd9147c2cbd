"""Progress on a terminal as a bar, elsewhere as one plain line now and then."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from vgbench.training.callbacks import Progress


def duration(seconds: float) -> str:
    """Returns a duration as `1:02:03` or `02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def progress_listener(console: "Console", every_seconds: float) -> Callable[["Progress"], None]:
    """Returns a function that shows training progress on `console`.

    On a terminal every call rewrites one line; elsewhere a line is printed every
    `every_seconds`, and at the end.
    """
    last = time.monotonic()

    def tell(progress: "Progress") -> None:
        nonlocal last
        finished = progress.clips_seen >= progress.total
        if not console.is_terminal and not finished and time.monotonic() - last < every_seconds:
            return
        last = time.monotonic()
        scalars = "  ".join(f"{name} {value:.3f}" for name, value in progress.scalars.items())
        line = (
            f"{progress.stage or 'training'} "
            f"{progress.clips_seen / 1000:.2f}/{progress.total / 1000:g} kclips  "
            f"{progress.clips_per_second:.1f} clips/s  {scalars}  "
            f"left {duration(progress.seconds_left)}"
        )
        end = "\n" if finished or not console.is_terminal else "\r"
        if console.is_terminal:
            line = line[: console.width - 1].ljust(console.width - 1)
        console.print(line, end=end, soft_wrap=True)

    return tell


def stage_listener(console: "Console") -> Callable[[str, int, int | None], None]:
    """Returns a function that shows the stages of an evaluation: `(stage, done, total)`."""
    started: dict[str, float] = {}

    def tell(stage: str, done: int, total: int | None) -> None:
        begin = started.setdefault(stage, time.monotonic())
        finished = done == total
        if not console.is_terminal and not finished:
            return
        spent = time.monotonic() - begin
        left = spent / max(done, 1) * max((total or done) - done, 0)
        end = "\n" if finished or not console.is_terminal else "\r"
        note = f"in {duration(spent)}" if finished else f"left {duration(left)}  "
        console.print(f"  {stage} {done}/{total or '?'}  {note}", end=end)

    return tell
