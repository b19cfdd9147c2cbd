"""What StyleGAN-V and StyleSV share: any moment of a video, training clips, exact resume."""

import pytest
import torch

from tests.models.small_videos import SMALL, built, per_video, real_clips, trained
from vgbench.errors import DataError, UsageError
from vgbench.models import continuous

NAMES = sorted(SMALL)
TOLERANCE = {"rtol": 0, "atol": 2e-5}


def whole(times):
    return torch.arange(float(times))


@pytest.mark.parametrize("name", NAMES)
def test_any_moments_are_those_of_the_whole_video(name):
    model = built(name)
    video = model.sample(2, 40, per_video(0, 1))
    assert (video[:, :, 1:] - video[:, :, :-1]).abs().amax((1, 3, 4)).min() > 1e-3
    torch.testing.assert_close(model.sample(2, 7, per_video(0, 1)), video[:, :, :7], **TOLERANCE)
    some = torch.tensor([37.0, 0.0, 16.0])
    frames = model.frames_at(2, some, per_video(0, 1))
    torch.testing.assert_close(frames, video[:, :, [37, 0, 16]], **TOLERANCE)
    between = model.frames_at(2, torch.tensor([36.5]), per_video(0, 1))[:, :, 0]
    steps = (between - video[:, :, 36], between - video[:, :, 37])
    assert all(step.abs().max() > 1e-4 for step in steps)


@pytest.mark.parametrize("name", NAMES)
def test_rendering_in_parts_changes_nothing_and_bounds_the_maps(name, monkeypatch):
    model = built(name)
    video = model.sample(3, 10, per_video(0, 1, 2))
    largest = []
    model.sampler.synthesis.register_forward_hook(lambda m, i, out: largest.append(len(out)))
    for frames_at_a_time in (1, 2, 7):
        monkeypatch.setattr(continuous, "PIXELS_AT_A_TIME", frames_at_a_time * 16 * 16)
        largest.clear()
        parts = model.sample(3, 10, per_video(0, 1, 2))
        torch.testing.assert_close(parts, video, **TOLERANCE)
        assert max(largest) <= frames_at_a_time


@pytest.mark.parametrize("name", NAMES)
def test_a_video_goes_on_for_ever(name):
    model = built(name)
    late = model.frames_at(1, 100_000 + whole(4), per_video(0))
    later = model.frames_at(1, 100_002 + whole(4), per_video(0))
    assert torch.isfinite(late).all()
    torch.testing.assert_close(late[:, :, 2:], later[:, :, :2], rtol=0, atol=1e-3)
    assert (late[:, :, 1:] - late[:, :, :-1]).abs().amax((1, 3, 4)).min() > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_content_drifts_to_another_and_stays(name):
    model = built(name)
    slow, fast = (model.interpolate(1, 12, per_video(0), span=span) for span in (8.0, 4.0))
    torch.testing.assert_close(slow[:, :, 0], fast[:, :, 0], **TOLERANCE)
    torch.testing.assert_close(slow[:, :, 8:], fast[:, :, 8:], **TOLERANCE)
    assert (slow - fast)[:, :, 4].abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_truncation_leads_to_the_mean_style(name):
    model, styles = built(name), []
    trained(model, 2)
    model.sampler.synthesis.register_forward_pre_hook(lambda m, given: styles.append(given[0]))
    for psi in (1.0, 0.5, 0.0):
        model.frames_at(2, whole(1), per_video(0, 1), truncation_psi=psi)
    free, half, mean = styles
    average = model.sampler.mapping.w_avg
    assert average.abs().max() > 0
    torch.testing.assert_close(mean, average.expand_as(mean))
    torch.testing.assert_close(half, (free + mean) / 2)


def kink(model):
    """Second differences of the motion code at its control points over those elsewhere."""
    step, d = 0.25, model.anchor_distance
    times = step * torch.arange(4 * d / step + 2)
    v = model.motion_trajectory(2, times, per_video(0, 1))
    bends = (v[:, 2:] - 2 * v[:, 1:-1] + v[:, :-2]).norm(dim=-1).mean(dim=0)
    at_anchor = times[1:-1] % d == 0
    return float(bends[at_anchor].mean() / bends[~at_anchor].mean())


def test_the_default_motion_of_stylesv_has_no_kinks():
    assert kink(built("stylesv")) < 1.5
    for curve in ("linear", "bspline"):
        assert kink(built("stylesv", curve=curve)) > 5
    assert kink(built("styleganv")) > 5


def test_the_default_motion_of_stylesv_keeps_its_speed():
    def speed(curve, start):
        model, times = built("stylesv", curve=curve), start + 0.125 * torch.arange(400)
        v = model.motion_trajectory(32, times, per_video(*range(32)))
        return float(v.diff(dim=1).norm(dim=-1).mean())

    speeds = [speed("smooth", start) for start in (32, 1024, 8000, 100_000)]
    assert max(speeds) < 1.3 * min(speeds)
    assert speed("bspline-time", 8000) > 2 * speed("bspline-time", 32)


@pytest.mark.parametrize("name", NAMES)
def test_fakes_have_the_times_and_labels_of_the_real_clips(name):
    model = built(name, c_dim=3)
    real = real_clips(model)
    fakes = model.fakes(real, per_video(0, 1, 2, 3))
    shift = fakes.times - real.times
    assert ((shift >= 0) & (shift < 1)).all()
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=0, atol=1e-5)
    assert len(shift[:, 0].unique()) == 4
    assert torch.equal(fakes.labels, real.labels)
    part = type(real)(*(value[2:] for value in real))
    alone = model.fakes(part, per_video(2, 3))
    torch.testing.assert_close(alone.video, fakes.video[2:], **TOLERANCE)
    other = model.fakes(real._replace(labels=(real.labels + 1) % 3), per_video(0, 1, 2, 3))
    assert (other.video - fakes.video).abs().amax((1, 2, 3, 4)).min() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_videos_of_a_class_that_is_asked_for(name):
    model = built(name, c_dim=3)
    video = model.frames_at(2, whole(2), per_video(0, 1))
    asked = [model.frames_at(2, whole(2), per_video(0, 1), labels=torch.tensor([k, k]))
             for k in range(3)]  # fmt: skip
    for i in range(2):  # the class that is drawn is one of them, and they differ
        near = [float((video[i] - other[i]).abs().max()) for other in asked]
        assert sorted(near)[0] < 2e-5 < 1e-3 < sorted(near)[1]


@torch.no_grad()
def test_content_of_training_clips_may_drift():
    model = built("stylesv", interp_p=0.5, interp_frames=2)
    styles = []
    model.generator.synthesis.register_forward_pre_hook(lambda m, given: styles.append(given[0]))
    real = real_clips(model, n=12)
    model.fakes(real, per_video(*range(12)))
    ws = styles[0].view(12, 3, -1)
    moves = (ws[:, 1:] - ws[:, :1]).abs().amax((1, 2)) > 1e-6
    assert 2 <= int(moves.sum()) <= 10


@pytest.mark.parametrize("name", NAMES)
def test_running_means_follow_training_unless_told_otherwise(name):
    for follow in (True, False):
        model = built(name, update_averages=follow)
        before = model.generator.mapping.w_avg.clone()
        trained(model, 1)
        assert torch.equal(model.generator.mapping.w_avg, before) != follow
    magnitudes = [b for n, b in model.generator.named_buffers() if n.endswith("magnitude_ema")]
    assert all(float(value) == 1 for value in magnitudes)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_equals_an_uninterrupted_one(name):
    options = {"augment": "ada", "augment_strength": 0.5, "ada_interval": 1, "r1_interval": 2}
    straight = built(name, c_dim=2, **options)
    trained(straight, 3)

    first = built(name, c_dim=2, **options)
    saved = [optimizer.state_dict() for optimizer in trained(first, 2)]
    second = built(name, seed=9, c_dim=2, **options)
    second.seed, second.clips_seen = 0, first.clips_seen
    second.load_state_dict(first.state_dict())
    optimizers = second.configure_optimizers()
    for optimizer, state in zip(optimizers, saved, strict=True):
        optimizer.load_state_dict(state)
    trained(second, 1, optimizers)

    ours, theirs = straight.state_dict(), second.state_dict()
    assert [k for k in ours if not torch.equal(ours[k], theirs[k])] == []
    assert not torch.equal(ours["generator.mapping.fc0.weight"],
                           first.state_dict()["generator.mapping.fc0.weight"])  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    model = built(name, frames=2, r1_interval=1, c_dim=2, sampling="uniform")
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    trained(model, 2)
    still = [name for name, p in model.named_parameters()
             if name in before and torch.equal(p, before[name])]  # fmt: skip
    assert still == []


@pytest.mark.parametrize("name", NAMES)
def test_a_step_in_mixed_precision(name):
    model = built(name, augment="fixed", augment_strength=0.9)
    before = {key: p.detach().clone() for key, p in model.named_parameters() if p.requires_grad}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trained(model, 1)
    after = dict(model.named_parameters())
    assert all(torch.isfinite(after[key]).all() for key in before)
    assert all((after[key] != value).any() for key, value in before.items())


def test_images_can_be_trained_by_one_frame():
    model = built("stylesv", frames=1, temporal_shift=False, pretrain=False)
    trained(model, 1)
    assert model.discriminator.time_encoder is None
    assert model.sample(1, 3, per_video(0)).shape == (1, 3, 3, 16, 16)


def test_labels_that_the_data_lacks_are_refused():
    model = built("styleganv", c_dim=2)
    real = real_clips(model)
    unlabelled = real._replace(labels=real.labels - 1)
    with pytest.raises(DataError, match=r"not all in 0..1"):
        model.train_clips(unlabelled, model.configure_optimizers())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampling": "dense"}, "model.sampling=dense: expected one of random, uniform"),
        ({"merge": "max"}, "model.merge=max: expected one of concat, mean"),
        ({"frames": 0}, "model.frames=0: expected an integer >= 1"),
        ({"interp_p": 2.0}, r"model.interp_p=2.0: expected a float in \[0, 1\]"),
        ({"frames": 1, "temporal_shift": True}, "a frame has no neighbours"),
        ({"spans": "odd"}, "model.spans=odd: expected one of dyadic, uniform"),
        ({"frames": 40, "max_dist": 20}, "max_dist=20, expected at least 64"),
        ({"curve": "cubic"}, "motion.curve=cubic: expected one of linear, bspline"),
        ({"r1_gamma": -1.0}, "model.r1_gamma=-1.0: expected a float >= 0"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(UsageError, match=message):
        SMALL["stylesv"](**options)
