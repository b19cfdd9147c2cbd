"""Leaving out one row: equal to computing the share anew; and intervals that hold it."""

import numpy as np
import pytest

from vgbench.errors import ProtocolError
from vgbench.metrics import manifold_influence as module
from vgbench.metrics.interval import Interval, bootstrap_interval, share_interval
from vgbench.metrics.manifold import manifold_shares
from vgbench.metrics.manifold_influence import manifold_influence

SHARES = ("precision", "recall", "density", "coverage")


def rows(n, d, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


def value(share, x, y, k=5):
    return getattr(manifold_shares(x, y, k=k), share)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("k", [1, 3])
def test_equals_computing_the_share_without_the_row(share, k, monkeypatch):
    x, y = rows(24, 3, 0), rows(19, 3, 1, shift=0.4, scale=1.3)
    y[3] = y[4] = y[5]  # balls without extent
    in_x = np.array([value(share, np.delete(x, i, axis=0), y, k) for i in range(len(x))])
    in_y = np.array([value(share, x, np.delete(y, i, axis=0), k) for i in range(len(y))])
    assert in_x.std() > 0 < in_y.std()
    for numbers in (2**20, 100):
        monkeypatch.setattr(module, "_BLOCK_NUMBERS", numbers)
        got = manifold_influence(share, x, y, k=k)
        np.testing.assert_allclose(got[0], in_x.mean() - in_x, atol=1e-12)
        np.testing.assert_allclose(got[1], in_y.mean() - in_y, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(("shift", "scale"), [(0.8, 1.0), (0.0, 0.7)])
def test_intervals_hold_the_expected_share(share, shift, scale):
    n, d, count = 100, 4, 50
    draws = [(rows(n, d, s), rows(n, d, 9000 + s, shift, scale)) for s in range(2 * count)]
    values = [value(share, x, y) for x, y in draws]
    intervals = []
    for number, (x, y) in zip(values[:count], draws, strict=False):
        found = bootstrap_interval(number, manifold_influence(share, x, y), replicates=100)
        intervals.append(found if share == "density" else share_interval(found, number, n))
    hits = [one.low <= np.mean(values) <= one.high for one in intervals]
    assert np.mean(hits) >= 0.88
    errors = np.mean([one.standard_error for one in intervals])
    assert 0.9 < errors / np.std(values, ddof=1) < 3


def test_where_all_videos_agree_wilsons_interval_is_left():
    nothing = Interval(1.0, 1.0, 0.0)
    found = share_interval(nothing, 1.0, 100)
    assert (found.low, found.high) == (pytest.approx(100 / (100 + 1.96**2)), 1.0)
    assert share_interval(Interval(-0.2, 1.3, 0.1), 0.5, 100).low == 0.0
    half = share_interval(Interval(0.5, 0.5, 0.0), 0.5, 100)
    assert half.low + half.high == pytest.approx(1)
    assert half.high - half.low == pytest.approx(2 * 0.0962, abs=1e-3)


def test_rows_of_one_video_are_left_out_together():
    x, y = rows(60, 3, 0), rows(15, 3, 1, shift=0.5)
    near = np.repeat(y, 4, axis=0) + rows(60, 3, 2, scale=0.3)
    influence = manifold_influence("precision", x, near)
    apart = bootstrap_interval(0.0, influence).standard_error
    together = bootstrap_interval(0.0, influence, videos=(None, np.repeat(np.arange(15), 4)))
    assert together.standard_error > 1.1 * apart


def test_too_few_to_do_without_one():
    with pytest.raises(ProtocolError, match="more than 6 samples on each side, got 6 and 9"):
        manifold_influence("recall", rows(6, 2, 0), rows(9, 2, 1))
