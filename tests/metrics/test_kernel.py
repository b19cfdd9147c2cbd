"""Kernel discrepancies: definition, unbiasedness, response, and the influence of rows."""

import numpy as np
import pytest

from vgbench.errors import DataError, ProtocolError
from vgbench.metrics import kernel
from vgbench.metrics.kernel import (
    RationalQuadratic,
    cubic,
    minus_distance,
    mmd,
    mmd_influence,
    mmd_of_splits,
    mmd_subsets,
    quadratic,
)

KERNELS = [cubic, quadratic, minus_distance, RationalQuadratic(3.0)]


def rows(n, d, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("k", KERNELS)
@pytest.mark.parametrize("estimate", ["unbiased", "biased", "u-statistic"])
def test_equals_its_definition(k, estimate):
    x, y = rows(9, 3), rows(9, 3, 1, shift=0.4)
    xx, yy, xy = k(x, x), k(y, y), k(x, y)
    n = 9
    within = n * n if estimate == "biased" else n * (n - 1)
    if estimate != "biased":
        np.fill_diagonal(xx, 0)
        np.fill_diagonal(yy, 0)
    between = n * n
    if estimate == "u-statistic":
        np.fill_diagonal(xy, 0)
        between = n * (n - 1)
    expected = xx.sum() / within + yy.sum() / within - 2 * xy.sum() / between
    assert mmd(x, y, k, estimate=estimate) == pytest.approx(expected, rel=1e-12)


def test_kernels_by_hand():
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0, -1.0]])
    assert cubic(x, y)[0, 0] == pytest.approx((0.5 + 1) ** 3)
    assert quadratic(x, y)[0, 0] == pytest.approx(0.25)
    assert minus_distance(x, y)[0, 0] == pytest.approx(-np.sqrt(13))
    bounded = RationalQuadratic(1.0)
    assert bounded(x, x)[0, 0] == 1
    assert 0 < bounded(x, y + 1e6)[0, 0] < 0.01
    assert RationalQuadratic.of(np.array([[0.0, 0.0], [2.0, 4.0]])).scale == pytest.approx(5)


@pytest.mark.parametrize("k", [cubic, RationalQuadratic(8.0)])
def test_unbiased_over_resamples_of_one_distribution(k):
    values = [mmd(rows(40, 8, s), rows(32, 8, 900 + s), k) for s in range(50)]
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 2 * np.std(values, ddof=1) / np.sqrt(len(values))


def test_the_biased_estimate_is_biased():
    values = [mmd(rows(40, 8, s), rows(40, 8, 900 + s), estimate="biased") for s in range(20)]
    assert min(values) > 0


@pytest.mark.parametrize("k", KERNELS)
def test_monotone_in_noise(k):
    x, y = rows(200, 6), rows(200, 6, 1)
    noise = rows(200, 6, 2)
    values = [mmd(x, y + level * noise, k) for level in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)
    assert values[-1] > 5 * abs(values[0])


@pytest.mark.parametrize("k", KERNELS)
def test_influence_is_the_derivative_by_the_weight_of_a_row(k):
    x, y = rows(12, 4), rows(15, 4, 1, shift=0.3)
    in_x, in_y = mmd_influence(x, y, k)
    assert abs(in_x.sum()) < 1e-12
    assert abs(in_y.sum()) < 1e-12

    def weighted(w):
        xx, yy, xy = k(x, x), k(y, y), k(x, y)
        np.fill_diagonal(xx, 0)
        np.fill_diagonal(yy, 0)
        u = np.full(15, 1 / 15)
        pairs = w.sum() ** 2 - (w**2).sum()
        return w @ xx @ w / pairs + yy.sum() / (15 * 14) - 2 * (w / w.sum()) @ xy @ u

    step, expected = 1e-6, []
    for i in range(12):
        up, down = np.ones(12), np.ones(12)
        up[i], down[i] = 1 + step, 1 - step
        expected.append((weighted(up) - weighted(down)) / (2 * step))
    np.testing.assert_allclose(in_x, np.array(expected) - np.mean(expected), atol=1e-8)


def test_blocks_do_not_matter(monkeypatch):
    x, y = rows(30, 5), rows(21, 5, 1)
    whole, influence = mmd(x, y), mmd_influence(x, y)
    monkeypatch.setattr(kernel, "_BLOCK_NUMBERS", 100)
    assert mmd(x, y) == pytest.approx(whole, rel=1e-12)
    np.testing.assert_allclose(mmd_influence(x, y)[0], influence[0], rtol=1e-10)


@pytest.mark.parametrize("biased", [False, True])
def test_splits_are_scored_one_by_one(biased):
    pooled = rows(20, 3)
    splits = np.random.default_rng(1).random((20, 5)) < 0.4
    estimate = "biased" if biased else "unbiased"
    expected = [mmd(pooled[s], pooled[~s], estimate=estimate) for s in splits.T]
    np.testing.assert_allclose(mmd_of_splits(pooled, splits, biased=biased), expected, rtol=1e-9)


def test_subsets():
    x, y = rows(60, 4), rows(50, 4, 1, shift=0.5)
    mean, sd = mmd_subsets(x, y, size=30, subsets=40)
    assert mean == pytest.approx(mmd(x, y), abs=3 * sd)
    assert mmd_subsets(x, y, size=30, subsets=40) == (mean, sd)
    assert mmd_subsets(x, y, size=30, subsets=40, seed=1) != (mean, sd)
    with pytest.raises(ProtocolError, match=r"subsets of 1000 .* got 60 and 50"):
        mmd_subsets(x, y)


def test_regression_values():
    x = np.sin(np.arange(60.0)).reshape(20, 3)
    y = np.cos(np.arange(45.0) ** 1.1).reshape(15, 3) * 1.2
    values = [mmd(x, y), mmd(x, y, quadratic), mmd(x, y, RationalQuadratic.of(x))]
    np.testing.assert_allclose(
        values, [-0.08588651184158502, 0.055201260352956805, -0.009585308834314743], rtol=1e-12
    )


def test_refusals():
    with pytest.raises(ProtocolError, match="got 1 and 4"):
        mmd(rows(1, 2), rows(4, 2))
    with pytest.raises(ProtocolError, match="one size, got 3 and 4"):
        mmd(rows(3, 2), rows(4, 2), estimate="u-statistic")
    with pytest.raises(DataError, match="not finite"):
        mmd(rows(4, 2) * np.nan, rows(4, 2))
