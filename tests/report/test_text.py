"""Texts and numbers for people."""

import pytest

from tests.report.made import made
from vgbench.report.board import Entry, board
from vgbench.report.text import arrow, clipped, kclips, number, one_line


def test_hidden_characters_are_written_out():
    assert one_line("a\nb\tc\x1b[31m\x00\u2028\u202e\u2066") == (
        r"a\nb\tc\x1b[31m\x00\u2028\u202e\u2066"
    )
    assert one_line("👩‍🔬 ünïcode \u200d") == "👩‍🔬 ünïcode \u200d"


def test_long_texts_are_clipped():
    assert clipped("x" * 10, 10) == "x" * 10
    assert clipped("x" * 11, 10) == "x" * 9 + "…"
    assert len(clipped("\n" * 20, 10)) == 10


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "0.1235"),
        ({"ci_lo": 0.1, "ci_hi": 0.2}, "0.1235 [0.1, 0.2]"),
        ({"value": float("nan")}, "nan"),
        ({"value": 123456.0}, "1.235e+05"),
    ],
)
def test_one_number(values, text):
    ((entry,),) = (table.entries for table in board([made(**{"value": 0.123456, **values})]))
    assert number(entry) == text


def test_kclips_of_a_chosen_checkpoint_differ_by_seed():
    rows = tuple(made(clips_seen=clips) for clips in (3500, 9000, 6000))
    assert kclips(Entry("a", rows, 0.0)) == "3.5..9"
    assert kclips(Entry("a", rows[:1], 0.0)) == "3.5"
    assert kclips(Entry("a", (made(clips_seen=None),), 0.0)) == ""


def test_arrows():
    assert (arrow(made()), arrow(made(higher_is_better=True))) == ("↓", "↑")
