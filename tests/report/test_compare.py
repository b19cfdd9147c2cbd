"""Two runs against each other: what may be subtracted, and how sure the difference is."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.report.made import ROW as ANY_ROW
from vgbench.report.compare import (
    difference_interval,
    flatten,
    metric_differences,
    option_differences,
)

ROW = replace(ANY_ROW, value=2.0, ci_lo=1.7, ci_hi=2.4)
OTHER = replace(ROW, value=1.0, ci_lo=0.6, ci_hi=1.3)


def test_only_options_that_differ():
    a = {"model": {"lr": 0.1, "frames": 16, "nested": {"x": None}}, "seed": 0, "only_a": []}
    b = {"model": {"lr": 0.2, "frames": 16, "nested": {"x": 1}}, "seed": 0, "only_b": "text"}
    found = [(one.name, one.a, one.b) for one in option_differences(a, b)]
    assert found == [
        ("model.lr", "0.1", "0.2"),
        ("model.nested.x", "", "1"),
        ("only_a", "[]", None),
        ("only_b", None, "text"),
    ]
    assert option_differences(a, a) == []
    assert flatten({}) == {}


def test_the_interval_of_a_difference():
    (one,) = metric_differences([ROW], [OTHER]).differences
    assert one.value == -1.0
    assert one.lo == pytest.approx(-1.0 - math.hypot(0.4, 0.4))
    assert one.hi == pytest.approx(-1.0 + math.hypot(0.3, 0.3))
    assert one.verdict == "b is better"
    (back,) = metric_differences([OTHER], [ROW]).differences
    assert (back.lo, back.hi) == pytest.approx((-one.hi, -one.lo))
    assert back.verdict == "a is better"


def test_normal_intervals_give_the_normal_interval_and_cover():
    rng = np.random.default_rng(0)
    sd_a, sd_b, truth, hits = 0.3, 0.5, -1.0, 0
    for a, b in rng.normal((2.0, 1.0), (sd_a, sd_b), (2000, 2)).tolist():
        row_a = replace(ROW, value=a, ci_lo=a - 1.96 * sd_a, ci_hi=a + 1.96 * sd_a)
        row_b = replace(ROW, value=b, ci_lo=b - 1.96 * sd_b, ci_hi=b + 1.96 * sd_b)
        lo, hi = difference_interval(row_a, row_b)
        assert hi - lo == pytest.approx(2 * 1.96 * math.hypot(sd_a, sd_b))
        hits += lo <= truth <= hi
    assert hits / 2000 == pytest.approx(0.95, abs=0.015)


def test_the_verdict_follows_direction_and_interval():
    def verdict(a, b):
        (one,) = metric_differences([a], [b]).differences
        return one.verdict

    higher = [replace(row, higher_is_better=True) for row in (ROW, OTHER)]
    assert verdict(*higher) == "a is better"
    near = replace(ROW, value=2.1, ci_lo=1.8, ci_hi=2.5)
    assert verdict(ROW, near) == "not told apart"
    bare = replace(OTHER, ci_lo=None, ci_hi=None)
    assert verdict(ROW, bare) == verdict(bare, ROW) == "unknown: a row has no interval"
    assert verdict(ROW, replace(OTHER, value=math.nan)) == "not told apart"


def test_rows_of_different_keys_are_not_subtracted():
    changed = replace(OTHER, n_fake=128, precision="bf16")
    found = metric_differences([ROW], [changed])
    assert found.differences == ()
    (refused,) = found.refused
    assert refused.metric == ROW.metric
    assert refused.reason == "n_fake 256 against 128; precision fp32 against bf16"


def test_what_one_run_lacks_is_named():
    other = replace(OTHER, metric="hFD16", protocol_id="hfd16/demo@1")
    found = metric_differences([ROW], [OTHER, other])
    assert [one.a.metric for one in found.differences] == [ROW.metric]
    assert [(one.metric, one.reason) for one in found.refused] == [
        ("hFD16", "not measured of run a")
    ]
    (only,) = metric_differences([ROW], []).refused
    assert only.reason == "not measured of run b"
    assert metric_differences([], []) == metric_differences([], [])


def test_the_furthest_checkpoint_counts():
    rows = [
        replace(ROW, clips_seen=100, value=9.0),
        replace(ROW, clips_seen=300, value=5.0, seed_gen=1),
        replace(ROW, clips_seen=300, value=4.0, seed_gen=0),
    ]
    (one,) = metric_differences(rows, [OTHER]).differences
    assert (one.a.value, one.value) == (4.0, -3.0)
