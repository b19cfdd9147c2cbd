"""Precision, recall, density, coverage: hand cases and the responses that give them meaning."""

import numpy as np
import pytest

from vgbench.errors import ProtocolError
from vgbench.metrics import manifold
from vgbench.metrics.manifold import manifold_shares
from vgbench.metrics.memorisation import memorisation

CENTRES = np.random.default_rng(9).normal(size=(5, 6)) * 12


def clusters(n, seed, keep=5):
    generator = np.random.default_rng(seed)
    return CENTRES[np.arange(n) % keep] + generator.normal(size=(n, 6))


def test_by_hand():
    real, fake = np.array([[0.0], [1.0], [3.0]]), np.array([[0.5], [2.5], [9.0], [9.5]])
    # radii to the nearest: real 1, 1, 2; fake 2, 2, .5, .5
    shares = manifold_shares(real, fake, k=1)
    assert (shares.precision, shares.recall) == (2 / 4, 3 / 3)
    assert (shares.density, shares.coverage) == ((2 + 1) / 4, 3 / 3)
    assert shares.ties == 0


def test_surfaces_belong_to_closed_balls_only():
    points = np.array([[0.0], [1.0], [2.0]])
    assert manifold_shares(points, points + 1, k=1).precision == pytest.approx(2 / 3)
    assert manifold_shares(points, points + 1, k=1, closed=True).precision == 1


def test_dropped_modes_lower_recall_and_coverage_but_not_precision():
    real = clusters(200, 0)
    shares = [manifold_shares(real, clusters(200, 1, keep)) for keep in (5, 4, 3, 2, 1)]
    for name in ("recall", "coverage"):
        values = [getattr(s, name) for s in shares]
        assert values == sorted(values, reverse=True)
        assert values[-1] < 0.3 < 0.7 < values[0]
    assert min(s.precision for s in shares) > 0.7


def test_an_outlier_among_real_clips_inflates_precision_and_not_density():
    generator = np.random.default_rng(3)
    real, fake = generator.normal(size=(200, 4)), generator.normal(size=(200, 4)) + 4
    outlier = np.full((1, 4), 9.0)
    clean = manifold_shares(real, fake)
    spoiled = manifold_shares(np.concatenate([real[1:], outlier]), fake)
    assert clean.precision < 0.2
    assert spoiled.precision > 0.8
    assert abs(spoiled.density - clean.density) < 0.25


def test_coverage_of_equal_distributions_and_copies():
    draws = [
        manifold_shares(clusters(200, s, 1), clusters(200, 50 + s, 1)).coverage for s in range(8)
    ]
    assert np.mean(draws) == pytest.approx(1 - 2**-5, abs=0.02)
    real, fake = clusters(200, 0), clusters(200, 1)
    copied = np.concatenate([fake[:50]] * 4)
    assert manifold_shares(real, copied).coverage < manifold_shares(real, fake).coverage - 0.2
    assert manifold_shares(real, np.repeat(fake[:20], 10, axis=0)).ties == 200
    more = np.concatenate([fake, fake[:100]])
    assert manifold_shares(real, more).coverage == manifold_shares(real, fake).coverage


def test_blocks_do_not_matter(monkeypatch):
    real, fake = clusters(40, 0), clusters(33, 1)
    whole = manifold_shares(real, fake)
    monkeypatch.setattr(manifold, "_BLOCK_NUMBERS", 150)
    assert manifold_shares(real, fake) == whole


def test_too_few_have_no_neighbour():
    with pytest.raises(ProtocolError, match="more than 5 samples on each side, got 5 and 9"):
        manifold_shares(clusters(5, 0), clusters(9, 1))


def test_memorised_clips_raise_their_share():
    real, fake = clusters(300, 0), clusters(300, 1)
    shares = []
    for copies in (0, 30, 90, 300):
        copied = np.concatenate([real[:copies] + 1e-3, fake[copies:]])
        shares.append(memorisation(real, copied).share)
    assert shares == sorted(shares)
    assert shares[0] < 0.04
    assert shares[2] > 0.28
    assert shares[3] == 1
    assert memorisation(real, real).share == 1


def test_fresh_clips_score_the_quantile():
    shares = [memorisation(clusters(300, s), clusters(300, 70 + s)).share for s in range(6)]
    assert np.mean(shares) == pytest.approx(0.01, abs=0.01)
    with pytest.raises(ProtocolError, match="got 1 and 2"):
        memorisation(clusters(1, 0), clusters(2, 1))
