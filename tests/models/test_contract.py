"""The contract of `VideoGAN`, checked for every registered model: registering is being tested."""

import pytest
import torch

from vgbench.config.compose import compose
from vgbench.errors import UsageError
from vgbench.models import base
from vgbench.models.base import VideoGAN
from vgbench.models.checkpoint import build_model
from vgbench.nn.noise import seeded_generator
from vgbench.registry import MODELS
from vgbench.testing.video_gan import CHECKS
from vgbench.types import VideoSpec

SIZE = VideoSpec(height=32, width=32)


@pytest.fixture(scope="module", params=MODELS.names())
def model(request, tmp_path_factory):
    words = [f"model={request.param}", "dataset=shapes", "budget=demo"]
    config = compose(words, tmp_path_factory.mktemp("data"))
    return build_model(config.model, SIZE, seed=3)


@pytest.fixture(scope="module")
def frames(model):
    """As many frames as a metric would ask for, if the method can draw them."""
    return min(16, model.max_frames or 16)


def per_video(seed, indices):
    return [seeded_generator(seed, "eval", i) for i in indices]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_promise(model, check):
    check(model)


def test_many_videos_are_drawn_in_chunks(model, frames, monkeypatch):
    monkeypatch.setattr(base, "_FRAMES_PER_CHUNK", 3 * frames)
    videos = model.sample(5, frames, per_video(2, range(5)))
    some = model.sample(2, frames, per_video(2, [0, 4]))
    torch.testing.assert_close(videos[[0, 4]], some, rtol=0, atol=5e-5)


@pytest.mark.parametrize(("n", "number"), [(0, 1), (1, 0), (-1, 1)])
def test_nonsense_is_refused(model, n, number):
    with pytest.raises(UsageError, match="must be >= 1"):
        model.sample(n, number, seeded_generator(0, "eval"))


def test_grid_shares_appearance_by_row_and_motion_by_column(model):
    if type(model).sample_grid is VideoGAN.sample_grid:
        with pytest.raises(UsageError, match="no separate appearance and motion"):
            model.sample_grid(2, 3, 17, seed=0)
        return
    model = build_model(model.config, SIZE, seed=3)
    for weights in model.sampler.parameters():
        if not weights.any():  # a video generator may start as one of still images
            weights.data.fill_(0.5)
    videos = model.sample_grid(2, 3, 17, seed=0)
    assert videos.shape == (6, 3, 17, 32, 32)
    again = model.sample_grid(2, 2, 17, seed=0)
    # A larger grid contains the smaller one: codes depend on their row or column alone.
    torch.testing.assert_close(videos[[0, 1, 3, 4]], again, rtol=0, atol=5e-5)
    # All frames: the first of a row may be one and the same.
    assert len(torch.unique(videos.flatten(1), dim=0)) == 6
