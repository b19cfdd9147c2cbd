"""What the verbs of `vgbench data` share: `--data-dir`, progress, and a histogram."""

import re
import time
from typing import Any

import click

from vgbench.cli import common
from vgbench.cli.progress import duration

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False),
    help="Folder of prepared data sets (or VGBENCH_DATA_DIR; default ~/.cache/vgbench/data).",
)
_PLAIN_S = 30.0


def byte_size(option: str, text: str) -> int:
    """Returns the bytes that `text` means, such as `64GiB` or `500 MB`.

    Raises:
        UsageError: If it is not a number with a unit; names the option.
    """
    from vgbench.errors import UsageError

    units = {"B": 1, **{f"{p}B": 1000**i for i, p in enumerate("kMGT", 1)}}
    units |= {f"{p}iB": 1024**i for i, p in enumerate("KMGT", 1)}
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(\w+)", text)
    if not match or match[2] not in units:
        raise UsageError(f"{option} {text}: expected bytes with a unit, e.g. 64GiB or 500MB")
    return int(float(match[1]) * units[match[2]])


class Bar:
    """Progress on stderr: a bar on a terminal, elsewhere a plain line every 30 s."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
        plain, quiet = not console.is_terminal, bool(common.option("quiet"))
        self._bar = Progress(*columns, console=console, transient=True, disable=plain or quiet)
        self._silent, self._tasks = not plain or quiet, dict[str, Any]()
        self._begin, self._told = dict[str, tuple[float, int]](), time.monotonic()

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, stage: str, done: int, total: int | None) -> None:
        """Shows that `done` of `total` of a stage are done; the rate counts from the first call."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bar.add_task(stage, total=total)
            self._begin[stage] = time.monotonic(), done
        self._bar.update(self._tasks[stage], completed=done, total=total, visible=done != total)
        if self._silent or time.monotonic() - self._told < _PLAIN_S:
            return
        self._told = time.monotonic()
        begin_s, before = self._begin[stage]
        each_s = (self._told - begin_s) / max(1, done - before)
        left = f"  left {duration(each_s * (total - done))}" if total else ""
        click.echo(f"{stage} {done}/{total or '?'}{left}", err=True)


def echo_lengths(lengths: list[int]) -> None:
    """Prints how many videos have which length."""
    from vgbench.data.statistics import length_histogram

    rows = length_histogram(lengths)
    most = max(row["videos"] for row in rows)
    for row in rows:
        bar = "#" * round(40 * row["videos"] / most)
        line = f"{row['from']:>6} - {row['to']:<6} {row['videos']:>7} {bar}"
        common.console().print(line, markup=False)
