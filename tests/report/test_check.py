"""What a check finds, what it lets pass, and how two boards differ."""

import json

import pytest

from tests.report.made import NASTY, ROW, another, made, many
from tests.report.test_board import CHANGED
from vgbench.errors import DataError
from vgbench.report.check import Change, check, difference, distinct, extended
from vgbench.report.row_files import to_csv, to_json, write_text
from vgbench.report.rows import COLUMNS, MEASUREMENT, as_record


@pytest.fixture
def checked(tmp_path):
    """Returns a function that checks rows, one file each argument."""

    def call(*files):
        paths = []
        for number, rows in enumerate(files):
            paths.append(tmp_path / f"{number}.{'csv' if number % 2 else 'json'}")
            write_text(paths[-1], (to_csv if number % 2 else to_json)(rows))
        return check(paths)

    return call


def test_a_sound_board(checked):
    found = checked(many(50), many(100)[50:], [])
    assert (found.files, found.rows, found.faults, found.remarks) == (3, 100, (), ())


def test_texts_of_any_kind_are_sound(checked):
    rows = [made(model=f"{i}{text}", note=text) for i, text in enumerate(NASTY)]
    assert checked(rows).faults == ()


def test_duplicates(checked, tmp_path):
    found = checked([ROW, made(seed_gen=1)], [made(value=1.0), made(seed_gen=2)])
    (fault,) = found.faults
    assert (fault.kind, fault.place) == ("duplicate", f"{tmp_path / '1.csv'}, line 2")
    place = f"{tmp_path / '0.json'}, row 1"
    assert fault.text == (f"the same measurement as in {place}, with 1.0 for 0.30000000000000004")
    (fault,) = checked([ROW, ROW]).faults
    assert fault.text == f"the same measurement as in {place}"


def test_a_measurement_made_again_is_remarked(checked, tmp_path):
    found = checked([ROW], [made(date="2027-01-01T00:00:00Z", device="cuda")])
    place = f"{tmp_path / '0.json'}, row 1"
    assert (found.faults, found.remarks) == (
        (),
        (
            f"{tmp_path / '1.csv'}, line 2: the same measurement as in {place}, made again to the "
            "same value",
        ),
    )


def test_distinct_rows():
    newer, other = made(date="2027-01-01T00:00:00Z"), made(value=1.0)
    assert distinct([newer, ROW, other, ROW]) == [newer, other]
    assert distinct([ROW, newer]) == [newer]
    assert len(distinct([made(value=float("nan")), made(value=float("nan"))])) == 1
    assert distinct(many(20)) == many(20)


@pytest.mark.parametrize("name", ["protocol_hash", "feature_net_sha256", "preprocess_id"])
def test_one_name_for_two_protocols(checked, tmp_path, name):
    value = CHANGED[name]
    others = [made(model=str(i), **{name: value}) for i in range(5)]
    (fault,) = checked([ROW, *others]).faults
    assert (fault.kind, fault.place) == ("mixed", f"{tmp_path / '0.json'}, row 2")
    before = getattr(ROW, name)
    assert fault.text == (
        f"hED16 under hed16/demo@1 has {name} {value} and not {before}, as in "
        f"{tmp_path / '0.json'}, row 1: one name for two protocols"
    )


@pytest.mark.parametrize("name", ["n_real", "n_fake", "precision", "dataset_fingerprint", "ddof"])
def test_keys_that_differ_openly_are_remarked(checked, tmp_path, name):
    found = checked([ROW, made(**{name: CHANGED[name]})])
    assert found.faults == ()
    (remark,) = found.remarks
    assert remark.startswith(f"{tmp_path / '0.json'}, row 2: hED16 under hed16/demo@1 has {name} ")
    assert remark.endswith("row 1: ranked apart")


@pytest.mark.parametrize("name", ["dataset", "metric", "protocol_id", "resolution", "split"])
def test_what_looks_different_needs_no_remark(checked, name):
    found = checked([ROW, made(**{name: CHANGED[name]})])
    assert (found.faults, found.remarks) == ((), ())


@pytest.mark.parametrize("name", COLUMNS)
def test_any_changed_value_is_found(tmp_path, name):
    path = tmp_path / "x.json"
    record = {**as_record(ROW), name: another(name)}
    path.write_text(json.dumps({"format": 1, "rows": [record]}))
    (fault,) = check([path]).faults
    assert (fault.kind, fault.place) == ("tampered", f"{path}, row 1")


def test_differences_of_two_boards():
    gone, kept, moved = made(model="gone"), made(model="kept"), made(model="moved")
    new = made(model="new")
    again = made(model="kept", date="2027-01-01T00:00:00Z", device="cuda", torch_version="3")
    later = made(model="moved", value=1.0, note="why")
    found = difference([gone, kept, moved], [new, again, later])
    assert (found.removed, found.added) == ((gone,), (new,))
    assert found.changed == (Change(moved, later, ("value", "note")),)


def test_equal_boards_do_not_differ():
    rows = many(30)
    found = difference(rows, rows[::-1])
    assert (found.removed, found.added, found.changed) == ((), (), ())
    nan = [made(value=float("nan"))]
    assert difference(nan, [made(value=float("nan"))]).changed == ()


@pytest.mark.parametrize("name", MEASUREMENT)
def test_another_measurement_is_added_not_changed(name):
    other = made(**{name: another(name)})
    found = difference([ROW], [other])
    assert (found.removed, found.added, found.changed) == ((ROW,), (other,), ())


def test_extending_a_board():
    rows = many(4)
    assert extended(rows[:2], rows) == rows
    assert extended(rows, [rows[1], rows[1]]) == rows
    assert extended([], rows) == rows
    with pytest.raises(DataError) as error:
        extended([ROW], [made(value=1.0)])
    assert str(error.value) == (
        "g3an under hed16/demo@1: the board has 0.30000000000000004 for the measurement that is "
        "1.0 here\n  see what differs: vgbench leaderboard diff BOARD FILE"
    )
