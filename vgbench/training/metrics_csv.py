"""The run's scalars as a CSV file that a resumed run continues."""

import csv
from collections.abc import Mapping
from pathlib import Path


class MetricsCsv:
    """Appends one row of scalars per call; rows after the resumed position are dropped.

    Args:
        path: The file.
        clips_seen: Where the run stands; later rows are from a part that is trained again.
    """

    def __init__(self, path: Path, clips_seen: int) -> None:
        self.path = path
        if path.is_file():
            rows = self.read()
            kept = [row for row in rows if int(row["clips_seen"]) <= clips_seen]
            self._write(kept, self._columns())

    def read(self) -> list[dict[str, str]]:
        """Returns the rows written so far."""
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def append(self, clips_seen: int, scalars: Mapping[str, float | None]) -> None:
        """Adds a row; where it has new columns, the rows before get them as well, empty."""
        row = {"clips_seen": clips_seen, **scalars}
        columns = self._columns()
        new = [name for name in row if name not in columns]
        if new:
            self._write(self.read() if columns else [], [*columns, *new])
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, [*columns, *new]).writerow(row)

    def _columns(self) -> list[str]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _write(self, rows: list[dict[str, str]], columns: list[str]) -> None:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
