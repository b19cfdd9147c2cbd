"""StyleVideoGAN as a method: options, steps on latents, streams of any length, the offset trick."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vgbench.config.compose import compose
from vgbench.errors import UsageError
from vgbench.models.animation import Offset
from vgbench.models.base import Clips
from vgbench.models.checkpoint import build_model
from vgbench.models.stylevideogan.config import StyleVideoGANConfig
from vgbench.models.stylevideogan.options import (
    CriticOptions,
    GeneratorOptions,
    IdentityOptions,
    OffsetOptions,
    TrainingOptions,
)
from vgbench.nn.noise import seeded_generator
from vgbench.types import VideoSpec

STATM = Path("/proc/self/statm")
SIZE = VideoSpec(height=16, width=16)
SMALL = StyleVideoGANConfig(
    backend="identity",
    generator=GeneratorOptions(z_dim=6, memory_widths=(8,), trunk_widths=(8,)),
    critic=CriticOptions(embed_widths=(8,), embed_dim=8, conv_channels=(8, 8)),
    training=TrainingOptions(frames=5, critic_steps=2, ema_kclips=0.01),
    identity=IdentityOptions(num_ws=4, w_dim=8),
    offset=OffsetOptions(max_rank=5),
    report_kclips=0.0,
)


def model_of(**changes):
    return build_model(replace(SMALL, **changes), SIZE, seed=3)


def latents(n, *, seed=0):
    """Latents of frames along three directions."""
    source = seeded_generator(seed, "latents")
    axes = torch.linalg.qr(torch.randn(32, 3, generator=source)).Q
    return (torch.randn(n, 3, generator=source) @ axes.T).view(n, 4, 8) + 0.3


def fitted(**changes):
    model = model_of(**changes)
    model.see_latents(latents(200))
    return model


def source(i=0):
    return seeded_generator(0, "eval", i)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.backend=psp", r"model.backend=psp: expected one of .*identity"),
        ("model.videos=-1", "model.videos=-1: expected an integer >= 0"),
        ("model.truncation_psi=-1", "model.truncation_psi=-1"),
        ("model.generator.head=relu", "model.generator.head=relu: expected one of linear"),
        ("model.critic.kernel=4", "model.critic.kernel=4: expected an odd number"),
        ("model.identity.w_dim=0", "model.identity.w_dim=0: expected a number >= 1"),
        ("model.offset.explained=2", "model.offset.explained=2"),
    ],
)
def test_bad_options_are_refused_by_their_name(word, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        compose(["model=stylevideogan", "dataset=shapes", word], tmp_path)


def test_pictures_must_be_square_and_large_enough():
    with pytest.raises(UsageError, match="square videos, got 16x32"):
        build_model(SMALL, VideoSpec(height=16, width=32), seed=0)
    with pytest.raises(UsageError, match="lower w_dim or num_ws"):
        model_of(identity=IdentityOptions(num_ws=8, w_dim=128))


def test_clips_are_encoded_as_the_cache_does():
    one, other = model_of(), model_of()
    video = torch.rand(4, 3, 5, 16, 16) * 2 - 1
    ws = one.backend.encode(video.transpose(1, 2).flatten(0, 1)).view(4, 5, 4, 8)
    clips = Clips(video, torch.arange(5.0).expand(4, -1), torch.full((4,), -1))
    found = one.train_clips(clips, one.configure_optimizers())
    want = other.train_batch({"latents": ws, "t": clips.times}, other.configure_optimizers())
    assert found.keys() == want.keys()
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_only_the_temporal_networks_learn_and_the_backend_stays_in_eval_mode():
    model = fitted()
    model.train()
    assert model.generator.training
    assert not model.backend.training
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizers = model.configure_optimizers()
    for _ in range(2):
        model.train_latents(latents(20).view(4, 5, 4, 8), optimizers)
        model.clips_seen += 4
    moved = {
        k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, before[k])
    }
    assert moved == {"generator", "critic", "angle"}


def test_reports_come_at_the_interval_and_from_the_averaged_generator():
    model = fitted(report_kclips=0.012)
    model.train()
    optimizers, due = model.configure_optimizers(), []
    for _ in range(7):
        scalars = model.train_latents(latents(20).view(4, 5, 4, 8), optimizers)
        due.append("report_phi" in scalars)
        model.clips_seen += 4
    assert due == [True, False, False] * 2 + [True]
    assert scalars["report_roughness_data"] > 0
    assert scalars["report_sigma_end"].shape == ()


def test_samples_have_the_scale_of_the_training_latents():
    model = fitted()
    for network in (model.generator, model.sampler):
        torch.testing.assert_close(network.scale.mean, latents(200).mean(0))
        torch.testing.assert_close(network.scale.std, latents(200).std(0, correction=0) + 1e-6)


def test_truncation_leads_to_the_mean_latent():
    whole, half, none = (
        model_of(truncation_psi=psi).sample(1, 4, source()) for psi in (1.0, 0.5, 0.0)
    )
    assert not none.any()  # the mean latent of this backend is grey
    assert 0 < float(half.abs().max()) < float(whole.abs().max())


def test_a_stream_has_the_frames_of_a_sample_and_leaves_the_mode_alone():
    model = fitted()
    model.train()
    parts = []
    for part in model.stream(2, 150, [source(0), source(1)]):
        assert model.generator.training
        parts.append(part)
    assert len(parts) > 3
    want = model.sample(2, 150, [source(0), source(1)])
    torch.testing.assert_close(torch.cat(parts, dim=2), want, rtol=0, atol=2e-5)
    with pytest.raises(UsageError, match="must be >= 1"):
        next(model.stream(1, 0, source()))


def test_ten_thousand_frames_in_constant_memory():
    model, resident, seen = fitted(), [], 0
    for part in model.stream(1, 10_000, source()):
        seen += part.shape[2]
        if STATM.exists():
            resident.append(int(STATM.read_text().split()[1]) * 4096)
    assert seen == 10_000
    # all frames together would take 31 MB
    assert not resident or max(resident[10:]) - resident[9] < 8e6


def test_videos_go_on_as_longer_ones_do():
    model = fitted()
    long = model.sample(1, 90, source())
    assert torch.equal(model.sample(1, 30, source()), long[:, :, :30])


def test_offset_moves_the_motion_to_another_subject():
    model = fitted(generator=replace(SMALL.generator, head="linear"))
    own = model.sample(2, 9, [source(0), source(1)])
    photos = model.backend.synthesis(latents(2, seed=5) * 0.5)
    (naive,) = model.animate(photos, 9, [source(0), source(1)], offset=Offset("first", 0))
    # The naive offset by the first frame starts at the photo itself, where nothing is clamped.
    torch.testing.assert_close(model.invert(photos), photos, rtol=0, atol=1e-5)
    torch.testing.assert_close(naive[:, :, 0], photos, rtol=0, atol=1e-4)
    assert naive.shape == own.shape

    # What the trick adds is orthogonal to the subject's motion, so that stays as it is.
    axes = model.offset.subspace(Offset(rank=3)).axes[0]
    (moved,) = model.animate(photos, 9, [source(0), source(1)])
    assert not torch.allclose(moved, own, atol=1e-3)

    def along(video):
        frames = video.transpose(1, 2).flatten(0, 1)
        return model.backend.encode(frames).flatten(1) @ axes.T

    torch.testing.assert_close(along(moved), along(own), rtol=0, atol=1e-4)


def test_directions_are_chosen_when_a_photograph_is_animated():
    model = fitted()
    torch.testing.assert_close(model.offset.mean, latents(200).mean(0))

    def ranks(**choice):
        axes = model.offset.subspace(Offset(**choice)).axes
        return [int(group.any(dim=1).sum()) for group in axes]

    # the latents move along 3 directions, of which 2 do not explain 95 %
    assert ranks() == [3]
    assert ranks(rank=5) == [3]
    assert [ranks(rank=k) for k in (0, 1)] == [[0], [1]]
    assert ranks(rank=1, per_style=True) == [1] * 4
    assert ranks(per_style=True) == [3] * 4
    with pytest.raises(UsageError, match="rank 6: the model keeps 5 directions, expected 0 to 5"):
        ranks(rank=6)
    with pytest.raises(UsageError, match="expected an integer >= 0"):
        Offset(rank=-1)
    with pytest.raises(UsageError, match="ref=last: expected one of mean, first"):
        Offset("last")
