import numpy as np
import pytest

from vgbench.metrics import damage


@pytest.fixture(scope="module")
def clip():
    rng = np.random.default_rng(0)
    smooth = rng.integers(60, 190, (16, 4, 5, 3)).repeat(6, 1).repeat(6, 2)
    return smooth.astype(np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


LADDERS = {
    "noise": ((0.01, 0.08, 0.2), lambda x, s: damage.noise(x, s, rng())),
    "blur": ((0.4, 1.5, 3.0), damage.blur),
    "jpeg": ((75, 20, 8), damage.jpeg),
    "tint": ((0.02, 0.12, 0.3), damage.tint),
    "desaturate": ((0.1, 0.5, 1.0), damage.desaturate),
    "checkerboard": ((1, 4, 8), damage.checkerboard),
    "flicker": ((0.01, 0.08, 0.2), lambda x, s: damage.flicker(x, s, rng())),
    "jitter": ((0.5, 2.0, 4.0), lambda x, s: damage.jitter(x, s, rng())),
    "shuffle": ((0.25, 0.5, 1.0), lambda x, s: damage.shuffle(x, s, rng(3))),
    "freeze": ((2, 8, 15), damage.freeze),
    "stutter": ((0.1, 0.4, 0.8), lambda x, s: damage.stutter(x, s, rng())),
    "loop": ((14, 8, 4), damage.loop),
    "temporal blur": ((0.1, 0.6, 1.0), damage.temporal_blur),
}


@pytest.mark.parametrize("name", list(LADDERS))
def test_every_level_changes_more_pixels_than_the_one_before(name, clip):
    levels, apply = LADDERS[name]
    before, changed = clip.copy(), [0.0]
    for level in levels:
        damaged = apply(clip, float(level))
        assert damaged.dtype == np.uint8
        assert damaged.shape == clip.shape
        assert np.array_equal(damaged, apply(clip, float(level)))
        changed.append(np.abs(damaged.astype(float) - clip).mean())
    assert np.array_equal(clip, before)
    assert (np.diff(changed) > 0).all(), changed


@pytest.mark.parametrize(
    "apply",
    [
        lambda x: damage.noise(x, 0.0, rng()),
        lambda x: damage.tint(x, 0.0),
        lambda x: damage.desaturate(x, 0.0),
        lambda x: damage.flicker(x, 0.0, rng()),
        lambda x: damage.jitter(x, 0.0, rng()),
        lambda x: damage.shuffle(x, 0.0, rng()),
        lambda x: damage.freeze(x, 0.0),
        lambda x: damage.stutter(x, 0.0, rng()),
        lambda x: damage.loop(x, 16.0),
        lambda x: damage.temporal_blur(x, 0.0),
        lambda x: damage.swap(x, x),
        lambda x: damage.reverse(damage.reverse(x)),
    ],
)
def test_no_damage_is_no_change(apply, clip):
    assert np.array_equal(apply(clip), clip)


def numbered(frames=16):
    """Returns a clip whose frames show their number."""
    numbers = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return np.broadcast_to(numbers, (frames, 8, 8, 3)).copy()


def shown(clip):
    return clip[:, 0, 0, 0].tolist()


def test_frames_that_are_shown():
    clip = numbered()
    assert shown(damage.freeze(clip, 4.0)) == [*range(12), 11, 11, 11, 11]
    assert shown(damage.freeze(clip, 15.0)) == [0] * 16
    assert shown(damage.loop(clip, 11.0)) == [*range(11), 0, 1, 2, 3, 4]
    assert shown(damage.reverse(clip)) == list(range(15, -1, -1))
    assert shown(damage.swap(clip, clip + 100)) == [*range(8), *range(108, 116)]
    mixed = shown(damage.shuffle(clip, 0.5, rng()))
    assert sorted(mixed) == list(range(16))
    assert sum(i != n for i, n in enumerate(mixed)) in range(2, 9)
    assert shown(damage.shuffle(clip, 1.0, rng())) != list(range(16))
    held = shown(damage.stutter(clip, 0.4, rng()))
    assert all(n in (i, held[i - 1]) for i, n in enumerate(held))


def test_flicker_and_tint_are_gains():
    grey = np.full((4, 8, 8, 3), 100, np.uint8)
    assert damage.tint(grey, 0.12)[0, 0, 0].tolist() == [112, 100, 88]
    assert np.ptp(damage.flicker(grey, 0.1, rng()), axis=(1, 2, 3)).max() == 0
    assert len(set(shown(damage.flicker(grey, 0.1, rng())))) == 4
    assert damage.desaturate(grey, 1.0).tolist() == grey.tolist()
    colour = np.array([200, 100, 50], np.uint8) * np.ones((1, 2, 2, 1), np.uint8)
    assert damage.desaturate(colour, 1.0)[0, 0, 0].tolist() == [124, 124, 124]


def test_jitter_keeps_every_frame_sharp():
    clip = rng().integers(0, 256, (1, 20, 20, 3), dtype=np.uint8).repeat(16, axis=0)
    moved = damage.jitter(clip, 2.0, rng())
    inner = moved[:, 8:12, 8:12]
    found = [
        any(
            np.array_equal(frame, clip[0, 8 + dy : 12 + dy, 8 + dx : 12 + dx])
            for dy in range(-8, 9)
            for dx in range(-8, 9)
        )
        for frame in inner
    ]
    assert all(found)
    assert not np.array_equal(moved[0], moved[1])
