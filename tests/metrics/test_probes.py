"""Probes: what is frozen has no motion, and ratios answer what they ask."""

import numpy as np
import pytest
import torch

from tests.parity.draws import video
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.extractors.jet import Jet, JetNormalizer
from vgbench.metrics.probes import content_bias, elastic_warp, frozen, motion_ratio


def moving(n, seed):
    first = [video(seed + i, 1, 32, 32)[0] for i in range(n)]
    clips = [np.stack([np.roll(f, t, axis=1) for t in range(12)]) for f in first]
    return torch.from_numpy(np.stack(clips))


REAL, OTHER = moving(24, 0), moving(24, 100)


def hed(real, fake):
    x, y = (Jet.load()(clips).numpy() for clips in (real, fake))
    normalise = JetNormalizer.fit(x)
    return energy_distance(normalise(x), normalise(y))


def of_frames(real, fake):
    """Returns a metric that sees the mean of each frame's gradients, and no motion."""
    x, y = (clips.float().diff(dim=3).square().mean(dim=(2, 3, 4)) for clips in (real, fake))
    return float((x.mean() - y.mean()).abs())


def test_frozen_clips_repeat_their_first_frame():
    assert frozen(OTHER).shape == OTHER.shape
    assert (frozen(OTHER) == OTHER[:, :1]).all()


def test_motion_ratio_grows_with_the_frozen_frames():
    fake = moving(24, 200)
    ratios = []
    for moving_frames in (12, 8, 4, 1):
        index = torch.arange(12).clamp(max=moving_frames - 1)
        ratios.append(motion_ratio(hed, REAL, fake[:, index], OTHER))
    assert ratios == sorted(ratios)
    assert ratios[0] < 0.1
    assert ratios[-1] == pytest.approx(1, abs=0.1)


def test_a_warp_is_constant_over_time_or_new_in_every_frame():
    still = frozen(OTHER[:2])
    same = elastic_warp(still, pixels=1.0, per_frame=False)
    assert (same == same[:, :1]).all()
    assert (same != still).float().mean() > 0.3
    changing = elastic_warp(still, pixels=1.0, per_frame=True)
    assert (changing[:, 1:] != changing[:, :-1]).float().mean() > 0.3
    assert torch.equal(elastic_warp(still, pixels=0.0, per_frame=True), still)
    assert torch.equal(changing[1], elastic_warp(still, pixels=1.0, per_frame=True)[1])


def test_content_bias_tells_frames_from_motion():
    assert content_bias(of_frames, REAL, OTHER, pixels=1.0) == pytest.approx(1, abs=0.1)
    assert content_bias(hed, REAL, OTHER, pixels=1.0) > 1.3
