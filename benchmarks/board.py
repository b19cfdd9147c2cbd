"""Boards of 0 to 20 000 rows: seconds to export them and to check what was exported.

Each command is a process of its own, start-up included, as a user has it; the rows are read from
one CSV file, and once from one JSON file per row, as folders of runs hold them.

python -m benchmarks.board
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.report.made import made
from vgbench.report.row_files import to_csv, to_json, write_text
from vgbench.report.rows import LeaderboardRow

SIZES = (0, 1, 200, 20_000)
METHODS, PROTOCOLS = 50, 4


def rows(count: int) -> Iterator[LeaderboardRow]:
    """Yields rows of many configurations, seeds and protocols, all of them different."""
    for i in range(count):
        training, protocol = divmod(i, PROTOCOLS)
        seed, configuration = training % 5, training // 5
        yield made(
            model=f"method{configuration % METHODS}",
            metric=f"hED{protocol}",
            value=1 + (i * 7919 % 10_007) / 10_007,
            protocol_id=f"hed{protocol}/demo@1",
            protocol_hash=f"{protocol:012x}",
            seed_train=seed,
            checkpoint_sha256=f"{training:064x}",
            config=f'{{"channels": {configuration}}}',
            config_sha256=f"{configuration:064x}",
            note="stage image from 1a2b3c4d5e6f",
        )


def seconds(*words: object) -> float:
    """Returns the wall time of one `vgbench leaderboard` command, which must succeed."""
    command = [sys.executable, "-m", "vgbench", "leaderboard", *map(str, words)]
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start


def measured(count: int, folder: Path) -> list[float]:
    """Returns the seconds of each command on a board of so many rows."""
    runs, board, copy = folder / "runs", folder / "board.csv", folder / "copy.csv"
    runs.mkdir(parents=True)
    for i, row in enumerate(rows(count)):
        write_text(runs / str(i) / "eval" / "x.json", to_json([row]))
    write_text(board, to_csv(list(rows(count))))
    return [
        seconds("export", "-o", copy, board),
        seconds("export", "-o", copy.with_suffix(".md"), board),
        seconds("check", board),
        seconds("export", "-o", copy, runs),
        seconds("check", runs),
    ]


def main() -> None:
    """Prints one line per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    names = ("CSV to CSV", "CSV to Markdown", "check CSV", "runs to CSV", "check runs")
    print(f"| rows | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for count in parser.parse_args().sizes:
        with tempfile.TemporaryDirectory() as folder:
            times = measured(count, Path(folder))
        print(f"| {count} | {' | '.join(f'{s:.2f}' for s in times)} |")


if __name__ == "__main__":
    main()
