"""StyleInV as a model: what is trained, what is frozen, how videos and stages fit together."""

import pytest
import torch

from tests.models.small_styleinv import (
    SPEC,
    built,
    copied,
    image_gan,
    inversion,
    per_video,
    real_clips,
    resumed,
    styleinv,
    trained,
    unchanged,
)
from vgbench.errors import CheckpointError, UsageError
from vgbench.models.styleinv import module
from vgbench.models.styleinv.options import DiscriminatorOptions, LossOptions
from vgbench.types import VideoSpec

WAYS = {
    "default": {},
    "ffc": {"disc": DiscriminatorOptions("ffc")},
    "digan": {"disc": DiscriminatorOptions("digan")},
    "no encoder": {"encoder": {"kind": "none"}},
    "modconv everywhere": {"encoder": {"modulation": "modconv", "modulate_after": "unit"}},
    "mean style": {"encoder": {"base": "w_avg"}},
    "pca": {"encoder": {"pca": 4}},
    "lstm": {"motion": {"anchor_net": "lstm"}},
    "not first-frame-aware": {"motion": {"first_frame_aware": False}},
    "dyadic, fractional": {"sparse": {"span_set": "dyadic", "fractional_offset": True}},
    "frame 0 generated": {"sparse": {"first_from": "generated"}},
    "frame 0 not shown": {"sparse": {"include_first": False}},
    "recon in w": {"loss": LossOptions(recon_space="w", w_reg=0.0)},
    "ada": {"augment": "ada", "ada_interval": 1},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_trains_and_leaves_the_image_gan_as_it_is(way):
    model = built(styleinv(**WAYS[way]))
    frozen, networks = copied(model.space), (model.generator, model.discriminator)
    before = [copied(network) for network in networks]
    _, scalars = trained(model, 1)
    assert unchanged(model.space, frozen)
    for network, old in zip(networks, before, strict=True):
        moved = [n for n, p in network.named_parameters() if not torch.equal(p, old[n])]
        assert len(moved) > len(list(network.parameters())) / 2
    assert {"adversarial", "recon", "w_reg", "d"} <= scalars.keys()
    assert all(torch.isfinite(value) for value in scalars.values())
    assert model.sample(1, 3, per_video(0)).shape == (1, 3, 3, 32, 32)


def test_the_frozen_networks_get_no_gradient_and_stay_in_evaluation_mode():
    model = built(styleinv()).train()
    trained(model, 1)
    assert all(p.grad is None and not p.requires_grad for p in model.space.parameters())
    assert not any(m.training for m in model.space.modules())
    assert model.generator.training


def test_resuming_is_exact():
    whole, second = resumed(styleinv(augment="ada", ada_interval=1, r1_interval=2), steps=3)
    assert unchanged(second, copied(whole))


def test_fakes_have_the_times_of_the_real_clips_in_whole_frames():
    model = built(styleinv())
    real = real_clips(model, n=4)
    seen = []
    score = model.score
    model.score = lambda clips: seen.append(clips.times) or score(clips)
    model.train_clips(real, model.configure_optimizers())
    assert all(torch.equal(times, seen[0]) for times in seen)
    assert torch.equal(seen[0], (real.times * 15).round())
    assert bool((seen[0][:, 0] == 0).all())
    assert float(seen[0].max()) > 1


# Sampling.


def test_chunks_are_parts_of_the_whole(monkeypatch):
    model = built(styleinv())
    whole = model.sample(2, 12, per_video(0, 1))
    monkeypatch.setattr(module, "PIXELS_AT_A_TIME", 5 * 2 * 32 * 32)
    torch.testing.assert_close(model.sample(2, 12, per_video(0, 1)), whole, rtol=0, atol=5e-5)
    # no video ends: later frames are rendered on their own, and longer videos start alike
    late = model.frames_at(2, torch.tensor([11.0, 300.0, 4.0]), per_video(0, 1))
    torch.testing.assert_close(late[:, :, [0, 2]], whole[:, :, [11, 4]], rtol=0, atol=5e-5)
    assert float((late[:, :, 1] - late[:, :, 0]).abs().max()) > 0


@pytest.mark.parametrize("aware", [True, False])
def test_rows_share_frame_0_if_motion_is_aware_of_it(aware):
    model = built(styleinv(motion={"first_frame_aware": aware}))
    with torch.no_grad():
        for name, weights in model.sampler.mapping.named_parameters():
            if name.startswith("fcf"):
                weights.mul_(100)  # so that motion shows in an untrained network
    videos = model.sample_grid(2, 2, 4, seed=0)
    apart = (videos[0] - videos[1]).abs().flatten(2).amax(dim=(0, 2))
    assert (float(apart[0]) < 1e-5) == aware
    assert float(apart[1:].min()) > 1e-4
    assert float((videos[0, :, 0] - videos[2, :, 0]).abs().max()) > 1e-3


def test_trajectories_are_those_of_the_videos():
    model = built(styleinv())
    times = torch.tensor([0.0, 4.0, 6.5, 40.0])
    codes = model.motion_trajectory(3, times, per_video(0, 1, 2))
    assert codes.shape == (3, 4, 8)
    assert torch.equal(codes[:1, 0], codes[1:2, 0])
    assert not torch.allclose(codes[0, 1], codes[1, 1])
    alone = model.motion_trajectory(1, times, per_video(2))
    torch.testing.assert_close(alone[0], codes[2])
    assert model.anchor_distance == 4


# Stages.


def started(seed=1):
    model, image = built(styleinv()), image_gan(seed)
    encoder = built(inversion(), seed)
    encoder.start_from("image", image.export())
    model.start_from("image", image.export())
    model.start_from("inversion", encoder.export())
    return model, image, encoder


def test_it_starts_from_its_stages():
    model, image, encoder = started()
    assert unchanged(model.space.generator, copied(image.sampler))
    assert unchanged(model.space.encoder, copied(encoder.generator.encoder))
    own = model.generator.encoder.state_dict()
    plain = copied(encoder.generator.encoder)
    assert all(torch.equal(own[name], plain[name]) for name in plain)
    assert unchanged(model.generator_ema.network, copied(model.generator))


def test_stages_share_sizes_and_options():
    config = styleinv(inversion_lr=0.5, flip=False)
    image, invert = config.stages()
    assert (image.name, image.model, image.config.use_noise) == ("image", "stylegan2-frames", False)
    assert (invert.name, invert.model) == ("inversion", "inversion")
    assert invert.config.stages() == (image,)
    assert (invert.config.lr, invert.config.encoder.units) == (0.5, (1, 1, 1, 1))


def test_foreign_stages_are_refused():
    model, image = built(styleinv()), image_gan(1)
    encoder = built(inversion(), 1)
    encoder.start_from("image", image_gan(2).export())
    model.start_from("image", image.export())
    with pytest.raises(CheckpointError, match="another image GAN"):
        model.start_from("inversion", encoder.export())
    with pytest.raises(CheckpointError, match="no weights of a stage 'motion'"):
        model.start_from("motion", {})
    with pytest.raises(CheckpointError, match="the stage comes without its generator"):
        model.start_from("image", {})


def test_directions_are_those_of_the_image_gan():
    model = built(styleinv(encoder={"pca": 4}))
    model.start_from("image", image_gan(1).export())
    found = model.generator.restrict.directions
    lengths = found.norm(dim=1)
    assert bool((lengths.diff() <= 0).all())
    assert not torch.equal(found, torch.eye(16)[:4])
    assert torch.equal(model.sampler.restrict.directions, found)


# Photographs and styles.


def test_a_photograph_becomes_a_video():
    model, _, encoder = started()
    photos = torch.rand(2, 3, 32, 32) * 2 - 1
    first = model.invert(photos)
    torch.testing.assert_close(first, encoder.reconstruct(photos[:, :, None])[:, :, 0])
    (video,) = model.animate(photos, 5, per_video(0, 1))
    assert video.shape == (2, 3, 5, 32, 32)
    (again,) = model.animate(photos[1:], 5, per_video(1))
    torch.testing.assert_close(video[1:], again, rtol=0, atol=5e-5)
    (other,) = model.animate(photos, 5, per_video(8, 9))
    torch.testing.assert_close(video[:, :, 0], other[:, :, 0], rtol=0, atol=5e-5)
    assert not torch.equal(video[:, :, 4], other[:, :, 4])


def test_styles_render_the_same_motion():
    model, image, _ = started()
    plain = model.sample(2, 4, per_video(0, 1))
    model.restyle(image.sampler)
    torch.testing.assert_close(model.sample(2, 4, per_video(0, 1)), plain, rtol=0, atol=0)
    drawn = image_gan(1)
    with torch.no_grad():
        drawn.sampler.synthesis.b32.torgb.bias.add_(0.3)
    model.restyle(drawn.sampler)
    restyled = model.sample(2, 4, per_video(0, 1))
    inside = plain.abs() < 0.7
    torch.testing.assert_close(restyled[inside], plain[inside] + 0.3, rtol=0, atol=1e-4)
    model.restyle(None)
    assert torch.equal(model.sample(2, 4, per_video(0, 1)), plain)
    photos = torch.rand(1, 3, 32, 32)
    own, style = model.animate(photos, 3, per_video(0), [drawn.sampler])
    inside = own.abs() < 0.7
    torch.testing.assert_close(style[inside], own[inside] + 0.3, rtol=0, atol=1e-4)
    with pytest.raises(CheckpointError, match="was not finetuned from this model's image GAN"):
        model.restyle(image_gan(2).sampler)
    with pytest.raises(CheckpointError, match="was not finetuned"):
        model.restyle(built(inversion()).sampler)


# Options.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"c_dim": 2}, "model.c_dim=2: there are no classes"),
        ({"inversion_lr": 0.0}, "model.inversion_lr=0.0: expected a float > 0"),
        ({"w_dim": 24, "encoder": {"kind": "none"}}, "expected model.w_dim=24"),
        ({"encoder": {"pca": 17}}, "model.encoder.pca=17: styles have 16 directions"),
        ({"pl_weight": 2.0, "pl_interval": 4}, "has no path length penalty"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        trained(built(styleinv(**options)), 1)


def test_sizes_without_networks_are_refused():
    with pytest.raises(UsageError, match="no networks for 32x64"):
        module.StyleInV(styleinv(), VideoSpec(height=32, width=64))
    assert SPEC.height == 32
