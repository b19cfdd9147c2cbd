"""Closed forms, direct definition and unbiasedness of the energy distance."""

import numpy as np
import pytest

from vgbench.errors import DataError, ProtocolError
from vgbench.metrics import kernel
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.kernel import minus_distance, mmd_of_splits


def direct(x, y):
    """Returns the definition with every pair written out."""

    def mean(a, b, pairs):
        return sum(np.linalg.norm(p - q) for p in a for q in b) / pairs

    n, m = len(x), len(y)
    return 2 * mean(x, y, n * m) - mean(x, x, n * (n - 1)) - mean(y, y, m * (m - 1))


def rows(n, d, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 1), (5, 9, 3), (20, 7, 40)])
def test_equals_its_definition(n, m, d):
    x, y = rows(n, d), rows(m, d, seed=1, shift=0.3)
    assert energy_distance(x, y) == pytest.approx(direct(x, y), rel=1e-12)


def test_two_points_by_hand():
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [5.0]])
    # 2 * mean(2, 5, 1, 4) - 1 - 3
    assert energy_distance(x, y) == pytest.approx(2 * 3.0 - 1 - 3, abs=1e-14)


def test_uniform_grids_on_the_line():
    # for F = U(0, 1), G = U(a, 1 + a), 0 <= a <= 1: 2 ∫ (F - G)² dt = 2 a² - (2/3) a³
    n, a = 2000, 0.4
    grid = ((np.arange(n) + 0.5) / n)[:, None]
    # the grid has no sampling error; what is left is the diagonal: (2 / 3) / (n - 1)
    expected = 2 * a**2 - 2 / 3 * a**3 - 2 / 3 / (n - 1)
    assert energy_distance(grid, grid + a) == pytest.approx(expected, abs=1e-6)


def test_point_masses():
    x, y = np.zeros((3, 2)), np.tile([3.0, 4.0], (5, 1))
    assert energy_distance(x, y) == pytest.approx(10.0)


def test_unbiased_for_equal_distributions():
    values = [energy_distance(rows(16, 4, seed), rows(12, 4, 1000 + seed)) for seed in range(200)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


def test_blocks_and_order_do_not_matter(monkeypatch):
    x, y = rows(40, 6), rows(30, 6, seed=1, shift=0.2)
    whole = energy_distance(x, y)
    monkeypatch.setattr(kernel, "_BLOCK_NUMBERS", 200)
    assert energy_distance(x, y) == pytest.approx(whole, rel=1e-12)
    assert energy_distance(y, x[::-1]) == pytest.approx(whole, rel=1e-12)


def test_splits_are_scored_one_by_one():
    pooled = rows(20, 3)
    splits = np.random.default_rng(1).random((20, 5)) < 0.4
    got = mmd_of_splits(pooled, splits, minus_distance)
    expected = [energy_distance(pooled[s], pooled[~s]) for s in splits.T]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_float32_rows_are_measured_in_float64():
    x, y = rows(30, 5, shift=1000).astype(np.float32), rows(30, 5, seed=1, shift=1000)
    y = y.astype(np.float32)
    assert energy_distance(x, y) == energy_distance(x.astype(np.float64), y.astype(np.float64))


def test_regression_value():
    x = np.sin(np.arange(60.0)).reshape(20, 3)
    y = np.cos(np.arange(45.0) ** 1.1).reshape(15, 3) * 1.2
    assert energy_distance(x, y) == pytest.approx(-0.05640553646751645, rel=1e-12)


def test_refusals():
    with pytest.raises(ProtocolError, match="got 1 and 4"):
        energy_distance(rows(1, 2), rows(4, 2))
    with pytest.raises(DataError, match="not finite"):
        energy_distance(rows(4, 2) * np.nan, rows(4, 2))
