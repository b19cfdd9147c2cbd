"""Intervals: influence is a derivative, and 95 % of intervals hold what they are about."""

import numpy as np
import pytest

from vgbench.metrics.frechet import frechet_distance, frechet_influence
from vgbench.metrics.interval import bootstrap_interval
from vgbench.metrics.kernel import (
    RationalQuadratic,
    minus_distance,
    mmd,
    mmd_influence,
    mmd_subsets,
    mmd_subsets_influence,
)


def rows(n, d, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


def weighted_distance(x, w, y):
    """Returns the Fréchet distance with row weights, covariances by their definition."""
    mean = w @ x / w.sum()
    cov_x = (x - mean).T * w @ (x - mean) / (w.sum() - 1)
    cov_y = np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(cov_x)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    product = np.linalg.eigvalsh(root @ cov_y @ root)
    trace_sqrt = np.sqrt(np.maximum(product, 0)).sum()
    shift = mean - y.mean(axis=0)
    return shift @ shift + np.trace(cov_x) + np.trace(cov_y) - 2 * trace_sqrt


@pytest.mark.parametrize(("n", "m", "d"), [(30, 40, 4), (60, 25, 10)])
def test_influence_of_a_frechet_distance_is_its_derivative(n, m, d):
    x, y = rows(n, d, 0), rows(m, d, 1, shift=0.4, scale=1.3)
    in_x, in_y = frechet_influence(x, y)
    step, expected = 1e-5, []
    for i in range(n):
        up, down = np.ones(n), np.ones(n)
        up[i], down[i] = 1 + step, 1 - step
        expected.append((weighted_distance(x, up, y) - weighted_distance(x, down, y)) / (2 * step))
    np.testing.assert_allclose(in_x, np.array(expected) - np.mean(expected), atol=1e-6)
    np.testing.assert_allclose(in_y, frechet_influence(y, x)[0], atol=1e-12)
    assert abs(in_x.sum()) + abs(in_y.sum()) < 1e-10


def test_influence_where_covariances_are_singular():
    x, y = rows(12, 30, 0), rows(15, 30, 1, scale=2.0)
    in_x, _ = frechet_influence(x, y)
    assert np.isfinite(in_x).all()
    assert abs(in_x.sum()) < 1e-10
    same = frechet_influence(x, x.copy())
    assert max(np.abs(part).max() for part in same) < 1e-9


@pytest.mark.parametrize(("n", "shift"), [(40, 0.0), (40, 0.5), (120, 0.5)])
def test_the_spread_is_that_of_fresh_sets(n, shift):
    d = 30
    draws = [(rows(n, d, s), rows(n, d, 500 + s, shift, 1.1)) for s in range(60)]
    actual = np.std([frechet_distance(x, y) for x, y in draws], ddof=1)
    errors = [
        bootstrap_interval(0.0, frechet_influence(x, y)).standard_error for x, y in draws[:10]
    ]
    assert 0.75 < np.mean(errors) / actual < 1.7


def coverage(statistic, influence, expected, draws):
    hits = 0
    for x, y in draws:
        interval = bootstrap_interval(statistic(x, y), influence(x, y))
        hits += interval.low <= expected <= interval.high
    return hits / len(draws)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_frechet_intervals_hold_the_expected_number(shift):
    n, d, count = 150, 8, 120
    draws = [(rows(n, d, s), rows(n, d, 9000 + s, shift, 1.1)) for s in range(count)]
    expected = np.mean([frechet_distance(x, y) for x, y in draws])
    assert coverage(frechet_distance, frechet_influence, expected, draws) >= 0.88


@pytest.mark.parametrize("kernel", [minus_distance, RationalQuadratic(8.0)])
def test_kernel_intervals_hold_the_population_value(kernel):
    n, d, shift, count = 100, 4, 0.4, 120
    draws = [(rows(n, d, s), rows(n, d, 9000 + s, shift)) for s in range(count)]
    expected = np.mean([mmd(x, y, kernel) for x, y in draws])
    hit = coverage(
        lambda x, y: mmd(x, y, kernel), lambda x, y: mmd_influence(x, y, kernel), expected, draws
    )
    assert hit >= 0.88


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_intervals_of_subsets_hold_the_population_value(shift):
    n, d, count = 80, 4, 80
    draws = [(rows(n, d, s), rows(n, d, 9000 + s, shift)) for s in range(count)]
    expected = np.mean([mmd(x, y) for x, y in draws])
    few = {"size": 24, "subsets": 12}  # a row is in 3.6 of them, as with 100 of 1000 from 28 000
    hit = coverage(
        lambda x, y: mmd_subsets(x, y, **few)[0],
        lambda x, y: mmd_subsets_influence(x, y, **few),
        expected,
        draws,
    )
    assert hit >= 0.88


def test_rows_of_one_video_are_resampled_together():
    x, y = rows(40, 3, 0), rows(40, 3, 1, shift=0.5)
    repeated = np.repeat(x, 16, axis=0)
    videos = np.repeat(np.arange(40), 16)
    naive = bootstrap_interval(0.0, mmd_influence(repeated, y, minus_distance))
    grouped = bootstrap_interval(
        0.0, mmd_influence(repeated, y, minus_distance), videos=(videos, None)
    )
    single = bootstrap_interval(0.0, mmd_influence(x, y, minus_distance))
    assert grouped.standard_error == pytest.approx(single.standard_error, rel=0.1)
    assert naive.standard_error < 0.9 * grouped.standard_error


def test_keyed_and_degenerate():
    influence = mmd_influence(rows(20, 3, 0), rows(20, 3, 1))
    assert bootstrap_interval(1.0, influence) == bootstrap_interval(1.0, influence)
    assert bootstrap_interval(1.0, influence) != bootstrap_interval(1.0, influence, seed=1)
    flat = bootstrap_interval(2.0, (np.zeros(4), np.zeros(3)))
    assert (flat.low, flat.high, flat.standard_error) == (2.0, 2.0, 0.0)
