"""Files of rows: what an evaluation writes (JSON), and boards (CSV); read with every fault named.

CSV is RFC 4180 in UTF-8: lines end in CR LF, numbers have all their digits, nothing (None) is an
empty cell. Spreadsheets run a text that looks like a formula; such a text has an apostrophe in
front of it in the file, and so has one that begins with an apostrophe, so that reading removes
exactly what writing added.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from vgbench.errors import DataError
from vgbench.report.rows import COLUMNS, Column, LeaderboardRow, as_record, schema

FaultKind: TypeAlias = Literal["schema", "tampered", "duplicate", "mixed"]

# Full-width signs count as the plain ones for some spreadsheets, and they skip leading blanks.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n']")
_INTEGER = re.compile(r"-?[0-9]+")
_KINDS = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
_LONGEST_CELL = 10_000_000


@dataclass(frozen=True)
class Fault:
    """Something wrong with a file of rows.

    Attributes:
        place: File, and the row in it.
        kind: What sort of fault it is.
        text: What is wrong.
    """

    place: str
    kind: FaultKind
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass(frozen=True)
class Contents:
    """What is in a file of rows.

    Attributes:
        rows: Sound rows, each with its place.
        faults: What is wrong with the others, or with the whole file.
    """

    rows: tuple[tuple[str, LeaderboardRow], ...]
    faults: tuple[Fault, ...]


def to_json(rows: Sequence[LeaderboardRow]) -> str:
    """Returns the rows of one evaluation as the text of its JSON file."""
    return json.dumps({"format": 1, "rows": [as_record(row) for row in rows]}, indent=2)


def to_csv(rows: Sequence[LeaderboardRow]) -> str:
    """Returns rows as the text of a CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in as_record(row).values()] for row in rows)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all, its line ends as they are in `text`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(text.encode())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_file(path: Path) -> Contents:
    """Returns the rows of an evaluation (JSON) or a board (`.csv`) and all that is wrong with it.

    Raises:
        OSError: If it cannot be read.
    """
    rows: list[tuple[str, LeaderboardRow]] = []
    faults: list[Fault] = []
    try:
        for place, record in (_csv_records if path.suffix == ".csv" else _json_records)(path):
            found = _row(place, record)
            if isinstance(found, Fault):
                faults.append(found)
            else:
                rows.append((place, found))
    except _NotRowsError as error:
        faults.append(Fault(error.place or str(path), "schema", str(error)))
    return Contents(tuple(rows), tuple(faults))


def read_rows(path: Path) -> list[LeaderboardRow]:
    """Returns the rows of an evaluation or a board.

    Raises:
        DataError: If anything is wrong with the file; the message names the first fault.
    """
    try:
        contents = read_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if contents.faults:
        more = f" and {len(contents.faults) - 1} more" if len(contents.faults) > 1 else ""
        raise DataError(f"{contents.faults[0]}{more}\n  vgbench leaderboard check {path}")
    return [row for _, row in contents.rows]


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Returns the files of rows that paths mean: files, run folders, folders of runs.

    Raises:
        DataError: If a path does not exist.
    """
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} does not exist; give a run folder or a file of its eval/")
        files += [path] if path.is_file() else sorted(path.glob("**/eval/*.json"))
    return list(dict.fromkeys(files))


def collect(paths: Iterable[Path]) -> list[LeaderboardRow]:
    """Returns the rows of files, run folders and folders of runs; see `read_rows`."""
    return [row for file in find_files(paths) for row in read_rows(file)]


class _NotRowsError(Exception):
    """A file, or what follows in it, does not hold rows."""

    def __init__(self, text: str, place: str = "") -> None:
        super().__init__(text)
        self.place = place


def _json_records(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _NotRowsError(f"not an evaluation file of vgbench ({error})") from error
    records = contents.get("rows") if isinstance(contents, dict) else None
    if not isinstance(records, list):
        raise _NotRowsError("not an evaluation file of vgbench (it has no list of rows)")
    for number, record in enumerate(records, start=1):
        place = f"{path}, row {number}"
        if not isinstance(record, dict):
            raise _NotRowsError(f"expected an object, found {_shown(record)}", place)
        wrong = _wrong_columns(record)
        if wrong:
            raise _NotRowsError(wrong, place)
        yield place, record


def _csv_records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _NotRowsError(f"not UTF-8 ({error.reason} at byte {error.start})") from error
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(reader, [])
        wrong = _wrong_columns(header)
        if wrong:
            raise _NotRowsError(wrong)
        line = reader.line_num + 1
        for cells in reader:
            place = f"{path}, line {line}"
            if len(cells) != len(header):
                raise _NotRowsError(f"{len(cells)} cells instead of {len(header)}", place)
            yield place, {name: _Cell(cell) for name, cell in zip(header, cells, strict=True)}
            line = reader.line_num + 1
    except csv.Error as error:
        raise _NotRowsError(f"not RFC 4180 ({error})", f"{path}, line {line}") from error


def _wrong_columns(names: Iterable[str]) -> str:
    found = list(names)
    missing = [name for name in COLUMNS if name not in found]
    unknown = [name for name in dict.fromkeys(found) if name not in COLUMNS]
    twice = [name for name in dict.fromkeys(found) if found.count(name) > 1]
    parts = {"no column": missing, "unknown column": unknown, "twice the column": twice}
    return "; ".join(f"{what} {_names(which)}" for what, which in parts.items() if which)


def _names(names: list[str]) -> str:
    shown = [name if name in COLUMNS else _shown(name) for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


class _Cell(str):
    """The text of a CSV cell, whose type its column knows."""


def _row(place: str, record: Mapping[str, Any]) -> "LeaderboardRow | Fault":
    values: dict[str, Any] = {}
    wrong = []
    for name, column in schema().items():
        try:
            values[name] = _value(column, record[name])
        except ValueError:
            wrong.append(f"{name}: expected {_expected(column)}, found {_shown(record[name])}")
    if not wrong and not _is_options(values["config"]):
        wrong.append(f"config: expected a JSON object or nothing, found {_shown(values['config'])}")
    if wrong:
        return Fault(place, "schema", "; ".join(wrong))
    recorded = values.pop("row_sha256")
    row = LeaderboardRow(**values)
    if row.row_sha256 == recorded:
        return row
    text = "the row was changed after it was measured: its values do not have its row_sha256"
    return Fault(place, "tampered", text)


def _is_options(text: str) -> bool:
    try:
        return not text or isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _value(column: Column, found: Any) -> Any:
    """Returns a value as its column has it; raises ValueError if it cannot stand there."""
    if isinstance(found, _Cell):
        found = _from_cell(column, found)
    if column.kind is float and type(found) is int:
        found = float(found)
    if not (type(found) is column.kind or (found is None and column.optional)):
        raise ValueError
    if isinstance(found, str):
        found.encode()  # a lone surrogate is a ValueError
    if column.choices and found not in column.choices:
        raise ValueError
    return found


def _from_cell(column: Column, cell: str) -> Any:
    if column.kind is str:
        return str(cell.removeprefix("'"))
    if not cell and column.optional:
        return None
    if column.kind is bool:
        return {"true": True, "false": False}.get(cell)
    if column.kind is int:
        return int(cell) if _INTEGER.fullmatch(cell) else None
    return float(cell)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"'{value}" if _FORMULA.match(value) else value
    return repr(value)


def _expected(column: Column) -> str:
    kind = " or ".join(column.choices) or _KINDS[column.kind]
    return f"{kind} or nothing" if column.optional else kind


def _shown(value: Any) -> str:
    text = ascii(str(value) if isinstance(value, _Cell) else value)
    return text if len(text) <= 40 else f"{text[:37]}..."
