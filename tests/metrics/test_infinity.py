"""Extrapolation to infinitely many samples, and how many samples a statistic needs."""

import numpy as np
import pytest
import torch

from vgbench.data.config import ShapesConfig
from vgbench.data.synthetic import ShapesSource
from vgbench.errors import ProtocolError, UsageError
from vgbench.metrics import damage
from vgbench.metrics.extractors.jet import Jet, JetNormalizer
from vgbench.metrics.frechet import frechet_distance
from vgbench.metrics.infinity import frechet_infinity
from vgbench.metrics.kernel import cubic, mmd
from vgbench.metrics.sample_efficiency import needed_samples, sample_curve


def rows(n, d, seed, shift=0.0, scale=1.0):
    return np.random.default_rng(seed).normal(size=(n, d)) * scale + shift


def test_known_gaussians_are_recovered_and_the_bias_is_positive():
    d, shift, scale, hits = 12, 0.1, 1.2, 0
    truth = d * (shift**2 + (scale - 1) ** 2)
    for seed in range(6):
        x, y = rows(1500, d, seed), rows(1500, d, 50 + seed, shift, scale)
        fit = frechet_infinity(x, y)
        hits += abs(fit.value - truth) < 2 * fit.standard_error
        assert fit.slope > 0
        assert fit.value < frechet_distance(x, y)
        assert (fit.n_min, fit.n_max) == (200, 1500)
        assert fit.r2 > 0.3
    assert hits >= 5


def test_subsets_are_keyed():
    x, y = rows(500, 3, 0), rows(450, 3, 1)
    assert frechet_infinity(x, y) == frechet_infinity(x, y)
    assert frechet_infinity(x, y) != frechet_infinity(x, y, seed=1)


def test_the_law_is_not_used_below_the_number_of_features():
    with pytest.raises(ProtocolError, match="needs >= 802 samples on each side for 400 features"):
        frechet_infinity(rows(700, 400, 0), rows(700, 400, 1))


def test_a_kernel_distance_needs_fewer_samples_than_a_frechet_distance():
    x, y = rows(1024, 24, 0), rows(1024, 24, 1, shift=0.45)
    sizes = [16, 32, 64, 128, 256, 512, 1024]
    needed = {
        name: needed_samples(sample_curve(statistic, x, y, sizes))
        for name, statistic in (
            ("fd", frechet_distance),
            ("kd", lambda a, b: mmd(a, b, cubic)),
        )
    }
    assert needed["kd"] < needed["fd"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "harm",
    [
        lambda clip: damage.freeze(clip, 8.0),
        lambda clip: damage.tint(clip, 0.12),
        lambda clip: damage.blur(clip, 1.5),
    ],
    ids=["frozen", "tint", "blur"],
)
def test_it_needs_fewer_of_damaged_shapes_too(harm):
    sides = [ShapesSource(ShapesConfig(resolution=32), draw=draw) for draw in (1, 2)]
    clips = [[source.read(i, np.arange(12)) for i in range(512)] for source in sides]
    real, fake = clips[0], [harm(clip) for clip in clips[1]]
    rows = [Jet.load()(torch.from_numpy(np.stack(side))).double().numpy() for side in (real, fake)]
    x, y = map(JetNormalizer.fit(rows[0]), rows)
    sizes = [16, 32, 64, 128, 256, 512]
    needed = {
        statistic: needed_samples(sample_curve(statistic, x, y, sizes))
        for statistic in (frechet_distance, mmd)
    }
    assert needed[mmd] < needed[frechet_distance]


def test_curves():
    x, y = rows(64, 2, 0), rows(64, 2, 1, shift=1.0)
    curve = sample_curve(frechet_distance, x, y, [16, 32, 64], subsets=5)
    assert [point.n for point in curve] == [16, 32, 64]
    assert curve[2].mean == pytest.approx(frechet_distance(x, y), rel=1e-10)
    assert curve[2].sd < 1e-9 < curve[0].sd
    with pytest.raises(UsageError, match="at most 64"):
        sample_curve(frechet_distance, x, y, [65])
