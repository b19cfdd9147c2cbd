"""The frames that StyleInV's discriminators see, and the discriminators."""

import subprocess
import sys

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.models.styleinv.discriminator import StackedDiscriminator, build_discriminator
from vgbench.models.styleinv.generator import Rollout
from vgbench.models.styleinv.options import (
    PRESETS,
    DiscriminatorOptions,
    EncoderOptions,
    LossOptions,
    MotionOptions,
    SparseOptions,
    StyleOptions,
)
from vgbench.models.styleinv.sparse import real_times, shown, times_to_generate
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.sampling import FirstFrameSparse, Sparse

TINY = Pyramid(32, channel_base=256, channel_max=16)
KINDS = ["stylegan-v", "ffc", "digan"]


def rollout(t=4, b=3):
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(b, 3, t, 32, 32, generator=generator)
    x0 = torch.randn(b, 3, 32, 32, generator=generator)
    times = torch.tensor([[0.0, 5.0, 6.0, 9.0]])[:, :t].expand(b, -1)
    return Rollout(x0, torch.zeros(b, 2), torch.zeros(b, t, 2), video, times)


def test_the_image_stands_in_for_the_first_frame():
    made = rollout()
    seen = shown(made, SparseOptions())
    assert torch.equal(seen.video[:, :, 0], made.x0)
    assert torch.equal(seen.video[:, :, 1:], made.video[:, :, 1:])
    assert torch.equal(seen.frame_index, made.frame_index)


def test_the_generated_first_frame_can_be_seen_or_none():
    made = rollout()
    assert torch.equal(shown(made, SparseOptions(first_from="generated")).video, made.video)
    without = shown(made, SparseOptions(include_first=False))
    assert torch.equal(without.video, made.video[:, :, 1:])
    assert torch.equal(without.frame_index, made.frame_index[:, 1:])


def test_generated_frames_have_the_times_of_real_ones():
    options, generator = SparseOptions(clip=128), torch.Generator()
    given = torch.tensor([[0.0, 3.0, 9.0, 40.0], [0.0, 90.0, 91.0, 127.0]])
    real = real_times(given / 127, options)
    assert torch.equal(real, given)
    assert torch.equal(times_to_generate(real, options, generator), given)
    no_first = SparseOptions(include_first=False)
    sparse = real_times(given[:, 1:], no_first)
    assert torch.equal(times_to_generate(sparse, no_first, generator), given)


def test_fractions_of_a_frame_move_all_sparse_frames_of_a_video_alike():
    options = SparseOptions(fractional_offset=True)
    real = torch.tensor([[0.0, 3.0, 9.0, 40.0]]).expand(400, -1)
    generators = [torch.Generator().manual_seed(i) for i in range(400)]
    times = times_to_generate(real, options, generators)
    moved = times - real
    assert (moved[:, 0] == 0).all()
    torch.testing.assert_close(moved[:, 1:], moved[:, 1:2].expand(-1, 3), rtol=0, atol=1e-5)
    assert 0 <= moved[:, 1].min() < 0.02
    assert 0.98 < moved[:, 1].max() < 1
    late = times_to_generate(real + 87, options, generators)
    assert (late[:, 1:] == real[:, 1:] + 87).all()
    alone = times_to_generate(real[5:6], options, [torch.Generator().manual_seed(5)])
    assert torch.equal(alone[0], times[5])


def test_policies_of_real_frames():
    assert SparseOptions().policy == FirstFrameSparse(4, 32, "uniform", 128)
    assert SparseOptions(include_first=False, clip=64).policy == Sparse(3, 32, "uniform", 64)
    assert (SparseOptions().shown, SparseOptions(include_first=False).shown) == (4, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_logits_depend_on_every_frame_and_distance(kind):
    torch.manual_seed(0)
    network = build_discriminator(DiscriminatorOptions(kind, 8), SparseOptions(), TINY, 1)
    made = rollout()
    with torch.no_grad():
        logits = network(made.video, made.frame_index)
        assert logits.shape == (3,)
        for frame in range(4):
            other = made.video.clone()
            other[:, :, frame] += 1
            assert (network(other, made.frame_index) != logits).all()
        later = made.frame_index.clone()
        later[:, 3:] += 2
        assert (network(made.video, later) != logits).all()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_order_of_the_batch_does_not_matter_while_groups_stay(kind):
    torch.manual_seed(0)
    network = build_discriminator(DiscriminatorOptions(kind, 8), SparseOptions(), TINY, 2)
    network, made = network.double(), rollout(b=6)
    video, times = made.video.double(), made.frame_index + torch.arange(6)[:, None] % 2
    times = (times * (times > 1)).double()
    logits = network(video, times)
    # groups are (0, 3), (1, 4), (2, 5)
    kept = torch.tensor([5, 3, 4, 2, 0, 1])
    torch.testing.assert_close(network(video[kept], times[kept]), logits[kept])
    mixed = torch.tensor([0, 3, 1, 2, 4, 5])
    assert (network(video[mixed], times[mixed]) - logits[mixed]).abs().max() > 1e-6


def test_numbers_of_parameters_are_those_of_the_paper():
    counts = []
    for kind in KINDS:
        with torch.device("meta"):
            network = build_discriminator(DiscriminatorOptions(kind), SparseOptions(), Pyramid(256))
        counts.append(sum(p.numel() for p in network.parameters()))
    assert counts == [26_547_008, 40_835_392, 24_001_857]


@torch.no_grad()
def test_stacked_maps_are_frames_and_distances():
    network = StackedDiscriminator(TINY, FrameFusion(4, max_frames=11))
    seen = []
    network.image.register_forward_pre_hook(lambda _, given: seen.append(given[0][:, :, 0]))
    made = rollout(b=4)
    network(made.video, made.frame_index)
    (maps,) = seen
    assert maps.shape == (4, 15, 32, 32)
    assert torch.equal(maps[:, 3:6], made.video[:, :, 1])
    torch.testing.assert_close(maps[0, 12:, 7, 3], torch.tensor([0.5, 0.1, 0.3]))


REFUSED = [
    (lambda: MotionOptions(distance=0), "motion.distance=0"),
    (lambda: MotionOptions(anchor_net="gru"), "model.motion.anchor_net=gru"),
    (lambda: MotionOptions(max_period=8), "motion.max_period=8"),
    (lambda: StyleOptions(layers=0), "model.style.layers=0"),
    (lambda: EncoderOptions(kind="lstm"), "model.encoder.kind=lstm"),
    (lambda: EncoderOptions(modulation="film"), "model.encoder.modulation=film"),
    (lambda: EncoderOptions(base_width=4), "base_width=4"),
    (lambda: SparseOptions(first_from="photo"), "model.sparse.first_from=photo"),
    (lambda: SparseOptions(span_set="any"), "model.sparse.span_set=any"),
    (lambda: SparseOptions(clip=2), "clip=2"),
    (lambda: DiscriminatorOptions("mocogan"), "model.disc.kind=mocogan"),
    (lambda: LossOptions(recon=-1.0), "model.loss.recon=-1"),
    (lambda: LossOptions(recon_space="z"), "model.loss.recon_space=z"),
    (lambda: DiscriminatorOptions("ffc").fusion(SparseOptions(include_first=False)), "ffc"),
    (lambda: DiscriminatorOptions("ffc").fusion(SparseOptions(frames=1)), "ffc"),
]


@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_wrong_options_are_refused_by_name(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_options_are_imported_without_torch():
    modules = ("vgbench.models.styleinv.options", "vgbench.models.inverter_config")
    program = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


GROUPS = {
    kind.group: kind
    for kind in (MotionOptions, StyleOptions, EncoderOptions, SparseOptions, LossOptions)
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_made_of_options_that_exist(name):
    for group, options in PRESETS[name].items():
        made = GROUPS[group](**options)
        assert all(getattr(made, option) == value for option, value in options.items())
