"""The toy: its data, and what the gradient angle penalty does to models trained on it."""

import pytest
import torch

from vgbench.models.stylevideogan.diagnostics import (
    codes_of_fixed_starts,
    diversity,
    measure_angle,
    repeating_share,
)
from vgbench.models.stylevideogan.options import TrainingOptions
from vgbench.models.stylevideogan.rollout import rollout
from vgbench.models.stylevideogan.toy import (
    NUM_WS,
    W_DIM,
    toy_latents,
    trained_on_toy,
    trajectories,
)
from vgbench.nn.noise import seeded_generator


def options_of(angle_weight, frames):
    return TrainingOptions(frames, critic_steps=2, lr=1e-3, angle_weight=angle_weight)


def standardized(ws):
    frames = ws.flatten(2)
    return (frames - frames.mean((0, 1))) / frames.std((0, 1))


def test_trajectories_are_as_described():
    found = trajectories(4000, 25, seeded_generator(0, "toy"))
    assert float(found.mean()) == pytest.approx(0, abs=0.02)
    assert float(found.std()) == pytest.approx(0.8, abs=0.02)
    assert float((found[:, -1] - found[:, 0]).std()) == pytest.approx(1.1, abs=0.05)
    assert float(found.diff(dim=1).std()) < 0.3  # smooth


def test_latents_are_one_linear_map_of_four_numbers():
    videos = [toy_latents(20, 9, seeded_generator(seed, "toy")) for seed in (0, 1)]
    assert videos[0].shape == (20, 9, NUM_WS, W_DIM)
    assert not torch.equal(*videos)
    frames = torch.cat(videos).flatten(0, 1).flatten(1) - 1
    assert torch.linalg.matrix_rank(frames, rtol=1e-4) == 4


def test_motion_never_repeats_unless_it_is_made_to():
    videos = standardized(toy_latents(8, 512, seeded_generator(0, "toy")))
    shares = [repeating_share(video) for video in videos]
    assert sum(shares) / len(shares) < 0.02
    looped = videos[0, :256].repeat(2, 1)
    assert repeating_share(looped) > 0.95  # all but segments across the seam


def test_seed_decides_weights_and_noise():
    def latents(seed, turns):
        gan = trained_on_toy(options_of(100.0, 4), turns, seed)
        assert not gan.generator.training
        with torch.no_grad():
            return gan.generator(torch.ones(1, 32), torch.ones(1, 3, 32))

    state = torch.get_rng_state()
    first = latents(0, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(latents(0, 2), first)
    assert not torch.equal(latents(0, 1), first)
    assert not torch.equal(latents(1, 2), first)


@pytest.mark.slow
def test_penalty_makes_the_motion_codes_matter():
    found = []
    for angle_weight in (100.0, 0.0):
        gan = trained_on_toy(options_of(angle_weight, 25), 200)
        source = seeded_generator(0, "eval")
        phi = measure_angle(gan.generator, gan.angle, 64, 24, source).phi
        codes = codes_of_fixed_starts(gan.generator, 8, 32, 24, source)
        found.append((float(phi.mean()), float(diversity(codes)[-1])))
    (phi, spread), (ignored, _) = found
    assert phi > 0.55
    assert spread > 0.3
    assert ignored < 0.4


@pytest.mark.slow
def test_penalty_keeps_models_of_short_clips_from_repeating():
    shares = []
    for angle_weight in (100.0, 0.0):
        network = trained_on_toy(options_of(angle_weight, 8), 300).generator
        long = torch.cat(list(rollout(network, 8, 512, seeded_generator(0, "long"))), dim=1)
        videos = network.scale.standardize(long).flatten(2)
        shares.append(sum(map(repeating_share, videos)) / len(videos))
    kept, lost = shares
    assert lost > kept + 0.2
