"""StyleSV starts from its image stage and shows the image GAN's pictures."""

import pytest
import torch

from tests.models.small_videos import SPEC, per_video, real_clips, small_stylesv, trained
from vgbench.errors import CheckpointError
from vgbench.models.checkpoint import build_model


def image_gan(config):
    """The stage's image GAN, with running means that are not those of a new one."""
    (stage,) = config.stages()
    model = build_model(stage.config, SPEC, 3)
    for name, value in model.sampler.named_buffers():
        if name.endswith(("w_avg", "magnitude_ema")):
            value.copy_(0.5 + torch.rand(value.shape))
    return model


def started(config):
    image, video = image_gan(config), build_model(config, SPEC, 0)
    video.start_from("image", image.export())
    return image, video


@pytest.mark.parametrize("options", [{}, {"layers": "R"}, {"c_dim": 3}], ids=str)
@torch.no_grad()
def test_every_frame_is_the_image_of_the_image_gan(options):
    image, video = started(small_stylesv(mask=0.0, **options))
    pictures = image.sample(3, 1, per_video(0, 1, 2))
    assert pictures.std() > 1e-2
    times = torch.tensor([0.0, 7.5, 300.0])
    frames = video.frames_at(3, times, per_video(0, 1, 2))
    torch.testing.assert_close(frames, pictures.expand_as(frames), rtol=0, atol=2e-5)
    # The trained generator is the averaged one; both differ from an image GAN once motion enters.
    states = video.generator.state_dict(), video.sampler.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    video.sampler.synthesis.motion_mask.fill_(1.0)
    assert (video.frames_at(3, times, per_video(0, 1, 2)) - frames).abs().max() > 1e-2


@torch.no_grad()
def test_the_discriminator_starts_with_the_image_discriminators_judgement():
    image, video = started(small_stylesv(mask=0.0, temporal_shift=False))
    discriminator, real = video.discriminator, real_clips(video)
    still = real.video[:, :, :1].expand(-1, -1, 3, -1, -1)
    maps = discriminator.frame_maps(still.transpose(1, 2).flatten(0, 1))
    features = discriminator.b4(discriminator.clip_maps(discriminator.merged(maps)))
    logits = image.discriminator(still[:, :, 0])
    torch.testing.assert_close(features, logits[:, None].expand_as(features))


def test_times_and_labels_keep_their_own_layers():
    config = small_stylesv(mask=0.0, c_dim=2)
    fresh, (_, video) = build_model(config, SPEC, 0), started(config)
    before, after = fresh.discriminator.state_dict(), video.discriminator.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    own = {name for name in before if name.startswith(("time_encoder", "mapping"))}
    zero = {name for name in same - own if not before[name].any()}  # biases are zero in both
    assert same == own | zero


def test_frames_joined_side_by_side_leave_two_blocks_out():
    config = small_stylesv(mask=0.0, merge="concat", temporal_shift=False)
    fresh, (image, video) = build_model(config, SPEC, 0), started(config)
    for block in ("b16", "b8"):
        weight = f"{block}.conv0.weight"
        ours, before = video.discriminator.state_dict(), fresh.discriminator.state_dict()
        assert torch.equal(ours[weight], before[weight])
    trunk = "b4.conv.weight"
    assert torch.equal(ours[trunk], image.discriminator.state_dict()[trunk])


def test_motion_comes_in_by_training():
    _, video = started(small_stylesv(mask=0.0))
    trained(video, 2)
    assert video.generator.synthesis.motion_mask.abs().min() > 0
    clip = video.fakes(real_clips(video), per_video(0, 1, 2, 3)).video
    assert (clip[:, :, 1:] - clip[:, :, :-1]).abs().max() > 1e-4


def test_weights_that_do_not_fit_are_refused():
    config = small_stylesv()
    video, weights = build_model(config, SPEC, 0), image_gan(config).export()
    with pytest.raises(CheckpointError, match="no weights of a stage 'inversion'"):
        video.start_from("inversion", weights)
    with pytest.raises(CheckpointError, match=r"image generator has other layers, e.g. 'synthesis"):
        video.start_from("image", image_gan(small_stylesv(num_layers=4)).export())
    wide = image_gan(small_stylesv(w_dim=10)).export()
    with pytest.raises(
        CheckpointError, match=r"affine.weight has shape \(16, 10\), expected \(16, 8\)"
    ):
        video.start_from("image", wide)
    del weights["discriminator.b8.conv0.weight"]
    with pytest.raises(CheckpointError, match=r"discriminator has other .* 'b8.conv0.weight'"):
        video.start_from("image", weights)
