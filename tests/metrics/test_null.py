"""The permutation null: size, power and keys."""

import numpy as np
import pytest

from vgbench.metrics.energy import energy_distance
from vgbench.metrics.frechet import frechet_distance
from vgbench.metrics.null import permutation_null, random_splits
from vgbench.metrics.statistics import two_sample


def rows(n, d, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


@pytest.mark.parametrize("statistic", ["energy", "frechet"])
def test_equal_distributions_score_like_the_null_and_shifted_ones_do_not(statistic):
    x = rows(60, 4)
    scores = [permutation_null(statistic, x, rows(50, 4, seed)).z for seed in range(1, 21)]
    assert abs(np.mean(scores)) < 1
    assert 0.4 < np.std(scores) < 2.5
    assert permutation_null(statistic, x, rows(50, 4, 30, shift=1.0)).z > 10


@pytest.mark.parametrize(
    ("statistic", "distance"), [("energy", energy_distance), ("frechet", frechet_distance)]
)
def test_agrees_with_scoring_each_split_alone(statistic, distance):
    x, y = rows(12, 3), rows(9, 3, 1, shift=0.5)
    pooled = np.concatenate([x, y])
    splits = random_splits(12, 9, seed=7, splits=24)
    values = [distance(pooled[s], pooled[~s]) for s in splits.T]
    null = permutation_null(statistic, x, y, seed=7)
    assert null.mean == pytest.approx(np.mean(values), rel=1e-10)
    assert null.sd == pytest.approx(np.std(values, ddof=1), rel=1e-10)
    assert null.z == pytest.approx((distance(x, y) - null.mean) / null.sd, rel=1e-10)
    assert two_sample(statistic, x, y) == distance(x, y)


def test_frechet_null_knows_its_bias_and_energy_has_none():
    x, y = rows(40, 10), rows(40, 10, 1)
    frechet, energy = (permutation_null(s, x, y) for s in ("frechet", "energy"))
    assert frechet.mean > 4 * frechet.sd
    assert abs(energy.mean) < energy.sd


def test_splits_are_keyed_by_seed_and_keep_sizes():
    splits = random_splits(30, 20, seed=0, splits=24)
    assert splits.shape == (50, 24)
    assert (splits.sum(axis=0) == 30).all()
    assert len({column.tobytes() for column in splits.T}) == 24
    np.testing.assert_array_equal(splits, random_splits(30, 20, seed=0, splits=24))
    np.testing.assert_array_equal(splits[:, :8], random_splits(30, 20, seed=0, splits=8))
    assert (splits != random_splits(30, 20, seed=1, splits=24)).any()


def test_first_split_of_seed_zero_is_the_recorded_one():
    # moves if the key, the raw stream or the sorting rule moves: every stored null would too
    assert np.flatnonzero(random_splits(5, 5, seed=0, splits=1)[:, 0]).tolist() == [0, 3, 5, 7, 8]


def test_a_null_without_spread_has_no_z():
    null = permutation_null("energy", np.zeros((4, 2)), np.zeros((5, 2)))
    assert (null.mean, null.sd, null.z) == (0.0, 0.0, None)
