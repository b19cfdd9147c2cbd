"""Leaderboard rows: written, read back, and ranked only with their like."""

import csv
import json
from dataclasses import replace

import pytest

from vgbench.errors import DataError
from vgbench.report.rows import (
    COLUMNS,
    RANKING_KEY,
    LeaderboardRow,
    collect,
    ranked,
    read_json,
    to_json,
    write_csv,
)

ROW = LeaderboardRow(
    model="g3an",
    dataset="shapes",
    metric="hED16",
    value=0.1 + 0.2,
    ci_lo=None,
    ci_hi=None,
    floor=0.001,
    null_mean=0.0,
    null_sd=0.002,
    null_z=150.0,
    higher_is_better=False,
    protocol_id="hed16/demo@1",
    protocol_hash="abc",
    feature_net="jet",
    feature_net_sha256="",
    weights_identity="handcrafted",
    preprocess_id="yuv601-l3",
    n_real=256,
    n_fake=256,
    n_real_videos=256,
    n_fake_videos=256,
    frames=16,
    stride=1,
    resolution="32x32",
    fps=25.0,
    dataset_fingerprint="f" * 64,
    split="train",
    seed_data=0,
    seed_gen=0,
    ddof=1,
    checkpoint_sha256="c" * 64,
    clips_seen=8000,
    selection="none",
    precision="fp32",
    device="cpu",
    vgbench_version="0.1.0",
    torch_version="2.13.0",
    date="2026-01-01T00:00:00Z",
    note="",
)


def test_json_round_trip(tmp_path):
    (tmp_path / "run" / "eval").mkdir(parents=True)
    path = tmp_path / "run" / "eval" / "a.json"
    path.write_text(to_json([ROW, replace(ROW, value=1.0)]))
    assert read_json(path) == [ROW, replace(ROW, value=1.0)]
    assert collect([tmp_path]) == collect([path]) == collect([tmp_path / "run"])


@pytest.mark.parametrize("text", ["", "[]", '{"rows": [{"model": "x"}]}', '{"rows": 3}'])
def test_foreign_files_are_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match="is not an evaluation file"):
        read_json(path)


def test_missing_path_is_named(tmp_path):
    with pytest.raises(DataError, match="does not exist; give a run folder"):
        collect([tmp_path / "none"])


def test_csv_keeps_every_digit_and_character(tmp_path):
    nasty = 'a "quoted", note\nwith ünïcode 🎬'
    write_csv([ROW, replace(ROW, clips_seen=None, note=nasty)], tmp_path / "out" / "board.csv")
    with (tmp_path / "out" / "board.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["value"]) == ROW.value
    assert (rows[0]["clips_seen"], rows[1]["clips_seen"]) == ("8000", "")
    assert rows[1]["note"] == nasty


def test_empty_board_has_its_header(tmp_path):
    write_csv([], tmp_path / "board.csv")
    assert (tmp_path / "board.csv").read_bytes() == (",".join(COLUMNS) + "\r\n").encode()


def test_rows_of_different_keys_never_share_a_ranking():
    rows = [
        replace(ROW, value=3.0),
        replace(ROW, value=1.0, model="other"),
        replace(ROW, value=0.5, protocol_hash="changed"),
        replace(ROW, value=0.5, dataset_fingerprint="0" * 64),
        replace(ROW, value=float("nan")),
    ]
    groups = ranked(rows)
    assert sorted(len(group) for group in groups) == [1, 1, 3]
    largest = max(groups, key=len)
    assert [row.value for row in largest[:2]] == [1.0, 3.0]


# All that the specification of rows names; what a row has besides is ours.
MANDATORY = [
    "metric",
    "value",
    "ci_lo",
    "ci_hi",
    "protocol_id",
    "feature_net",
    "feature_net_sha256",
    "weights_identity",
    "preprocess_id",
    "n_real",
    "n_fake",
    "n_real_videos",
    "n_fake_videos",
    "frames",
    "stride",
    "resolution",
    "dataset_fingerprint",
    "split",
    "seed_data",
    "seed_gen",
    "ddof",
    "checkpoint_sha256",
    "selection",
    "precision",
    "device",
    "vgbench_version",
    "date",
]
KEY = [
    "metric",
    "protocol_id",
    "feature_net_sha256",
    "preprocess_id",
    "n_real",
    "n_fake",
    "frames",
    "stride",
    "resolution",
    "dataset_fingerprint",
    "split",
    "ddof",
    "precision",
]


def test_a_row_has_every_column():
    assert set(MANDATORY) <= set(COLUMNS)
    assert set(KEY) <= set(RANKING_KEY) <= set(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert (COLUMNS[0], COLUMNS[-1]) == ("model", "note")


def test_a_mixed_board_is_never_ranked_across_keys():
    changed = {
        "metric": "FD16[jet:0]",
        "resolution": "64x64",
        "source": "paper",
        "protocol_id": "hed16/vgbench@1",
        "feature_net_sha256": "1" * 64,
        "preprocess_id": "yuv601-l4",
        "dataset_fingerprint": "0" * 64,
        "split": "test",
        "precision": "bf16",
        "dataset": "other",
        "protocol_hash": "def",
    } | dict.fromkeys(("n_real", "n_fake", "frames", "stride", "ddof"), 7)
    assert set(changed) == set(RANKING_KEY)
    others = [replace(ROW, value=0.0, **{name: value}) for name, value in changed.items()]
    free = [replace(ROW, model=f"m{i}", value=9.0 - i, seed_gen=i, device=str(i)) for i in range(5)]
    groups = ranked([*others, *free, ROW])
    assert sorted(len(group) for group in groups) == [1] * len(others) + [6]
    (board,) = (group for group in groups if len(group) == 6)
    assert [row.value for row in board] == sorted(row.value for row in board)
    assert all(len({row.ranking_key for row in group}) == 1 for group in groups)


def test_higher_is_better_is_ranked_the_other_way():
    rows = [replace(ROW, value=v, higher_is_better=True) for v in (1.0, 2.0)]
    assert [row.value for row in ranked(rows)[0]] == [2.0, 1.0]


def test_json_is_plain():
    assert json.loads(to_json([ROW]))["rows"][0]["model"] == "g3an"
