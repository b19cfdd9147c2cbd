"""What the numbers of the `jet` core mean, and that they do not depend on how clips are batched."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.parity.draws import video
from vgbench.errors import DataError, ProtocolError
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.extractors.jet import (
    JET,
    JET_2,
    JET_LONG,
    Jet,
    JetNormalizer,
    jet_features,
    jet_levels,
)
from vgbench.metrics.null import permutation_null
from vgbench.registry import EXTRACTORS


def clip(seed, frames=16, size=32):
    return torch.from_numpy(video(seed, frames, size, size))


def panned(seed, step, frames=16, size=32):
    """Returns a smooth image that moves by `step` pixels per frame to the right."""
    x = torch.arange(size) / size * 2 * torch.pi
    phase = torch.arange(frames)[:, None] * step / size * 2 * torch.pi
    wave = 127 + 60 * torch.sin(3 * (x - phase)) + 40 * torch.sin(x - phase + seed)
    rows = torch.linspace(0.6, 1.0, size)[:, None]
    frames_2d = (wave[:, None] * rows).to(torch.uint8)
    return frames_2d[..., None].repeat(1, 1, 1, 3)


def features(clips, extractor=None):
    return (extractor or Jet.load())(torch.stack(clips)).double().numpy()


@pytest.mark.parametrize("size", [32, 64, 128])
def test_same_bits_for_every_batch_size(size):
    extractor = EXTRACTORS.get("jet").load().for_frames(size, size)
    clips = torch.stack([clip(seed, frames=10, size=size) for seed in range(16)])
    together = extractor(clips)
    assert together.shape == (16, extractor.dim)
    for batch in (1, 3):
        parts = torch.cat([extractor(part) for part in clips.split(batch)])
        assert torch.equal(parts, together)


def test_float32_is_close_to_float64():
    for one in (clip(3), panned(0, 2), torch.zeros(9, 32, 32, 3, dtype=torch.uint8)):
        error = jet_features(one, 3, torch.float64) - jet_features(one)
        assert error.abs().max() < 1e-4


@pytest.mark.parametrize(
    ("shape", "levels", "numbers"),
    [
        ((32, 32), 3, 198),
        ((64, 64), 3, 198),
        ((127, 300), 3, 198),
        ((128, 200), 4, 247),
        ((256, 256), 5, 296),
        ((512, 512), 6, 345),
        ((1024, 1024), 7, 394),
    ],
)
def test_levels_follow_the_shorter_side_and_name_themselves(shape, levels, numbers):
    assert jet_levels(*shape) == levels
    extractor = Jet.load().for_frames(*shape)
    assert extractor.dim == numbers == sum(JET.sizes(levels))
    assert extractor.preprocess_id == f"yuv601-l{levels}"
    assert extractor.weights.identity == "handcrafted"


def test_frame_sizes_need_not_be_square_or_even():
    odd = torch.from_numpy(video(1, 11, 37, 51))
    assert torch.isfinite(jet_features(odd)).all()


def test_layout_holds_colours_and_log_variance():
    frames = torch.zeros(9, 32, 32, 3, dtype=torch.uint8)
    frames[:, :16, :16, 0] = 255  # one red quarter
    layout = jet_features(frames, 3, torch.float64)[:51]
    y, u, v = layout[:48].reshape(3, 4, 4)
    assert y[0, 0] == pytest.approx(0.299)
    assert u[0, 0] == pytest.approx(-0.299)
    assert v[0, 0] == pytest.approx(1 - 0.299)
    assert not y[2:].any()
    share = 0.25
    variance = 0.299**2 * share * (1 - share) * (n := 9 * 32 * 32) / (n - 1)
    assert layout[48] == pytest.approx(np.log(variance + 1e-4))


def test_motion_block_sees_direction():
    start = sum(JET.sizes(3)[:2])
    along_x = slice(start + 4, start + 8)
    right, left = (jet_features(panned(0, step))[along_x] for step in (1, -1))
    assert (right < -0.3).all()
    assert (left > 0.3).all()


def test_dynamics_block_sees_a_frozen_tail():
    start = sum(JET.sizes(3)[:3])
    moving = panned(0, 1)
    frozen = torch.cat([moving[:8], moving[7:8].repeat(8, 1, 1, 1)])
    clips = (moving, frozen)
    before, after = (jet_features(one)[start : start + 13].numpy() for one in clips)
    assert after[6] == pytest.approx(np.log(1e-5), abs=1e-4)  # the calmest transition
    assert after[10] == pytest.approx(before[10], abs=0.1)  # the busiest one
    assert after[12] < before[12] - 3  # the second half


def oscillating(radians, amplitude, frames=16, size=32):
    """Returns a field of grey that goes up and down, `radians` per frame, amplitude in grey."""
    t = torch.arange(frames, dtype=torch.float64)
    level = 128 + amplitude * torch.sin(radians * t + 0.3)
    return level.round().to(torch.uint8)[:, None, None, None].repeat(1, size, size, 3)


def jerk(one):
    return jet_features(one, 3, torch.float64, JET_2)[198:]


def test_jet_2_begins_with_jet():
    clips = torch.stack([clip(seed) for seed in range(3)])
    rows = EXTRACTORS.get("jet-2").load()(clips)
    assert rows.shape == (3, 201)
    assert torch.equal(rows[:, :198], Jet.load()(clips))


def test_jerk_depends_on_how_fast_a_thing_oscillates_and_not_on_how_much():
    for radians in (1.0, 2.0, 3.0):
        expected = 2 * np.log(2 * np.sin(radians / 2))
        for amplitude in (30, 120):
            got = jerk(oscillating(radians, amplitude, frames=64))
            np.testing.assert_allclose(got, expected, atol=0.05)


def test_jerk_of_noise_of_even_motion_and_of_a_still_clip():
    noise = torch.randint(0, 256, (64, 64, 64, 1), generator=torch.Generator().manual_seed(0))
    grey = noise.to(torch.uint8).repeat(1, 1, 1, 3)
    np.testing.assert_allclose(jerk(grey), np.log(20 / 6), atol=0.02)
    assert not jerk(clip(0)[:1].repeat(16, 1, 1, 1)).any()
    brightening = torch.arange(0, 160, 10, dtype=torch.uint8)[:, None, None, None]
    assert jerk(brightening.repeat(1, 32, 32, 3)).abs().max() < 1e-6  # no second difference


def test_blended_frames_lower_the_jerk():
    moving = clip(0, frames=64)
    blended = (moving.int() + moving.roll(1, dims=0).int()) // 2
    assert (jerk(blended[1:].to(torch.uint8)) < jerk(moving) - 0.3).all()


def test_regression_values_of_the_jerk():
    got = torch.cat([jerk(clip(700)), jerk(panned(0, 1))])
    np.testing.assert_allclose(
        got,
        [
            1.187976799090884,
            1.17984966200134,
            1.177784521500755,
            -1.0580245522882699,
            -1.0911607386193758,
            -1.0938608221446433,
        ],
        rtol=1e-9,
    )


def test_rows_of_another_core_are_refused():
    rows = np.random.default_rng(0).standard_normal((5, 199))
    with pytest.raises(ProtocolError, match="'jet-2' has 201 numbers per clip with 3 levels; no"):
        JetNormalizer.fit(rows, JET_2)


def test_the_long_core_sees_how_much_of_a_clip_repeats():
    core = EXTRACTORS.get("jet-long").load()
    clip40 = clip(5, frames=40)  # no frame is like another
    looped = [torch.cat([clip40[:length]] * 4)[:40] for length in (36, 30, 20, 10)]
    rows = core(torch.stack([clip40, *looped])).double()
    assert torch.equal(rows[:, :198].float(), Jet.load()(torch.stack([clip40, *looped])))
    shares = rows[:, 198]  # of the 31 frames that have one 9 or more before them
    assert shares[0] > 0.999
    repeated = 1 - torch.tensor([4, 10, 20, 30]) / 31
    assert torch.allclose(shares[1:], repeated.double(), atol=1e-3)
    assert (shares.diff() < 0).all()
    with pytest.raises(DataError, match="jet-long needs clips of 32 frames or more, got 31"):
        core(clip(0, frames=31)[None])


@pytest.mark.parametrize("core", [JET_2, JET_LONG])
def test_each_block_of_a_larger_core_has_equal_weight(core):
    rows = np.random.default_rng(0).standard_normal((40, 201))
    weight = JetNormalizer.fit(rows, core).weight
    edges = np.cumsum([0, *core.sizes(3)])
    for start, stop in pairwise(edges):
        assert np.square(weight[start:stop]).sum() == pytest.approx(1 / 5)


def test_a_still_clip_has_finite_features():
    still = clip(0)[:1].repeat(16, 1, 1, 1)
    got = jet_features(still)
    assert torch.isfinite(got).all()
    assert got[sum(JET.sizes(3)[:3])] == pytest.approx(np.log(1e-5), abs=1e-4)


def test_regression_values():
    got = jet_features(clip(700), 3, torch.float64)[[0, 48, 51, 55, 59, 62, 108, 112, 159, 165]]
    np.testing.assert_allclose(
        got,
        [
            0.575773625153186,
            -3.668580575696336,
            -5.465583883116017,
            2.605324992629883,
            0.9605129846345426,
            -0.02662118748341927,
            1.1659133381246978,
            0.009620716780992649,
            -4.212708516465885,
            -5.427565025675668,
        ],
        rtol=1e-9,
    )


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (torch.zeros(2, 8, 32, 32, 3, dtype=torch.uint8), "9 frames or more, got 8"),
        (torch.zeros(2, 9, 27, 64, 3, dtype=torch.uint8), "28x28 pixels or more, got 27x64"),
        (torch.zeros(2, 9, 32, 32, 4, dtype=torch.uint8), "3 colour channels"),
    ],
)
def test_refusals(clips, message):
    with pytest.raises(DataError, match=message):
        Jet.load().forward(clips)


def test_normaliser_follows_its_definition():
    x = np.random.default_rng(0).normal(size=(40, 198)) * np.geomspace(0.05, 10, 198)
    z = JetNormalizer.fit(x)(x)
    edges = np.cumsum([0, *JET.sizes(3)])
    for start, stop in pairwise(edges):
        block = x[:, start:stop]
        sd = block.std(axis=0)
        sd = np.maximum(sd, 0.1 * np.sqrt((sd**2).mean()))
        expected = 3 * np.tanh((block - block.mean(axis=0)) / (3 * sd))
        np.testing.assert_allclose(
            z[:, start:stop], expected / np.sqrt(4 * (stop - start)), rtol=1e-10
        )
    assert np.linalg.norm(z, axis=1).max() <= 3
    assert np.square(z).sum(axis=1).mean() == pytest.approx(1, abs=0.5)


def test_normaliser_survives_a_constant_block_and_refuses_one_row():
    x = np.ones((5, 198))
    assert np.isfinite(JetNormalizer.fit(x)(x + 1)).all()
    with pytest.raises(ProtocolError, match="two clips or more, got 1"):
        JetNormalizer.fit(x[:1])


@pytest.mark.parametrize("ladder", ["noise", "frozen"])
def test_response_grows_with_damage(ladder):
    rng = np.random.default_rng(0)
    real = [panned(seed, 1 + seed % 3) for seed in range(32)]
    fresh = [panned(seed + 0.5, 1 + seed % 3) for seed in range(32)]
    raw_real = features(real)
    normalise = JetNormalizer.fit(raw_real)
    responses = []
    for level in range(4):
        damaged = [DAMAGE[ladder](one, level, rng) for one in fresh]
        responses.append(energy_distance(normalise(raw_real), normalise(features(damaged))))
    assert responses == sorted(responses)
    worst = features([DAMAGE[ladder](one, 3, rng) for one in fresh])
    assert permutation_null("energy", normalise(raw_real), normalise(worst)).z > 6


def noisy(one, level, rng):
    noise = rng.normal(size=tuple(one.shape)) * [0, 2, 10, 40][level]
    return (one + torch.from_numpy(noise)).clamp(0, 255).to(torch.uint8)


def frozen(one, level, rng):
    tail = [0, 4, 8, 15][level]
    if tail == 0:
        return one
    return torch.cat([one[:-tail], one[-tail - 1 : -tail].repeat(tail, 1, 1, 1)])


DAMAGE = {"noise": noisy, "frozen": frozen}
