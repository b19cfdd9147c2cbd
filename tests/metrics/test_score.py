"""What protocols compute from features: trials, normalisation, intervals, bounded memory."""

from dataclasses import replace

import numpy as np
import pytest

from vgbench.errors import DataError
from vgbench.metrics.frechet import frechet_distance
from vgbench.metrics.frechet_roots import frechet_distance_by_roots
from vgbench.metrics.kernel import mmd
from vgbench.metrics.manifold import manifold_shares
from vgbench.metrics.normalise import ZScore
from vgbench.metrics.protocol import PROTOCOLS, get_protocol
from vgbench.metrics.score import FeatureSet, numbers
from vgbench.metrics.statistics import two_sample

PLAIN = replace(get_protocol("fvd16"), min_clips=2)


def rows(n, d=5, seed=0, shift=0.0):
    drawn = np.random.default_rng(seed).normal(size=(n, d)) + shift
    return drawn.astype(np.float32)


def held(*parts):
    found = FeatureSet(keep_rows=True)
    for part in parts:
        found.add(part)
    return found


def computed(protocol, real, fake, **others):
    return numbers(protocol, {"real": held(real), "fake": held(fake), **others})


def test_every_statistic_is_reached_by_its_name():
    x, y = rows(450), rows(450, seed=1, shift=0.3)
    names = {protocol.statistic for protocol in PROTOCOLS.load_all().values()}
    for name in {*names, "mmd-poly2-v"} - {"mmd-poly3-subsets"}:
        protocol = replace(PLAIN, statistic=name, neighbours=5)
        found = computed(protocol, x, y)
        assert found.value == pytest.approx(two_sample(name, x, y), rel=1e-10), name
        assert (found.ci_lo is not None) == (name != "mmd-poly2-v"), name
        if found.ci_lo is not None:
            assert found.ci_lo < found.value < found.ci_hi
    assert two_sample("recall", x, y) == manifold_shares(x, y, k=5).recall


def test_identical_sets_score_zero():
    x = rows(300, 40)
    for name in ("fvd16", "hfd16", "fvd16/styleganv"):
        protocol = replace(get_protocol(name), normalise="none", null_splits=0)
        assert abs(computed(protocol, x, x).value) < 1e-9 * 80
        few = computed(protocol, x[:20], x[:20]).value
        assert abs(few) < 1e-9 * 80
        assert np.copysign(1, few) == 1


def test_the_route_of_the_square_root_is_the_protocols():
    x, y = rows(60), rows(50, seed=1)
    digan = replace(get_protocol("fvd16/digan"), trials=1)
    expected = frechet_distance_by_roots(x, y, dtype=np.float32)
    assert computed(digan, x, y).value == expected
    styleinv = computed(get_protocol("fvd16/styleinv"), x, y)
    assert styleinv.value == frechet_distance_by_roots(x, y, ddof=0)


def test_trials_are_averaged():
    parts = [(rows(30, seed=i), rows(30, seed=50 + i, shift=0.5)) for i in range(4)]
    protocol = replace(PLAIN, trials=4)
    real, fake = (np.concatenate(side) for side in zip(*parts, strict=True))
    found = computed(protocol, real, fake)
    values = [frechet_distance(x, y) for x, y in parts]
    assert found.value == pytest.approx(np.mean(values), rel=1e-12)
    half = 1.96 * np.std(values, ddof=1) / 2
    assert (found.ci_hi - found.ci_lo) / 2 == pytest.approx(half, rel=1e-9)
    assert found.notes[0].startswith("mean of 4 trials, sd ")


def test_random_cores_are_scored_by_the_real_set():
    x, y = rows(60) * [1, 10, 100, 1, 0], rows(50, seed=1, shift=1.0) * [1, 10, 100, 1, 1e-9]
    protocol = replace(PLAIN, normalise="z-score", statistic="mmd-poly3")
    normalise = ZScore.fit(x)
    assert computed(protocol, x, y).value == pytest.approx(mmd(normalise(x), normalise(y)))
    np.testing.assert_allclose(normalise(x)[:, :4].std(axis=0), 1)
    assert np.isfinite(normalise(y)).all()


def test_samples_of_one_video_widen_the_interval():
    x, y = rows(200), np.repeat(rows(50, seed=1, shift=0.3), 4, axis=0)
    protocol = replace(PLAIN, statistic="energy")
    sets = {"real": held(x), "fake": held(y)}
    apart = numbers(protocol, sets)
    together = numbers(protocol, sets, {"fake": np.repeat(np.arange(50), 4)})
    assert together.value == apart.value
    assert together.ci_hi - together.ci_lo > 1.15 * (apart.ci_hi - apart.ci_lo)


def test_intervals_of_shares_hold_no_impossible_share():
    x, y = rows(70), rows(70, seed=1)
    for name in ("precision", "recall", "coverage"):
        found = computed(replace(PLAIN, statistic=name, neighbours=5), x, y)
        assert 0 <= found.ci_lo < found.value < found.ci_hi == 1, name
    dense = computed(replace(PLAIN, statistic="density", neighbours=5), x, y * 0.2)
    assert 1 < dense.ci_lo < dense.value < dense.ci_hi


def test_sets_without_a_limit_are_not_held():
    protocol = replace(get_protocol("fid50k_full"), min_clips=2)
    assert not protocol.needs_rows
    x, y = rows(300), rows(200, seed=1, shift=0.2)
    sets = {"real": FeatureSet(keep_rows=False), "fake": FeatureSet(keep_rows=False)}
    for start in range(0, 300, 70):
        sets["real"].add(x[start : start + 70])
    sets["fake"].add(y)
    found = numbers(protocol, sets)
    assert found.value == pytest.approx(frechet_distance(x, y, ddof=0), rel=1e-9)
    assert (found.ci_lo, found.floor, sets["real"].n) == (None, None, 300)


def test_features_must_be_finite():
    with pytest.raises(DataError, match="not finite"):
        held(rows(3) * np.nan)
