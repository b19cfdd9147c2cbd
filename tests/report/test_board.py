"""The board: what is pooled, what is ranked with what, and who is better for certain."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from tests.report.made import ROW, made, many
from vgbench.errors import DataError, UsageError
from vgbench.report.board import board, rank, sort_by
from vgbench.report.rows import RANKING_KEY


def names(table):
    return [entry.model for entry in table.entries]


def test_seeds_are_pooled_to_mean_and_deviation():
    values = [0.5, 0.7, 0.9]
    rows = [made(value=v, seed_train=i, checkpoint_sha256=str(i)) for i, v in enumerate(values)]
    (table,) = board([*reversed(rows), made(model="other", value=2.0, ci_lo=1.5, ci_hi=2.5)])
    pooled, other = table.entries
    assert (pooled.model, pooled.n, pooled.rows) == ("g3an", 3, tuple(rows))
    assert pooled.mean == pytest.approx(0.7)
    assert pooled.sd == pytest.approx(statistics.stdev(values))
    expected = stats.t.interval(0.95, 2, loc=0.7, scale=stats.sem(values))
    assert (pooled.lo, pooled.hi) == pytest.approx(expected)
    assert not pooled.is_one_training
    assert (other.mean, other.sd, other.n, other.lo, other.hi) == (2.0, None, 1, 1.5, 2.5)


def test_configurations_are_entries_of_their_own():
    rows = [
        made(config='{"channels": 8, "mode": "3d"}', config_sha256="a" * 64, value=1.0),
        made(config='{"channels": 16, "mode": "3d"}', config_sha256="b" * 64, value=2.0),
        made(config='{"mode": "3d"}', config_sha256="c" * 64, value=3.0),
        made(model="styleganv", config='{"w_dim": 4}', config_sha256="d" * 64, value=4.0),
    ]
    (table,) = board(rows)
    assert names(table) == ["g3an channels=8", "g3an channels=16", "g3an", "styleganv"]
    assert [entry.n for entry in table.entries] == [1] * 4


def test_what_options_do_not_tell_the_hash_does():
    many_options = '{"a": 1, "b": 1, "c": 1, "d": 1}'
    rows = [
        made(value=1.0, config='{"a": 2}', config_sha256="1" * 64),
        made(value=2.0, config='{"a": 2}', config_sha256="2" * 64),
        made(value=3.0, config=many_options, config_sha256="3" * 64),
        made(value=4.0, config="", config_sha256="4" * 64),
        made(value=5.0, config="", config_sha256=""),
    ]
    expected = ["g3an a=2 #111111", "g3an a=2 #222222", "g3an #333333", "g3an #444444", "g3an"]
    assert names(board(rows)[0]) == expected


def test_the_latest_checkpoint_stands_for_a_training():
    rows = [
        made(value=v, clips_seen=clips, seed_train=seed)
        for v, clips, seed in ((9.0, 0, 0), (3.0, 6000, 0), (2.0, 9000, 0), (9.0, 6000, 1))
    ]
    (entry,) = board(rows)[0].entries
    assert [row.value for row in entry.rows] == [2.0], "no mean over unequal lengths"
    (table,) = board(rows, every_checkpoint=True)
    assert names(table) == ["g3an kclips=9", "g3an kclips=6", "g3an kclips=0"]
    assert [entry.n for entry in table.entries] == [1, 2, 1]


def test_a_chosen_checkpoint_is_an_entry_of_its_own():
    best = [
        made(value=1.0 + s, clips_seen=c, seed_train=s, selection=f"best-of-{3 + s} by hED16")
        for s, c in ((0, 6000), (1, 7000))
    ]
    (table,) = board([*best, made(value=3.0, clips_seen=9000)])
    assert names(table) == ["g3an best-by=hED16", "g3an"]
    assert [entry.n for entry in table.entries] == [2, 1]


def test_names_are_the_same_in_all_tables_of_a_data_set():
    one, two = ({"config": f'{{"a": {i}}}', "config_sha256": str(i) * 64} for i in (1, 2))
    other = {"metric": "hFD16", "protocol_id": "hfd16/demo@1"}
    tables = board([made(**one), made(value=1.0, **two), made(**one, **other)])
    assert [names(table) for table in tables] == [["g3an a=1", "g3an a=2"], ["g3an a=1"]]


def test_sets_of_videos_of_one_training_are_no_trainings():
    sets = [made(value=v, seed_gen=i) for i, v in enumerate((1.0, 2.0))]
    (entry,) = board(sets)[0].entries
    assert (entry.n, entry.mean, entry.is_one_training) == (2, 1.5, True)
    (entry,) = board([*sets, made(value=4.0, seed_train=1, seed_gen=5)])[0].entries
    assert [row.value for row in entry.rows] == [1.0, 4.0]


def test_of_a_repeated_measurement_the_newest_counts():
    rows = [
        made(value=v, date=f"2026-01-0{d}T00:00:00Z") for v, d in ((1.0, 2), (2.0, 3), (3.0, 1))
    ]
    assert [entry.mean for entry in board(rows)[0].entries] == [2.0]


def test_foreign_videos_have_no_training():
    foreign = {"seed_train": None, "config": "", "config_sha256": "", "checkpoint_sha256": ""}
    rows = [
        made(model="videos", clips_seen=None, seed_gen=i, value=float(i), **foreign)
        for i in range(3)
    ]
    (entry,) = board(rows)[0].entries
    assert (entry.n, entry.mean, entry.is_one_training) == (3, 1.0, True)


INTERVALS = [  # value, interval, rank, ties
    (1.0, (0.5, 1.5), 1, ("b",)),
    (1.4, (1.2, 2.2), 1, ("a", "c")),
    (2.0, (1.8, 2.3), 2, ("b",)),
    (3.0, (None, None), 4, ()),
    (math.inf, (None, None), None, ()),
    (math.nan, (None, None), None, ()),
]


@pytest.mark.parametrize("sign", [1, -1])
def test_rank_and_ties_follow_the_intervals(sign):
    rows = []
    for name, (value, (low, high), _, _) in zip("abcdef", INTERVALS, strict=True):
        ends = (low, high) if low is None else sorted((sign * low, sign * high))
        row = made(model=name, value=sign * value, higher_is_better=sign < 0)
        rows.append(made(**{**vars(row), "ci_lo": ends[0], "ci_hi": ends[1]}))
    (table,) = board(rows[::-1])
    found = [(e.model, e.rank, e.ties) for e in table.entries]
    expected = [(n, *one[2:]) for n, one in zip("abcdef", INTERVALS, strict=True)]
    assert found[:4] == expected[:4]
    assert sorted(found[4:]) == sorted(expected[4:])


def test_ranks_count_who_is_certainly_better():
    rng = np.random.default_rng(0)
    rows = [
        made(model=f"m{i}", value=v, ci_lo=v - h, ci_hi=v + h)
        for i, (v, h) in enumerate(rng.random((40, 2)) * (1, 0.1))
    ]
    for entry in board(rows)[0].entries:
        better = [row for row in rows if row.ci_hi < entry.lo]
        overlapping = {row.model for row in rows if row.ci_lo <= entry.hi and row.ci_hi >= entry.lo}
        assert entry.rank == 1 + len(better)
        assert set(entry.ties) <= overlapping - {entry.model}
        assert len(entry.ties) == min(8, len(overlapping) - 1)


CHANGED = {
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


def test_a_mixed_board_is_never_ranked_across_keys():
    assert set(CHANGED) == set(RANKING_KEY)
    others = [made(value=0.0, **{name: value}) for name, value in CHANGED.items()]
    free = [made(model=f"m{i}", value=9.0 - i, seed_gen=i, device=str(i)) for i in range(5)]
    tables = board([*others, *free, ROW])
    assert sorted(len(table.entries) for table in tables) == [1] * len(others) + [6]
    (largest,) = (table for table in tables if len(table.entries) == 6)
    means = [entry.mean for entry in largest.entries]
    assert means == sorted(means)
    for table in tables:
        assert len({row.ranking_key for entry in table.entries for row in entry.rows}) == 1


@pytest.mark.parametrize("name", CHANGED)
def test_rows_of_different_keys_are_refused_a_rank(name):
    text = f"^rows that differ in {name} are never ranked together$"
    with pytest.raises(DataError, match=text):
        rank({"a": [ROW], "b": [made(**{name: CHANGED[name]})]})


def test_rows_copied_from_papers_have_no_rank():
    rows = [made(model=m, value=v, source="paper") for m, v in (("b", 2.0), ("a", 1.0))]
    (table,) = board(rows)
    assert [(e.model, e.rank, e.ties) for e in table.entries] == [("a", None, ()), ("b", None, ())]


def test_sorting_by_a_metric():
    other = {"metric": "hFD16", "protocol_id": "hfd16/demo@1"}
    rows = [made(model=m, value=v) for m, v in (("a", 1.0), ("b", 2.0))]
    rows += [made(model=m, value=v, **other) for m, v in (("b", 1.0), ("a", 2.0), ("c", 0.0))]
    tables = board(rows)
    assert [table.first.metric for table in tables] == ["hED16", "hFD16"]
    for name in ("hfd16", "hFD16", "hfd16/demo@1"):
        first, second = sort_by(tables, name)
        assert (names(first), names(second)) == (["c", "b", "a"], ["b", "a"])
    with pytest.raises(UsageError, match=r"'fvd'; metrics that have any: hED16, hFD16$"):
        sort_by(tables, "fvd")


def test_an_empty_board():
    assert board([]) == []


def test_two_hundred_rows():
    tables = board(many(200))
    assert len(tables) == 3
    assert sum(entry.n for table in tables for entry in table.entries) == 200
    for table in tables:
        assert names(table) == [f"method{i}" for i in range(10)]
