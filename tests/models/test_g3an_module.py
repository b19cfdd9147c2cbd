"""G3AN's training step, sampling and manipulation."""

import pytest
import torch

from vgbench.errors import CheckpointError
from vgbench.models.base import Clips
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.module import G3AN, FrameChoice, Latents, load_reference, motion_steps
from vgbench.nn.noise import seeded_generator
from vgbench.types import VideoSpec

TINY = {"channels": 4, "appearance_dim": 6, "motion_dim": 3, "fsa_after_block": 3}


def tiny(size=16, seed=0, **options):
    return G3AN(G3ANConfig(**TINY | options), VideoSpec(3, size, size), seed)


def clips(n=4, size=16):
    generator = torch.Generator().manual_seed(5)
    return batch(2 * torch.rand(n, 3, 16, size, size, generator=generator) - 1)


def batch(video):
    n, frames = video.shape[0], video.shape[2]
    times = torch.arange(float(frames)).expand(n, -1)
    return Clips(video, times, torch.full((n,), -1))


def weights(model, name):
    return torch.cat([p.detach().flatten() for p in getattr(model, name).parameters()])


@pytest.mark.parametrize(
    ("frames", "steps"), [(1, 1), (16, 1), (17, 2), (20, 2), (21, 3), (48, 9), (128, 29)]
)
def test_motion_steps(frames, steps):
    assert motion_steps(frames) == steps
    assert 4 * (steps + 3) >= frames


@pytest.mark.parametrize("frames", [1, 7, 16, 18, 33])
def test_any_number_of_frames(frames):
    assert tiny().sample(2, frames, torch.Generator()).shape == (2, 3, frames, 16, 16)


def test_shorter_videos_are_the_beginning_of_longer_ones():
    model = tiny()
    long, short = (model.sample(2, n, seeded_generator(0, "eval")) for n in (16, 9))
    assert torch.equal(long[:, :, :9], short)


def test_grid_is_appearance_major():
    # In float64: spectral norms of an untrained network are far off, so its maps are large.
    model = tiny().double().eval()
    generator = torch.Generator().manual_seed(0)
    za = model.sample_za(2, generator).double()
    zm = model.sample_zm(3, 2, generator).double()
    grid = model.grid(za, zm)
    assert grid.shape == (6, 3, 20, 16, 16)
    for i in range(2):
        for j in range(3):
            alone = model.generate(za[i : i + 1], zm[j : j + 1])[0]
            torch.testing.assert_close(grid[3 * i + j], alone)


def test_generate_restores_the_mode_and_takes_any_number_of_videos():
    model = tiny().double().train()
    generator = torch.Generator().manual_seed(0)
    za = model.sample_za(19, generator).double()
    zm = model.sample_zm(19, 1, generator).double()
    videos = model.generate(za, zm)
    assert model.training
    assert model.generator.training
    assert videos.dtype == torch.float32
    assert not videos.requires_grad
    torch.testing.assert_close(videos[-2:], model.generate(za[-2:], zm[-2:]))


def test_training_updates_all_three_networks_and_resumes_by_position():
    first, second = tiny(), tiny()
    second.load_state_dict(first.state_dict())
    for model in (first, second):
        losses = model.train_clips(clips(), model.configure_optimizers())
        assert losses.keys() == {"d_video", "d_image", "g_video", "g_image"}
    untouched = tiny()
    for name in ("generator", "d_video", "d_image"):
        assert torch.equal(weights(first, name), weights(second, name))
        assert not torch.equal(weights(first, name), weights(untouched, name))
    moved = tiny()
    moved.clips_seen = 4
    moved.train_clips(clips(), moved.configure_optimizers())
    assert not torch.equal(weights(first, "generator"), weights(moved, "generator"))


def test_discriminators_keep_the_gradients_of_their_own_losses():
    model = tiny()
    optimizers = model.configure_optimizers()
    generator = torch.Generator().manual_seed(0)
    latents = model._latents(4, 16, generator)
    seen = {}
    descend = model.descend

    def record(loss, optimizer, name):
        descend(loss, optimizer, name)
        seen[name] = model.d_video.net[0].weight_orig.grad.clone()

    model.descend = record
    model.step(clips().video, latents, FrameChoice([2], [3]), optimizers)
    assert list(seen) == ["video discriminator", "image discriminator", "generator"]
    assert torch.equal(seen["generator"], seen["video discriminator"])
    assert all(p.requires_grad for p in model.parameters())


def test_the_image_discriminator_sees_some_frames_of_each_clip():
    model = tiny(image_frames=3, image_channels=2 * tiny().config.channels)
    seen = []
    model.d_image.register_forward_hook(lambda _, inputs, logits: seen.append((*inputs, logits)))
    video = clips().video
    model.step(
        video,
        model._latents(4, 16, torch.Generator().manual_seed(0)),
        FrameChoice([2, 0, 9], [3, 3, 15]),
        model.configure_optimizers(),
    )
    (real, logits), (fake, _), _ = seen
    assert torch.equal(real.unflatten(0, (4, 3)), video[:, :, [2, 0, 9]].transpose(1, 2))
    assert logits.shape == (12,)
    assert torch.equal(fake[0], fake[1])
    image, video = (len(net.net[0].weight_orig) for net in (model.d_image, model.d_video))
    assert image == 2 * video


def test_discriminators_iterate_three_times_a_step_and_the_generator_once():
    model = tiny()
    calls = {"generator": 0, "d_video": 0, "d_image": 0}

    def count(name):
        def hook(*_):
            calls[name] += 1

        return hook

    for name in calls:
        getattr(model, name).register_forward_hook(count(name))
    model.train_clips(clips(), model.configure_optimizers())
    assert calls == {"generator": 1, "d_video": 3, "d_image": 3}


def test_losses_fall_on_a_set_that_is_easily_told_apart():
    model = tiny(use_attention=False, lr_d=2e-3, lr_g=1e-6)
    optimizers = model.configure_optimizers()
    white = batch(torch.ones(4, 3, 16, 16, 16))
    losses = [model.train_clips(white, optimizers) for _ in range(12)]
    for name in ("d_video", "d_image"):
        assert float(losses[-1][name]) < 0.7 * float(losses[0][name])


def test_average_is_kept_only_if_asked_for():
    assert tiny().generator_ema is None
    model = tiny(ema_kclips=1.0)
    assert model.sampler is model.generator_ema.network


def test_loads_states_with_and_without_the_data_parallel_prefix():
    source, target = tiny(seed=1), tiny(seed=2)
    state = source.generator.state_dict()
    assert "block1.conv_v.0.weight_u" in state
    load_reference(target.generator, {f"module.{k}": v for k, v in state.items()})
    assert torch.equal(weights(target, "generator"), weights(source, "generator"))
    load_reference(target.d_video, source.d_video.state_dict())
    assert torch.equal(weights(target, "d_video"), weights(source, "d_video"))


def test_says_why_a_state_does_not_fit():
    plain = tiny(use_attention=False).generator.state_dict()
    with pytest.raises(CheckpointError, match="use_attention=false"):
        load_reference(tiny().generator, plain)


@torch.no_grad()
def fill(network):
    """Gives every parameter and buffer values that need no random numbers."""
    for i, (name, value) in enumerate(sorted(network.state_dict().items())):
        if not value.is_floating_point():
            continue
        wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 1.7 + i)
        if name.endswith("running_var"):
            wave = wave.abs() + 0.5
        elif name.endswith(("weight_u", "weight_v")):
            wave = wave / wave.norm()
        value.copy_(wave.view(value.shape))


# Recorded once all tests of tests/parity/test_g3an.py held.
LOSSES = {
    "fixed": [
        *(1.617459801, 1.884833836, 1.277492826, 0.211653615),
        *(1.621047374, 1.900519321, 1.266479131, 0.208084026),
    ],
    "reference": [
        *(1.605094537, 1.912185483, 1.309169798, 0.205517104),
        *(1.611228658, 1.93002523, 1.290122436, 0.201618904),
    ],
}


@pytest.mark.parametrize("layout", LOSSES)
def test_values_recorded_when_the_published_networks_were_matched(layout):
    model = tiny(fsa_layout=layout).double()
    for network in (model.generator, model.d_video, model.d_image):
        fill(network)
    za, zm = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in (2 * 6, 2 * 3))
    latents = Latents(za.view(2, 6).cos(), zm.view(2, 1, 3))
    real = torch.linspace(-1, 1, 2 * 3 * 16**3, dtype=torch.float64).view(2, 3, 16, 16, 16)
    optimizers = model.configure_optimizers()
    got = [model.step(real, latents, FrameChoice([3], [8]), optimizers) for _ in range(2)]
    losses = [float(loss) for step in got for loss in step.values()]
    assert losses == pytest.approx(LOSSES[layout], rel=1e-6)
