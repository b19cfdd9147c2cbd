"""The square-root route: the same distance where it is accurate, its known errors where not."""

import numpy as np
import pytest

from vgbench.errors import DataError, ProtocolError
from vgbench.metrics.frechet import frechet_distance
from vgbench.metrics.frechet_roots import frechet_distance_by_roots


def rows(n, d, seed, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale


@pytest.mark.parametrize("ddof", [0, 1])
def test_agrees_on_full_rank_sets(ddof):
    x, y = rows(200, 12, 0), rows(150, 12, 1, 1.4) + 0.3
    exact = frechet_distance(x, y, ddof=ddof)
    assert frechet_distance_by_roots(x, y, ddof=ddof) == pytest.approx(exact, rel=1e-7)
    single = frechet_distance_by_roots(x, y, ddof=ddof, dtype=np.float32)
    assert single == pytest.approx(exact, rel=1e-4)
    assert single != frechet_distance_by_roots(x, y, ddof=ddof)


def test_closed_form():
    x = np.array([[-1.0], [1.0]])
    assert frechet_distance_by_roots(x, 3 * x + 2, ddof=0) == pytest.approx(4 + (3 - 1) ** 2)


def test_small_singular_values_are_left_as_they_are():
    x = np.array([[-1.0], [1.0]]) * 1e-6  # variance 1e-12, whose root would be 1e-6
    assert frechet_distance_by_roots(x, x, ddof=0) == pytest.approx(2e-12, rel=1e-6)
    assert frechet_distance(x, x, ddof=0) == 0


def test_refusals():
    with pytest.raises(ProtocolError, match="got 1 and 4"):
        frechet_distance_by_roots(rows(1, 2, 0), rows(4, 2, 0))
    with pytest.raises(DataError, match="not finite"):
        frechet_distance_by_roots(rows(4, 2, 0) * np.nan, rows(4, 2, 0))
