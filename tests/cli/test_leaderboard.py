"""`vgbench leaderboard` as users type it: what it prints, writes and refuses, word for word."""

import json
import re

import pytest

from tests.report.made import NASTY, ROW, made, many
from vgbench.report.row_files import read_rows, to_csv, to_json, write_text
from vgbench.report.rows import as_record


@pytest.fixture
def runs(tmp_path):
    """A folder of runs with one evaluation."""
    write_text(tmp_path / "runs" / "a" / "eval" / "x.json", to_json([ROW, made(model="b")]))
    return tmp_path / "runs"


def test_show(vgbench, runs):
    rows = [made(value=0.5, seed_train=1), made(model="later", value=2.0, note="few clips")]
    write_text(runs / "b" / "eval" / "y.json", to_json(rows))
    code, out, err = vgbench("leaderboard", "show")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0][:5] == ["hED16", "(lower", "is", "better)", "shapes"]
    assert " ".join(lines[1]) == "model kclips hED16 95 % n floor null seeds ckpt note"
    assert lines[2][:4] == ["1=", "b", "8", "0.3000"]
    g3an, later = lines[3], lines[4]
    assert g3an[:6] == ["1=", "g3an", "8", "0.4000", "±", "0.1414"]
    assert g3an[-4:] == ["0", "1", "/", "0"]
    assert (later[1], later[-1]) == ("later", "(1)")
    assert lines[5] == ["(1)", "few", "clips"]


def test_a_narrow_terminal_cuts_no_number(vgbench, runs, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [made(value=0.5, seed_train=1, checkpoint_sha256="e"), made(model="m" * 70, value=2.0)]
    write_text(runs / "b" / "eval" / "y.json", to_json(rows))
    out = vgbench("leaderboard", "show")[1]
    assert "0.4000 ± 0.1414" in out
    assert "m" * 59 + "…" in out
    assert out.count("…") == 1


def test_show_as_json_has_every_column(vgbench, runs):
    found = json.loads(vgbench("--json", "leaderboard", "show")[1])
    assert found == [as_record(ROW), as_record(made(model="b"))]


def test_show_sorts_and_keeps_checkpoints_apart(vgbench, runs):
    other = {"metric": "hFD16", "protocol_id": "hfd16/demo@1"}
    rows = [made(clips_seen=0, value=9.0), made(value=5.0, **other)]
    write_text(runs / "b" / "eval" / "y.json", to_json(rows))
    out = vgbench("leaderboard", "show", "--sort", "hfd16", "--all-checkpoints")[1]
    assert out.index("hFD16") < out.index("hED16")
    assert "g3an kclips=0" in out
    assert vgbench("leaderboard", "show", "--sort", "fid")[::2] == (
        2,
        "error: no row of a metric or protocol 'fid'; metrics that have any: hED16, hFD16\n",
    )


def test_texts_of_others_do_nothing_to_a_terminal(vgbench, tmp_path):
    path = tmp_path / "board.csv"
    write_text(path, to_csv([made(model=f"{i}{t}", note=t) for i, t in enumerate(NASTY)]))
    out = vgbench("leaderboard", "show", path)[1]
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "[h](i)" in out
    assert len(out) < 40_000
    assert all(f"  ({number}) " in out for number in range(1, len(NASTY)))


def test_export_of_every_format(vgbench, runs, tmp_path):
    target = tmp_path / "out" / "board.csv"
    code, out, err = vgbench("leaderboard", "export", "-o", target, "--format", "csv,md")
    assert (code, err) == (0, "")
    markdown = target.with_suffix(".md")
    assert out == f"wrote 2 rows to {target}\nwrote 2 rows to {markdown}\n"
    assert read_rows(target) == [ROW, made(model="b")]
    assert markdown.read_text(encoding="utf-8").startswith("# Leaderboard\n\n## shapes, train ")
    assert vgbench("leaderboard", "export", "-o", tmp_path / "b.md", target)[0] == 0
    assert (tmp_path / "b.md").read_bytes() == markdown.read_bytes()


def test_tables_of_every_format_are_in_the_order_that_is_asked_for(vgbench, tmp_path):
    def measured(model, value, **other):
        return made(model=model, value=value, ci_lo=value, ci_hi=value, **other)

    other = {"metric": "hFD16", "protocol_id": "hfd16/demo@1"}
    rows = [measured("a", 1.0), measured("b", 2.0)]
    rows += [measured("a", 9.0, **other), measured("b", 5.0, **other)]
    write_text(tmp_path / "runs" / "eval" / "x.json", to_json(rows))
    target = tmp_path / "board"

    def export(*words):
        vgbench("leaderboard", "export", "-o", target, "--format", "md,html", *words)
        markdown, page = (target.with_suffix(f".{kind}").read_text() for kind in ("md", "html"))
        return (
            re.findall(r"^\| (\w) \|", markdown, flags=re.MULTILINE),
            re.findall(r"<td[^>]*>([ab])</td>", page),
            re.findall(r'aria-sort="(\w+)"[^>]*>rank', page),
        )

    assert export() == (["a", "b"], [*"abba"], ["ascending", "ascending"])
    assert export("--sort", "hfd16") == (["b", "a"], [*"baba"], ["ascending", "none"])


def test_export_has_a_measurement_that_was_made_again_once(vgbench, runs, tmp_path):
    newer = made(date="2027-01-01T00:00:00Z")
    write_text(runs / "a" / "eval" / "again.json", to_json([newer]))
    target = tmp_path / "board.csv"
    assert vgbench("leaderboard", "export", "-o", target)[1] == f"wrote 2 rows to {target}\n"
    assert read_rows(target) == [newer, made(model="b")]


@pytest.mark.parametrize("count", [0, 1, 200])
def test_a_board_of_any_size_is_exported_and_sound(vgbench, tmp_path, count):
    for number, row in enumerate(many(count)):
        write_text(tmp_path / "runs" / str(number) / "eval" / "x.json", to_json([row]))
    target = tmp_path / "board.csv"
    assert vgbench("leaderboard", "export", "-o", target, "--format", "csv,md")[0] == 0
    code, out, _ = vgbench("leaderboard", "check", target)
    assert (code, out) == (0, f"no faults; sound rows: {count}; files: 1\n")
    code, out, _ = vgbench("leaderboard", "diff", target, target)
    assert (code, out) == (0, "0 removed, 0 added, 0 changed\n")
    assert sorted(r.row_sha256 for r in read_rows(target)) == sorted(
        row.row_sha256 for row in many(count)
    )


def test_check(vgbench, runs, tmp_path):
    assert vgbench("leaderboard", "check")[1] == "no faults; sound rows: 2; files: 1\n"
    path = tmp_path / "bad.csv"
    write_text(path, to_csv([ROW, made(value=1.0), made(model="c")]).replace("0.30000000", "0.2"))
    rows = runs / "a" / "eval" / "x.json"
    code, out, err = vgbench("leaderboard", "check", path, rows)
    assert code == 3
    changed = "the row was changed after it was measured: its values do not have its row_sha256"
    same = f"the same measurement as in {path}, line 3, with 0.30000000000000004 for 1.0"
    assert out == (
        f"tampered: {path}, line 2: {changed}\n"
        f"tampered: {path}, line 4: {changed}\n"
        f"duplicate: {rows}, row 1: {same}\n"
    )
    assert err == (
        "error: faults: 3; sound rows: 3; files: 2\n"
        "  measure again what is wrong: vgbench eval RUN_DIR\n"
    )
    found = json.loads(vgbench("--json", "leaderboard", "check", path)[1])
    assert [fault["kind"] for fault in found["faults"]] == ["tampered", "tampered"]


def test_check_remarks_on_what_is_ranked_apart(vgbench, tmp_path):
    path = tmp_path / "board.csv"
    write_text(path, to_csv([ROW, made(n_real=128)]))
    code, out, _ = vgbench("leaderboard", "check", path)
    assert (code, out) == (
        0,
        f"remark: {path}, line 3: hED16 under hed16/demo@1 has n_real 128 and not 256, as in "
        f"{path}, line 2: ranked apart\nno faults; sound rows: 2; files: 1\n",
    )


def test_add(vgbench, runs, tmp_path):
    board = tmp_path / "board.csv"
    theirs = tmp_path / "theirs.json"
    write_text(theirs, to_json([made(model="new"), ROW]))
    code, out, _ = vgbench("leaderboard", "add", theirs, "-o", board)
    assert (code, out) == (0, f"added 2 rows to {board}, which has 2\n")
    code, out, _ = vgbench("leaderboard", "add", theirs, runs, "-o", board)
    assert (code, out) == (0, f"added 1 rows to {board}, which has 3\n")
    assert [row.model for row in read_rows(board)] == ["new", "g3an", "b"]
    before = board.read_bytes()
    write_text(theirs, to_json([made(value=1.0)]))
    assert vgbench("leaderboard", "add", theirs, "-o", board)[::2] == (
        3,
        "error: g3an under hed16/demo@1: the board has 0.30000000000000004 for the measurement "
        "that is 1.0 here\n  see what differs: vgbench leaderboard diff BOARD FILE\n",
    )
    theirs.write_text(to_json([ROW]).replace("0.30000000000000004", "0.2"))
    code, _, err = vgbench("leaderboard", "add", theirs, "-o", board)
    assert (code, "the row was changed after it was measured" in err) == (3, True)
    assert board.read_bytes() == before


def test_diff(vgbench, tmp_path):
    before, after = tmp_path / "a.csv", tmp_path / "b.csv"
    write_text(before, to_csv([ROW, made(model="gone")]))
    write_text(after, to_csv([made(value=1.0, note="x\ny"), made(model="new")]))
    code, out, _ = vgbench("leaderboard", "diff", before, after)
    what = "shapes hed16/demo@1 cccccc seeds 0 0"
    assert (code, out) == (
        0,
        f"- gone {what}  0.3\n+ new {what}  0.3\n"
        f"~ g3an {what}  value 0.30000000000000004 -> 1.0, note  -> x\\ny\n"
        "1 removed, 1 added, 1 changed\n",
    )
    found = json.loads(vgbench("--json", "leaderboard", "diff", before, after)[1])
    assert [row["model"] for row in found["removed"] + found["added"]] == ["gone", "new"]
    assert found["changed"][0]["value"] == [ROW.value, 1.0]


REFUSED = {
    ("export", "-o", "TMP/x.xls"): (
        2,
        "error: --output TMP/x.xls: 'xls' is no format; choose from csv, md, html\n",
    ),
    ("export", "--format", "md,pdf"): (
        2,
        "error: --format md,pdf: 'pdf' is no format; choose from csv, md, html\n",
    ),
    ("export", "-o", "TMP/x.html", "TMP/board.csv"): (
        2,
        "error: TMP/board.csv: the HTML report shows samples and curves, which a CSV has not\n"
        "  give run folders: vgbench leaderboard export --format html runs/\n",
    ),
    ("diff", "TMP/board.csv", "TMP/none.csv"): (
        3,
        "error: TMP/none.csv does not exist; give a run folder or a file of its eval/\n",
    ),
    ("add", "TMP/board.csv", "-o", "TMP/old.csv"): (
        3,
        "error: TMP/old.csv: no column dataset, metric, value, ci_lo, ci_hi and 38 more\n"
        "  vgbench leaderboard check TMP/old.csv\n",
    ),
    ("show", "--sort", "fvd16", "TMP/empty.csv"): (
        2,
        "error: no row of a metric or protocol 'fvd16'; metrics that have any: none\n",
    ),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_refusals(vgbench, tmp_path, words):
    write_text(tmp_path / "board.csv", to_csv([ROW]))
    write_text(tmp_path / "empty.csv", to_csv([]))
    write_text(tmp_path / "old.csv", "model\r\ng3an\r\n")
    code, text = REFUSED[words]
    words = [word.replace("TMP", str(tmp_path)) for word in words]
    assert vgbench("leaderboard", *words)[::2] == (code, text.replace("TMP", str(tmp_path)))


@pytest.mark.parametrize("formats", ["csv,xls", "csv,html"])
def test_nothing_is_written_when_an_export_is_refused(vgbench, tmp_path, formats):
    write_text(tmp_path / "board.csv", to_csv([ROW]))
    words = ("-o", tmp_path / "x.csv", "--format", formats, tmp_path / "board.csv")
    assert vgbench("leaderboard", "export", *words)[0] == 2
    assert not (tmp_path / "x.csv").exists()
