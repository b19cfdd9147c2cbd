"""Files of rows: nothing is lost on the way, nothing runs in a spreadsheet, faults are named."""

import csv
import json

import pytest

from tests.report.made import NASTY, ROW, made
from vgbench.errors import DataError
from vgbench.report.row_files import (
    collect,
    find_files,
    read_file,
    read_rows,
    to_csv,
    to_json,
    write_text,
)
from vgbench.report.rows import COLUMNS, as_record

# Also what a cell of a number or an optional one may hold.
NUMBERS = [
    made(value=v, ci_lo=None, floor=-0.0, clips_seen=None, seed_train=None, higher_is_better=True)
    for v in (float("inf"), float("-inf"), 1e-300, -1.5, 0.1 + 0.2, 12345678.9)
]
SOME = [ROW, *NUMBERS, *(made(model=t, note=t, selection=t, dataset=t) for t in NASTY)]


@pytest.fixture
def write(tmp_path):
    """Returns a function that writes a file and returns its path."""

    def written(text, name="board.csv"):
        path = tmp_path / name
        write_text(path, text)
        return path

    return written


@pytest.mark.parametrize(("name", "to_text"), [("a.csv", to_csv), ("a.json", to_json)])
def test_round_trip(write, name, to_text):
    path = write(to_text(SOME), name)
    assert read_rows(path) == SOME
    assert to_text(read_rows(path)) == path.read_bytes().decode()


def test_nan_survives_with_its_hash(write):
    for name, to_text in (("a.csv", to_csv), ("a.json", to_json)):
        (row,) = read_rows(write(to_text([made(value=float("nan"))]), name))
        assert row.value != row.value


def test_csv_is_rfc_4180_that_others_read(write):
    path = write(to_csv([ROW, made(clips_seen=None)]))
    lines = path.read_bytes().split(b"\r\n")
    assert (len(lines), lines[-1], b"\n" in lines[1]) == (4, b"", False)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["value"]) == ROW.value
    assert (rows[0]["clips_seen"], rows[1]["clips_seen"]) == ("8000", "")
    assert rows[0]["config"] == ROW.config


def test_no_text_of_a_csv_is_a_formula(write):
    path = write(to_csv([made(model=text) for text in NASTY]))
    with path.open(newline="", encoding="utf-8") as file:
        cells = [record["model"] for record in csv.DictReader(file)]
    assert not [c for c in cells if c.lstrip(" ")[:1] in tuple("=+-@\t\r\uff1d")]
    assert [c for c in cells if c in NASTY], "texts without danger stay as they are"


def test_numbers_stay_numbers(write):
    path = write(to_csv([made(value=-1.5, null_z=-3.25)]))
    with path.open(newline="", encoding="utf-8") as file:
        (record,) = csv.DictReader(file)
    assert (record["value"], record["null_z"], record["n_real"]) == ("-1.5", "-3.25", "256")
    assert record["higher_is_better"] == "false"


def test_a_byte_order_mark_and_other_column_orders_are_read(write):
    record = dict(zip(*csv.reader(to_csv([ROW]).splitlines()), strict=True))
    turned = dict(reversed(record.items()))
    text = "\ufeff" + ",".join(turned) + "\r\n"
    text += ",".join('"' + cell.replace('"', '""') + '"' for cell in turned.values())
    assert read_rows(write(text)) == [ROW]


def test_an_empty_board_has_its_header(write):
    path = write(to_csv([]))
    assert path.read_bytes() == (",".join(COLUMNS) + "\r\n").encode()
    assert read_rows(path) == []


def changed(**values):
    return json.dumps({"format": 1, "rows": [{**as_record(ROW), **values}]})


def lacking(name):
    record = as_record(ROW)
    del record[name]
    return json.dumps({"format": 1, "rows": [record]})


SHORT = ",".join(COLUMNS) + "\r\nx,y\r\n"
CSV = to_csv([ROW])
WRONG = {
    ("a.json", ""): (
        "schema",
        "FILE: not an evaluation file of vgbench (Expecting value: line 1 column 1 (char 0))",
    ),
    ("a.json", "[]"): (
        "schema",
        "FILE: not an evaluation file of vgbench (it has no list of rows)",
    ),
    ("a.json", '{"rows": 3}'): (
        "schema",
        "FILE: not an evaluation file of vgbench (it has no list of rows)",
    ),
    ("a.json", '{"rows": ["x"]}'): ("schema", "FILE, row 1: expected an object, found 'x'"),
    ("a.json", changed(secret=1)): ("schema", "FILE, row 1: unknown column 'secret'"),
    ("a.json", lacking("ddof")): ("schema", "FILE, row 1: no column ddof"),
    ("a.json", changed(value="low", n_real=2.5, higher_is_better=0)): (
        "schema",
        "FILE, row 1: value: expected a number, found 'low'; higher_is_better: expected true or "
        "false, found 0; n_real: expected an integer, found 2.5",
    ),
    ("a.json", changed(clips_seen="x", source="blog", model=None)): (
        "schema",
        "FILE, row 1: model: expected text, found None; clips_seen: expected an integer or "
        "nothing, found 'x'; source: expected measured or paper, found 'blog'",
    ),
    ("a.json", changed(model="\ud800")): (
        "schema",
        "FILE, row 1: model: expected text, found '\\ud800'",
    ),
    ("a.json", changed(config="[1]")): (
        "schema",
        "FILE, row 1: config: expected a JSON object or nothing, found '[1]'",
    ),
    ("a.json", changed(value=0.1)): (
        "tampered",
        "FILE, row 1: the row was changed after it was measured: its values do not have its "
        "row_sha256",
    ),
    ("a.csv", ""): ("schema", "FILE: no column model, dataset, metric, value, ci_lo and 39 more"),
    ("a.csv", CSV.replace("model,", "modle,")): (
        "schema",
        "FILE: no column model; unknown column 'modle'",
    ),
    ("a.csv", CSV.replace("ci_lo,", "ci_hi,")): (
        "schema",
        "FILE: no column ci_lo; twice the column ci_hi",
    ),
    ("a.csv", SHORT): ("schema", f"FILE, line 2: 2 cells instead of {len(COLUMNS)}"),
    ("a.csv", CSV + 'a"b'): ("schema", f"FILE, line 3: 1 cells instead of {len(COLUMNS)}"),
    ("a.csv", CSV + '"a"b'): ("schema", "FILE, line 3: not RFC 4180 (',' expected after '\"')"),
    ("a.csv", CSV.replace(",256,256,", ",256,2_56,", 1)): (
        "schema",
        "FILE, line 2: n_fake: expected an integer, found '2_56'",
    ),
    ("a.csv", CSV.replace("false", "no")): (
        "schema",
        "FILE, line 2: higher_is_better: expected true or false, found 'no'",
    ),
    ("a.csv", CSV.replace("8000", "")): (
        "tampered",
        "FILE, line 2: the row was changed after it was measured: its values do not have its "
        "row_sha256",
    ),
}


@pytest.mark.parametrize(("name", "text"), WRONG, ids=range(len(WRONG)))
def test_faults_are_named(write, name, text):
    path = write(text, name)
    (fault,) = read_file(path).faults
    kind, expected = WRONG[name, text]
    expected = expected.replace("FILE", str(path))
    assert (fault.kind, str(fault)) == (kind, expected)
    with pytest.raises(DataError) as error:
        read_rows(path)
    assert str(error.value) == f"{expected}\n  vgbench leaderboard check {path}"


def test_sound_rows_beside_faults(write):
    rows = [made(note="two\nlines"), made(value=1.0), made(value=2.0)]
    path = write(to_csv(rows).replace("D16,1.0", "D16,1.5").replace("D16,2.0", "D16,x"))
    contents = read_file(path)
    assert [row for _, row in contents.rows] == rows[:1]
    assert [place for place, _ in contents.rows] == [f"{path}, line 2"]
    assert [(fault.place, fault.kind) for fault in contents.faults] == [
        (f"{path}, line 4", "tampered"),
        (f"{path}, line 5", "schema"),
    ]
    with pytest.raises(DataError, match="row_sha256 and 1 more\n"):
        read_rows(path)


def test_not_utf_8(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"model\xff")
    assert "not UTF-8 (invalid start byte at byte 5)" in str(read_file(path).faults[0])


def test_files_of_runs(tmp_path):
    path = tmp_path / "run" / "eval" / "a.json"
    write_text(path, to_json([ROW, made(value=1.0)]))
    assert collect([tmp_path]) == collect([path]) == [ROW, made(value=1.0)]
    assert find_files([tmp_path, path, tmp_path / "run"]) == [path]
    with pytest.raises(DataError, match="none does not exist; give a run folder or a file of its"):
        find_files([tmp_path / "none"])
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_rows(tmp_path)


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.csv"
    write_text(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.csv", "before")]
