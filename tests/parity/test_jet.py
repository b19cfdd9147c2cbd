"""The `jet` core against recorded features and distances."""

import numpy as np
import pytest
import torch

from tests.parity.conftest import assert_known, some, under
from tests.parity.draws import crc32, video
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.extractors.jet import JET, JetNormalizer, jet_features, jet_levels
from vgbench.metrics.frechet import frechet_distance

FILES = "jet_*.npz"
BLOCKS = ("layout", "texture", "motion", "dynamics")


def moved(clip, step):
    """Returns frame 0 of `clip` rolled by `step` pixels per frame along the width."""
    return np.stack([np.roll(clip[0], t * step, axis=1) for t in range(len(clip))])


def with_frozen_tail(clip):
    half = len(clip) // 2
    return np.concatenate([clip[:half], np.repeat(clip[half : half + 1], len(clip) - half, 0)])


def cases(arrays):
    """Returns the clips of a file by case name; what is not known is a failure."""
    found = {name: under(arrays, f"{name}/") for name in sorted({k.split("/")[0] for k in arrays})}
    of_set = found.pop("set", {})
    assert_known(of_set, {"params", "z_real", "z_fake", "hed", "hfd"}, "set")
    for name, case in found.items():
        assert "shape" in case, f"unknown entry or case '{name}'"
        assert_known(case, {"shape", "seed", "levels", "crc32", *BLOCKS}, name)
    return found


def three_clips(case):
    base = video(int(case["seed"]), *case["shape"].tolist())
    clips = [base, moved(base, 2), with_frozen_tail(moved(base, 3))]
    assert [crc32(clip) for clip in clips] == case["crc32"].tolist()
    return clips


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-4)])
def test_features_agree(recorded, dtype, tolerance):
    arrays, _ = recorded
    for name, case in cases(arrays).items():
        levels = int(case["levels"])
        for i, clip in enumerate(three_clips(case)):
            got = jet_features(torch.from_numpy(clip), levels, dtype)
            parts = got.split(JET.sizes(levels))
            for block, part in zip(BLOCKS, parts, strict=True):
                error = np.abs(part.numpy() - case[block][i]).max()
                assert error <= tolerance, f"{name}/{block} of clip {i}: {error}"


def test_set_distances_agree(recorded):
    expected = some(under(recorded[0], "set/"), "sets")
    real, fake = sets(*expected["params"].tolist())
    normalise = JetNormalizer.fit(real)
    real, fake = normalise(real), normalise(fake)
    for name, rows in (("z_real", real), ("z_fake", fake)):
        np.testing.assert_allclose(rows[:4], expected[name], atol=1e-8, err_msg=f"set/{name}")
    for name, distance in (("hed", energy_distance), ("hfd", frechet_distance)):
        want = pytest.approx(float(expected[name]), rel=1e-5)
        assert distance(real, fake) == want, f"set/{name}"


def sets(seed, n, frames, size):
    levels = jet_levels(size, size)

    def features(clip):
        return jet_features(torch.from_numpy(clip), levels, torch.float64).numpy()

    real = [moved(video(seed + i, frames, size, size), 1 + i % 2) for i in range(n)]
    fake = [video(seed + 500 + i, frames, size, size) for i in range(n)]
    fake = [clip if i % 4 == 0 else moved(clip, 1 + i % 3) for i, clip in enumerate(fake)]
    return np.stack([features(c) for c in real]), np.stack([features(c) for c in fake])
