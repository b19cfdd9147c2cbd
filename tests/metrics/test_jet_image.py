"""`jet-image`: the part of `jet` that single frames have, and the protocols on it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from einops import repeat

from vgbench.errors import DataError
from vgbench.metrics.evaluator import Evaluator
from vgbench.metrics.extractors.jet import (
    JET,
    JET_IMAGE,
    JetImage,
    JetNormalizer,
    jet_features,
)
from vgbench.metrics.protocol import get_protocol


def frames(n, seed=0, size=32):
    """Smooth random pictures, uint8 `(n, 1, size, size, 3)`."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, 6, 6, generator=generator)
    fine = F.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    return repeat((fine * 255).to(torch.uint8), "n c h w -> n 1 h w c")


@pytest.mark.parametrize(("size", "levels"), [(32, 3), (128, 4)])
def test_a_frame_has_the_layout_and_texture_of_a_still_clip(size, levels):
    extractor = JetImage.load().for_frames(size, size)
    assert (extractor.name, extractor.preprocess_id) == ("jet-image", f"yuv601-l{levels}")
    images = frames(2, size=size)
    got = extractor(images)
    assert got.shape == (2, extractor.dim)
    assert extractor.dim == sum(JET_IMAGE.sizes(levels)) == 51 + 19 * levels
    still = jet_features(repeat(images[0], "1 h w c -> t h w c", t=9), levels)
    # The variances of a clip have another divisor: nine times the pixels, less one.
    torch.testing.assert_close(got[0], still[: extractor.dim], rtol=1e-3, atol=1e-3)
    assert JET.sizes(levels)[:2] == JET_IMAGE.sizes(levels)


def test_both_blocks_weigh_the_same():
    weight = JetNormalizer.fit(JetImage.load()(frames(8)).numpy(), JET_IMAGE).weight
    assert np.square(weight[:51]).sum() == pytest.approx(0.5)
    assert np.square(weight[51:]).sum() == pytest.approx(0.5)


def measured(fake, name="hed1/demo"):
    (score,) = Evaluator([get_protocol(name)]).evaluate(frames(96), fake)
    return score


def test_damage_shows_and_other_pictures_of_the_kind_do_not():
    same = measured(frames(96, seed=1))
    assert same.metric == "hED1"
    assert abs(same.value - same.null_mean) < 4 * same.null_sd
    blurred = F.avg_pool2d(frames(96, seed=1)[:, 0].movedim(3, 1).float(), 5, 1, 2)
    noisy = frames(96, seed=1) + torch.randint(0, 12, (96, 1, 32, 32, 3), dtype=torch.uint8)
    redder = frames(96, seed=1).clone()
    redder[..., 0] = redder[..., 0] // 2
    for damaged in (blurred.to(torch.uint8).movedim(1, 3)[:, None], noisy, redder):
        score = measured(damaged)
        assert score.value > 10 * score.null_sd
    frechet = measured(noisy, "hfd1/demo")
    assert (frechet.metric, frechet.frames) == ("hFD1", 1)
    assert frechet.value > 10 * frechet.null_sd


def test_clips_and_tiny_frames_are_refused():
    with pytest.raises(DataError, match="takes single frames, got clips of 3"):
        JetImage.load()(frames(2).expand(-1, 3, -1, -1, -1))
    with pytest.raises(DataError, match="28x28 pixels or more, got 16x16"):
        JetImage.load()(frames(2, size=16))
