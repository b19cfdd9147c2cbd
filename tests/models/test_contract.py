"""The contract of `VideoGAN`, checked for every registered model: registering is being tested."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from vgbench.config.compose import compose
from vgbench.data.draws import Draws
from vgbench.data.policies import choose
from vgbench.errors import FrameLimitError, UsageError
from vgbench.models import base
from vgbench.models.base import Clips, VideoGAN, plain
from vgbench.models.checkpoint import build_model
from vgbench.nn.noise import seeded_generator
from vgbench.registry import MODELS
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


def test_shape_dtype_and_range(model, frames):
    videos = model.sample(3, frames, per_video(0, range(3)))
    assert videos.shape == (3, 3, frames, 32, 32)
    assert videos.dtype == torch.float32
    assert videos.device == model.device
    assert not videos.requires_grad
    assert float(videos.abs().max()) <= 1.0
    assert float(videos.std()) > 1e-4


def test_mode_is_restored_in_every_layer(model, frames):
    model.train()
    layer = next(m for m in model.modules() if isinstance(m, torch.nn.Module) and m is not model)
    layer.eval()
    before = [m.training for m in model.modules()]
    model.sample(1, frames, seeded_generator(0, "eval", 0))
    assert [m.training for m in model.modules()] == before
    model.train()


def test_same_generator_state_gives_the_same_video_and_global_state_is_untouched(model, frames):
    state = torch.random.get_rng_state()
    first = model.sample(2, frames, seeded_generator(7, "eval"))
    second = model.sample(2, frames, seeded_generator(7, "eval"))
    other = model.sample(2, frames, seeded_generator(8, "eval"))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_video_depends_on_its_own_generator_alone(model, frames):
    together = model.sample(5, frames, per_video(1, range(5)))
    alone = torch.cat([model.sample(1, frames, per_video(1, [i])) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=0, atol=5e-5)


@pytest.mark.parametrize("number", [1, 5, 16, 17, 40])
def test_any_number_of_frames(model, number):
    if model.max_frames is not None and number > model.max_frames:
        with pytest.raises(FrameLimitError, match=str(model.max_frames)):
            model.sample(1, number, seeded_generator(0, "eval"))
        return
    videos = model.sample(1, number, seeded_generator(0, "eval"))
    assert videos.shape[2] == number


def test_many_videos_are_drawn_in_chunks(model, frames, monkeypatch):
    monkeypatch.setattr(base, "_FRAMES_PER_CHUNK", 3 * frames)
    videos = model.sample(5, frames, per_video(2, range(5)))
    some = model.sample(2, frames, per_video(2, [0, 4]))
    torch.testing.assert_close(videos[[0, 4]], some, rtol=0, atol=5e-5)


@pytest.mark.parametrize(("n", "number"), [(0, 1), (1, 0), (-1, 1)])
def test_nonsense_is_refused(model, n, number):
    with pytest.raises(UsageError, match="must be >= 1"):
        model.sample(n, number, seeded_generator(0, "eval"))


def test_samples_come_from_the_weight_average(model, frames):
    if model.generator_ema is None:
        assert model.sampler is model.generator
        return
    before = model.sample(1, frames, seeded_generator(0, "eval"))
    with torch.no_grad():
        saved = [p.clone() for p in model.generator.parameters()]
        for p in model.generator.parameters():
            p.add_(1.0)
        after = model.sample(1, frames, seeded_generator(0, "eval"))
        for p, value in zip(model.generator.parameters(), saved, strict=True):
            p.copy_(value)
    assert torch.equal(before, after)


def test_initialisation_depends_on_the_seed_alone(model):
    state = torch.random.get_rng_state()
    again = build_model(model.config, SIZE, seed=3)
    other = build_model(model.config, SIZE, seed=4)
    assert torch.equal(torch.random.get_rng_state(), state)
    pairs = list(zip(model.parameters(), again.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    others = list(zip(model.parameters(), other.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in others)


def test_options_are_plain_and_the_training_clips_fit_the_frames(model):
    json.dumps(plain(asdict(model.config)))
    assert model.clips.frames >= 1
    assert model.clips.policy.min_frames >= model.clips.frames


def test_training_steps_change_the_generator_and_log_scalars(model):
    fresh = build_model(model.config, SIZE, seed=5)
    fresh.train()
    optimizers = fresh.configure_optimizers()
    optimizers = list(optimizers) if isinstance(optimizers, (list, tuple)) else [optimizers]
    before = [p.detach().clone() for p in fresh.generator.parameters()]
    video = torch.rand(4, 3, fresh.clips.frames, 32, 32) * 2 - 1
    policy = fresh.clips.policy
    chosen = choose(policy, np.full(4, policy.min_frames), Draws(np.arange(4, dtype=np.uint64)))
    real = Clips(video, torch.from_numpy(chosen.times), torch.full((4,), -1))
    changed = [False]
    for _ in range(5):  # a critic may make so many steps before the generator's first
        scalars = fresh.train_clips(real, optimizers)
        assert all(torch.isfinite(value) for value in scalars.values())
        assert scalars
        fresh.clips_seen += 4
        pairs = list(zip(before, fresh.generator.parameters(), strict=True))
        changed = [not torch.equal(old, new) for old, new in pairs if new.requires_grad]
        if any(changed):
            break
    assert sum(changed) > len(changed) / 2
    assert all(torch.equal(old, new) for old, new in pairs if not new.requires_grad)


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
