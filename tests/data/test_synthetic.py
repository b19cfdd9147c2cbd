import dataclasses

import numpy as np
import pytest
from scipy.stats import chisquare, kstest, spearmanr

from vgbench.data.config import ShapesConfig
from vgbench.data.sources import open_dataset
from vgbench.data.synthetic import FACTORS, TRAJECTORIES, ShapesSource, period, pose
from vgbench.errors import DataError, UsageError

ALL = np.arange(32)
MANY = np.arange(4000)


def shapes(**options):
    return ShapesSource(ShapesConfig(**options))


def find(source, **wanted):
    """Returns the first video whose factors have the wanted values."""
    table = source.factor_table(np.arange(len(source)))
    return int(np.flatnonzero(np.all([table[k] == v for k, v in wanted.items()], axis=0))[0])


def test_choices_are_uniform_and_independent():
    table = shapes().factor_table(MANY)
    for name in ("shape", "colour", "texture", "trajectory", "speed", "periodic"):
        assert chisquare(np.bincount(table[name])).pvalue > 1e-4, name
    assert kstest(table["size"], "uniform", args=(0.11, 0.08)).pvalue > 1e-4
    for a, b in (("shape", "colour"), ("colour", "speed"), ("size", "phase")):
        assert abs(spearmanr(table[a], table[b]).statistic) < 0.06


def test_correlation_is_rho_and_keeps_the_marginals():
    table = shapes(correlate=0.7).factor_table(MANY)
    assert spearmanr(table["colour"], table["speed"]).statistic == pytest.approx(0.66, abs=0.05)
    assert chisquare(np.bincount(table["speed"])).pvalue > 1e-4
    plain = shapes().factor_table(MANY)
    assert (plain["colour"] == table["colour"]).all()


def information_gap(table):
    """Returns the mutual information gap of the true factors: 1 is disentangled.

    Source: Chen et al., "Isolating Sources of Disentanglement in VAEs" (NeurIPS 2018).
    """
    names = ("shape", "colour", "texture", "trajectory", "speed", "turns")
    shared = np.array([[mutual_information(table[a], table[b]) for b in names] for a in names])
    entropy = np.diag(shared)
    second = np.sort(shared, axis=1)[:, -2]
    return ((entropy - second) / entropy).mean()


def mutual_information(a, b):
    joint = np.histogram2d(a, b, bins=(a.max() + 1, b.max() + 1))[0] / len(a)
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    return (joint[joint > 0] * np.log((joint / apart)[joint > 0])).sum()


def test_true_factors_are_disentangled_and_correlated_ones_less():
    gaps = [information_gap(shapes(correlate=rho).factor_table(MANY)) for rho in (0.0, 0.5, 0.9)]
    assert gaps[0] > 0.98
    assert gaps[0] > gaps[1] + 0.02 > gaps[2] + 0.04


def test_same_pixels_in_any_batch():
    source, other = shapes(resolution=48), shapes(resolution=48)
    for i in range(12):
        whole = source.read(i, ALL)
        assert (whole[5:9] == other.read(i, np.arange(5, 9))).all()
        for t in (0, 17, 31):
            assert (whole[t] == other.read(i, np.array([t]))[0]).all()
        assert (whole[[7, 3, 3]] == other.read(i, np.array([7, 3, 3]))).all()


def test_regression_values():
    # a change here is a change of the definition: raise its version
    source = shapes()
    clip, factors = source.read(7, np.array([0, 10, 31])), source.factors(7)
    assert clip.dtype == np.uint8
    assert clip.shape == (3, 64, 64, 3)
    names = ("shape", "colour", "texture", "background", "pattern", "trajectory", "speed", "turns")
    assert [getattr(factors, name) for name in names] == [1, 1, 2, 0, 0, 4, 2, 1]
    assert factors.size == 0.12217183160937063
    # sin and cos may differ in the last bit between machines, which may flip a rounding
    assert np.abs(clip.sum(axis=(1, 2, 3), dtype=np.int64) - [2816918, 2816931, 2816933]).max() <= 3


@pytest.mark.parametrize("trajectory", range(5))
def test_periodic_motion_loops_exactly_and_the_other_does_not(trajectory):
    base = shapes().factors(0)
    times = np.linspace(0, 200, 401)
    for periodic in (1, 0):
        factors = dataclasses.replace(base, trajectory=trajectory, periodic=periodic, turns=1)
        p = factors.base_period
        now, later = pose(factors, times), pose(factors, times + p)
        same = np.allclose(now.centre, later.centre, atol=1e-9)
        if trajectory == 0:
            assert same
            assert np.isnan(period(factors))
        else:
            assert same == bool(periodic)
            assert period(factors) == (p if periodic else np.inf)
        assert np.allclose(np.exp(1j * now.angle), np.exp(1j * later.angle), atol=1e-9)


def test_the_base_period_is_the_smallest():
    base = shapes().factors(0)
    times = np.linspace(0, 64, 129)
    for trajectory in range(1, 5):
        factors = dataclasses.replace(base, trajectory=trajectory, periodic=1)
        for shorter in range(1, factors.base_period):
            gap = pose(factors, times + shorter).centre - pose(factors, times).centre
            assert np.abs(gap).max() > 1e-3


@pytest.mark.parametrize("trajectory", range(5))
@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("direction", [0, 1])
def test_velocity_is_the_derivative(trajectory, periodic, direction):
    factors = dataclasses.replace(
        shapes().factors(1), trajectory=trajectory, periodic=periodic, direction=direction
    )
    times, h = np.linspace(0.013, 60, 333), 1e-5
    slope = (pose(factors, times + h).centre - pose(factors, times - h).centre) / (2 * h)
    smooth = np.abs(slope - pose(factors, times).velocity).max(axis=1) < 1e-6
    # a triangle wave has no derivative at its corners, which h may straddle
    assert smooth.mean() > (0.98 if TRAJECTORIES[trajectory] == "bounce" else 0.9999)


def test_objects_stay_in_the_picture():
    source = shapes()
    for i in range(300):
        place, size = pose(source.factors(i), np.arange(128.0)), source.factors(i).size
        assert (place.centre > 0.5 * size).all()
        assert (place.centre < 1 - 0.5 * size).all()


def test_truth_agrees_with_the_pixels():
    source = shapes(resolution=128, videos=60)
    for i in range(60):
        frames = np.array([0, 5, 11])
        truth = source.truth(i, frames)
        assert truth.mask.shape == (3, 128, 128)
        rows, columns = np.mgrid[:128, :128] + 0.5
        for mask, centre in zip(truth.mask, truth.centre, strict=True):
            found = np.array([columns[mask].mean(), rows[mask].mean()]) / 128
            assert np.abs(found - centre).max() < 0.01  # all shapes have their centroid there
        # outside of the mask's neighbourhood the picture is the same in all frames
        clip = source.read(i, frames).astype(int)
        far = ~np.stack(
            [
                np.pad(m, 2)[2 + y : 130 + y, 2 + x : 130 + x]
                for m in truth.mask
                for y in (-2, 0, 2)
                for x in (-2, 0, 2)
            ]
        ).any(axis=0)
        assert (clip[0][far] == clip[1][far]).all()


def test_fractional_times_lie_between():
    source = shapes()
    i = find(source, trajectory=TRAJECTORIES.index("circle"))
    a, half, b = source.render(i, np.array([4.0, 4.5, 5.0])).astype(int)
    assert np.abs(half - a).mean() < np.abs(b - a).mean()
    assert (source.render(i, np.array([1000.0])).shape) == (1, 64, 64, 3)


def test_splits_and_draws_are_disjoint():
    config = ShapesConfig(videos=50)
    train, test = ShapesSource(config), ShapesSource(config, "test")
    again = train.redraw(1)
    names = [{s.meta(i).video_id for i in range(50)} for s in (train, test, again)]
    assert not names[0] & names[1]
    assert not names[0] & names[2]
    assert len({s.fingerprint for s in (train, test, again)}) == 3
    assert test.meta(0).video_id == f"test-{2**40}"
    assert train.redraw(0).fingerprint == train.fingerprint


def test_every_option_changes_the_fingerprint():
    changed = {
        "resolution": 32, "frames": 16, "videos": 9, "fps": 30.0, "seed": 1, "periodic": True,
        "correlate": 0.5, "correlate_from": "shape", "correlate_to": "size", "jitter": 1.0,
        "stick": True, "loop": 4, "freeze": True, "drift": 0.5, "shuffle": True, "blur": 1.0,
        "drop": 1,
    }  # fmt: skip
    assert set(changed) == {field.name for field in dataclasses.fields(ShapesConfig)}
    prints = {shapes(**{name: value}).fingerprint for name, value in changed.items()}
    assert len(prints | {shapes().fingerprint}) == len(changed) + 1
    assert all(len(fingerprint) == 64 for fingerprint in prints)


def test_meta_and_bounds():
    source = shapes(frames=20, videos=5, fps=30.0)
    meta = source.meta(4)
    assert (meta.n_frames, meta.height, meta.width, meta.fps) == (20, 64, 64, 30.0)
    assert len(source) == 5
    for call in (lambda: source.meta(5), lambda: source.read(0, np.array([20]))):
        with pytest.raises(IndexError):
            call()


@pytest.mark.parametrize(
    "options",
    [{"drift": 2.0}, {"jitter": -1.0}, {"drop": 6}, {"correlate_to": "colr"}, {"frames": 0}],
)
def test_options_out_of_range(options):
    with pytest.raises(UsageError, match=str(next(iter(options.values())))):
        shapes(**options)


def test_unknown_split():
    with pytest.raises(DataError, match="no split 'val'"):
        open_dataset(ShapesConfig(), "val")


class TestDamage:
    """Each switch does its one thing and nothing else."""

    def test_freeze(self):
        clip = shapes(freeze=True).read(1, ALL)
        assert (clip == shapes().read(1, np.zeros(32, np.int64))).all()

    def test_loop(self):
        source = shapes(loop=5)
        clip = source.read(1, ALL)
        assert (clip[5:] == clip[:-5]).all()
        assert (clip[:5] == shapes().read(1, ALL[:5])).all()
        assert source.truth(1, ALL).period == 5

    def test_shuffle_keeps_the_frames(self):
        plain, mixed = shapes().read(1, ALL), shapes(shuffle=True).read(1, ALL)
        assert sorted(f.tobytes() for f in plain) == sorted(f.tobytes() for f in mixed)
        assert (plain != mixed).any()
        orders = [shapes(shuffle=True).truth(i, ALL).angle for i in range(2)]
        assert not np.array_equal(np.argsort(orders[0]), np.argsort(orders[1]))

    def test_jitter_has_the_given_deviation(self):
        plain, shaken = shapes(), shapes(jitter=1.5)
        noise = np.concatenate(
            [shaken.truth(i, ALL).centre - plain.truth(i, ALL).centre for i in range(60)]
        )
        assert noise.std(axis=0) * 64 == pytest.approx([1.5, 1.5], rel=0.05)
        assert np.abs(noise.mean(axis=0)) * 64 == pytest.approx([0, 0], abs=0.15)
        assert np.abs((noise[1:] * noise[:-1]).mean()) < 0.05 * noise.var()

    def test_stick_fixes_the_texture_to_the_screen(self):
        wanted = {"shape": 0, "texture": 2, "trajectory": 2}
        i = find(shapes(), **wanted)
        clip, truth = shapes(stick=True).read(i, ALL).astype(int), shapes().truth(i, ALL)
        moved, fixed = shapes().read(i, ALL).astype(int), 0
        for t in range(1, 8):
            both = truth.mask[t] & truth.mask[t - 1]
            fixed += np.abs(clip[t] - clip[t - 1])[both].mean()
            assert (clip[t][both] == clip[t - 1][both]).mean() > 0.8  # all but the outline
        free = sum(
            np.abs(moved[t] - moved[t - 1])[truth.mask[t] & truth.mask[t - 1]].mean()
            for t in range(1, 8)
        )
        assert free > 3 * fixed

    def test_drift_reaches_the_opposite_colour(self):
        source = shapes(drift=1.0)
        i = find(source, shape=0, texture=0, colour=0)
        truth = source.truth(i, ALL)
        clip = source.read(i, ALL)
        x, y = (truth.centre[[0, -1]] * 64).astype(int).T
        assert clip[0, y[0], x[0]].tolist() == [226, 50, 54]  # red
        assert clip[-1, y[1], x[1]].tolist() == [0, 178, 206]  # cyan

    def test_blur_is_gaussian(self):
        from scipy.ndimage import gaussian_filter

        plain, soft = (shapes(blur=b).read(1, ALL[:2]).astype(float) for b in (0.0, 1.5))
        expected = gaussian_filter(plain, (0, 1.5, 1.5, 0), mode="nearest", truncate=3.4)
        assert np.abs(soft - expected).max() < 1.01

    def test_drop_leaves_few_shapes(self):
        table = shapes(drop=2).factor_table(MANY)
        assert set(table["shape"]) == {0, 1}
        assert chisquare(np.bincount(table["shape"])).pvalue > 1e-4

    @pytest.mark.parametrize(
        ("options", "moving", "looping"),
        [
            ({}, np.inf, 16.0),
            ({"freeze": True}, np.nan, np.nan),
            ({"shuffle": True}, np.inf, np.inf),
            ({"loop": 12}, 12.0, 12.0),
            ({"loop": 32}, 32.0, 16.0),
        ],
    )
    def test_period_tells_of_the_damage(self, options, moving, looping):
        source = shapes(**options)
        for wanted, value in ((0, moving), (1, looping)):
            i = find(source, trajectory=1, speed=1, periodic=wanted)
            assert source.truth(i, ALL).period == pytest.approx(value, nan_ok=True)
        still = find(source, trajectory=0)
        assert np.isnan(source.truth(still, ALL).period)

    @pytest.mark.parametrize("loop", [5, 9, 14])
    def test_a_loop_is_found_in_the_pixels(self, loop):
        source = shapes(loop=loop, periodic=False, frames=64, resolution=32)
        for i in np.flatnonzero(source.factor_table(np.arange(60))["trajectory"] > 0)[:20]:
            clip = source.read(int(i), np.arange(64)).astype(int)
            lags = np.arange(2, 24)
            change = [np.abs(clip[lag:] - clip[:-lag]).mean() for lag in lags]
            assert abs(lags[np.argmin(change)] - loop) <= 1  # the smallest of its multiples

    def test_freeze_has_no_velocity(self):
        source = shapes(freeze=True)
        i = find(source, trajectory=2)
        assert not source.truth(i, ALL).velocity.any()
        assert source.truth(i, ALL).factors == source.factors(i)

    def test_motion_is_damaged_and_single_frames_are_not(self):
        # what a metric of videos must see, and one of images must not
        def centres(**options):
            source = shapes(resolution=16, frames=12, **options)
            return np.stack([source.truth(i, ALL[:12]).centre for i in range(200)])

        plain = centres()
        changes = {}
        for name, value in (("jitter", 0.2), ("jitter", 0.4), ("freeze", True), ("shuffle", True)):
            damaged = centres(**{name: value})
            for axis in (0, 1):  # one frame of each: independent positions
                alike = kstest(plain[:, 2, axis], damaged[:, 9, axis])
                assert alike.pvalue > 1e-3, name
            steps = np.abs(np.diff(damaged, axis=1)).mean()
            changes[name, value] = steps / np.abs(np.diff(plain, axis=1)).mean()
        assert changes["freeze", True] == 0
        assert 1.02 < changes["jitter", 0.2] < changes["jitter", 0.4]
        assert changes["shuffle", True] > 1.5

    def test_periodic_can_be_forced(self):
        for value in (True, False):
            assert set(shapes(periodic=value).factor_table(MANY)["periodic"]) == {int(value)}


def test_factor_names_match_the_record():
    assert set(FACTORS) == set(dataclasses.asdict(shapes().factors(0)))
