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
            self._write(kept)

    def read(self) -> list[dict[str, str]]:
        """Returns the rows written so far."""
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def append(self, clips_seen: int, scalars: Mapping[str, float | None]) -> None:
        """Adds a row; all rows have the columns of the first, empty where there is no number."""
        row = {"clips_seen": clips_seen, **scalars}
        is_new = not self.path.is_file() or self.path.stat().st_size == 0
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if is_new:
                writer.writeheader()
            writer.writerow(row)

    def _write(self, rows: list[dict[str, str]]) -> None:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            if rows:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
