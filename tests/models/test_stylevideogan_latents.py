"""Latent backends, scale, rollouts, the offset trick and the measures of sequences."""

import math
import weakref
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.models.stylevideogan.diagnostics import (
    codes_of_fixed_starts,
    distance_in_sigma,
    diversity,
    measure_angle,
    repeating_share,
    report,
    roughness,
)
from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.latents import (
    IdentityBackend,
    Moments,
    latent_moments,
    truncate,
)
from vgbench.models.stylevideogan.losses import GradientAngle
from vgbench.models.stylevideogan.offset import motion_subspace, transfer
from vgbench.models.stylevideogan.options import GeneratorOptions
from vgbench.models.stylevideogan.rollout import decode, endless_codes, rollout
from vgbench.nn.noise import seeded_generator

SMALL = GeneratorOptions(z_dim=6, memory_widths=(8,), trunk_widths=(8,))
STATM = Path("/proc/self/statm")


def generator_of(num_ws=4, w_dim=10, options=SMALL):
    torch.manual_seed(0)
    generator = Generator(options, num_ws, w_dim)
    generator.fit_scale(Moments(torch.randn(num_ws, w_dim), 0.5 + torch.rand(num_ws, w_dim)))
    return generator.eval()


def source(index=0):
    return seeded_generator(7, "test", index)


# The identity backend.


@pytest.mark.parametrize("count", [(4, 3), (6, 32)])
def test_identity_backend_inverts_its_pictures(count):
    backend = IdentityBackend(3, 8, *count)
    ws = 0.05 * torch.randn(5, *count)
    images = backend.synthesis(ws)
    assert images.shape == (5, 3, 8, 8)
    torch.testing.assert_close(backend.encode(images), ws, atol=1e-5, rtol=0)
    assert backend.w_avg.shape == count


def test_identity_backend_is_orthonormal_and_mixed():
    basis = IdentityBackend(3, 8, 6, 16).basis.flatten(0, 1).flatten(1)
    torch.testing.assert_close(basis @ basis.t(), torch.eye(96), atol=1e-5, rtol=0)
    # no single cosine or pixel decides a latent
    assert float(basis.abs().max()) < 0.8


def test_identity_backend_keeps_all_pixels_if_it_can():
    backend = IdentityBackend(3, 8, 6, 32)
    images = 2 * torch.rand(2, 3, 8, 8) - 1
    torch.testing.assert_close(backend.synthesis(backend.encode(images)), images, atol=1e-5, rtol=0)


def test_identity_backend_keeps_what_is_smooth():
    x = torch.linspace(-1, 1, 16)
    smooth = (0.5 * x[:, None] * x + 0.3 * x).expand(1, 3, 16, 16)
    noise = torch.rand(1, 3, 16, 16) - 0.5
    backend = IdentityBackend(3, 16, 8, 12)
    lost = [float((backend.synthesis(backend.encode(y)) - y).norm() / y.norm()) for y in
            (smooth, noise)]  # fmt: skip
    assert lost[0] < 0.1
    assert lost[1] > 0.8


def test_identity_backend_refuses_more_latents_than_pixels():
    with pytest.raises(UsageError, match="expected 200 <= 192"):
        IdentityBackend(3, 8, 10, 20)


# Scale and truncation.


def test_moments_are_those_of_all_frames():
    frames = 3 + 2 * torch.randn(50, 4, 5)
    found = latent_moments(iter([frames[:7], frames[7:8], frames[8:]]))
    torch.testing.assert_close(found.mean, frames.double().mean(0))
    torch.testing.assert_close(found.std, frames.double().std(0, correction=0))
    with pytest.raises(UsageError, match="at least one frame"):
        latent_moments([])


def test_truncation_keeps_a_share_of_the_distance():
    ws, center = torch.randn(2, 3, 4, 5), torch.randn(4, 5)
    assert torch.equal(truncate(ws, center, 0.0), center.expand_as(ws))
    torch.testing.assert_close(truncate(ws, center, 1.0), ws)
    torch.testing.assert_close(truncate(ws, center, 0.7) - center, 0.7 * (ws - center))


# Rollouts.


def test_rollout_is_the_generator():
    generator = generator_of()
    first = torch.randn(2, 6)
    ws = next(rollout(generator, 2, 65, source(), first))
    motion = torch.randn((2, 64, 6), generator=source())
    torch.testing.assert_close(ws, generator.scale.restore(generator(first, motion)))


@pytest.mark.parametrize("frames", [1, 2, 64, 65, 66, 200])
def test_rollout_has_the_frames_asked_for_and_starts_as_any_longer_one(frames):
    generator = generator_of()
    short = torch.cat(list(rollout(generator, 2, frames, source())), dim=1)
    long = torch.cat(list(rollout(generator, 2, 300, source())), dim=1)
    assert short.shape == (2, frames, 4, 10)
    torch.testing.assert_close(short, long[:, :frames])


def test_clips_depend_on_their_own_source_alone():
    generator = generator_of()
    both = torch.cat(list(rollout(generator, 2, 100, [source(0), source(1)])), dim=1)
    alone = torch.cat(list(rollout(generator, 1, 100, [source(1)])), dim=1)
    torch.testing.assert_close(both[1:], alone)


def test_blocks_carry_the_state_on():
    generator = generator_of()
    blocks = endless_codes(generator, 1, source())
    codes = torch.cat([next(blocks) for _ in range(3)], dim=1)
    draws, stream = [], source()
    first = torch.randn((1, 6), generator=stream)
    draws = torch.cat([torch.randn((1, 64, 6), generator=stream) for _ in range(3)], dim=1)
    torch.testing.assert_close(codes, generator.codes(first, draws).detach())


def test_rollout_refuses_training_mode():
    with pytest.raises(ValueError, match="eval mode"):
        next(rollout(generator_of().train(), 2, 10, source()))


def test_ten_thousand_frames_in_constant_memory():
    generator = generator_of(18, 128, GeneratorOptions())
    blocks, alive, resident, seen = rollout(generator, 1, 10_000, source()), [], [], 0
    for ws in blocks:
        assert not ws.requires_grad
        alive.append(weakref.ref(ws))
        seen += ws.shape[1]
        if STATM.exists():
            resident.append(int(STATM.read_text().split()[1]) * 4096)
    assert seen == 10_000
    assert sum(block() is not None for block in alive) <= 1
    # all frames together would take 92 MB
    if resident:
        assert max(resident[10:]) - resident[9] < 20e6


def test_pictures_are_decoded_a_few_at_a_time_and_truncated():
    generator, backend = generator_of(3, 16), IdentityBackend(3, 8, 3, 16)
    blocks = list(rollout(generator, 2, 100, source()))
    images = list(decode(blocks, backend, psi=0.5))
    assert [part.shape[2] for part in images] == [32, 32, 1, 32, 3]
    want = backend.synthesis(0.5 * torch.cat(blocks, dim=1)[1])
    torch.testing.assert_close(torch.cat(images, dim=2)[1], want.transpose(0, 1))


# The offset trick.


def latents(*rows):
    return torch.tensor(rows, dtype=torch.float64)[:, None]


CROSS = latents((3, 0, 0), (-3, 0, 0), (0, 1, 0), (0, -1, 0))
TURNED = latents(
    (13.4641016151, 0), (6.5358983849, -4), (9.75, -1.5669872981), (10.25, -2.4330127019)
)


@pytest.mark.parametrize(
    ("rank", "rest"), [(0, (2, 5, 7)), (1, (0, 5, 7)), (2, (0, 0, 7)), (9, (0, 0, 7))]
)
def test_directions_of_motion_are_removed(rank, rest):
    subspace = motion_subspace(CROSS, rank)
    offset = subspace.remove(latents((2, 5, 7)) - subspace.mean)
    torch.testing.assert_close(offset, latents(rest), rtol=0, atol=1e-12)


def test_variances_are_of_the_frames():
    variances = motion_subspace(CROSS, 2).variances[0]
    torch.testing.assert_close(variances, torch.tensor([6, 2 / 3]).double())


def test_offset_of_a_turned_cross():
    subspace, target = motion_subspace(TURNED, 1), latents((12, 1))
    torch.testing.assert_close(subspace.mean, latents((10, -2))[0])
    offset = subspace.remove(target - subspace.mean)
    want = latents((-0.7990381057, 1.3839745962))
    torch.testing.assert_close(offset, want, rtol=0, atol=1e-9)
    assert float(offset.norm()) == pytest.approx(1.5980762114, abs=1e-9)
    naive = subspace.first(0).remove(target - subspace.mean)
    near = {"rtol": 0, "atol": 1e-7}
    torch.testing.assert_close(TURNED[:1] + naive, latents((15.4641016, 3)), **near)
    torch.testing.assert_close(TURNED[:1] + offset, latents((12.6650635, 1.3839746)), **near)


def along(subspace, ws):
    """Length of latents from the mean along the directions of a subspace of one group."""
    return ((ws - subspace.mean).flatten(-2) @ subspace.axes[0].t()).norm(dim=-1)


@pytest.mark.parametrize(("rank", "length"), [(1, 4.0), (0, 7.2320508)])
def test_motion_survives_the_trick_alone(rank, length):
    subspace, target = motion_subspace(TURNED, 1), latents((12, 1))
    (moved,) = transfer([TURNED[None, :1]], target, subspace.first(rank))
    assert float(along(subspace, moved[0, 0])) == pytest.approx(length, abs=1e-7)


def test_properties_of_the_projection():
    torch.manual_seed(0)
    frames, target = torch.randn(40, 3, 5).double(), torch.randn(1, 3, 5).double()
    subspace = motion_subspace(frames, 4)
    once = subspace.remove(target)
    torch.testing.assert_close(subspace.remove(once), once)
    inside = (torch.randn(4).double() @ subspace.axes[0]).view(1, 3, 5)
    torch.testing.assert_close(subspace.remove(inside), torch.zeros(1, 3, 5).double())
    assert torch.equal(motion_subspace(frames, 0).remove(target), target)


def test_rank_explains_the_variance():
    torch.manual_seed(0)
    sizes = torch.tensor([10, 5, 1, 0.1]).double()
    frames = (torch.randn(500, 4).double() * sizes)[:, None]
    # 100 + 25 of 126 are 99 %, 100 alone 79 %
    for share, rank in ((0.95, 2), (0.7, 1), (0.999, 3), (1.0, 4)):
        kept = motion_subspace(frames, 4).explaining(share)
        assert int((kept.variances > 0).sum()) == rank
        assert int((kept.axes != 0).any(dim=2).sum()) == rank
    # what is not kept counts as well
    assert int((motion_subspace(frames, 1).explaining(0.95).variances > 0).sum()) == 1


def test_style_vectors_by_themselves():
    torch.manual_seed(0)
    flat, round_ = torch.zeros(100, 6), torch.randn(100, 6)
    flat[:, 0] = torch.randn(100)
    frames = torch.stack((flat, round_), 1)
    subspace = motion_subspace(frames, 32, per_style=True)
    assert [int((v > 0).sum()) for v in subspace.variances] == [1, 6]
    assert [int((v > 0).sum()) for v in subspace.explaining(0.5).variances] == [1, 3]
    (offset,) = subspace.remove(torch.ones(1, 2, 6))
    torch.testing.assert_close(offset, torch.stack((torch.ones(6), torch.zeros(6))) *
                               (torch.arange(6) > 0), atol=1e-6, rtol=0)  # fmt: skip


def test_first_frame_as_reference():
    torch.manual_seed(0)
    blocks = list(rollout(generator_of(), 2, 100, source()))
    subspace = motion_subspace(torch.cat(blocks, 1).flatten(0, 1), 3)
    targets = torch.randn(2, 4, 10)
    moved = list(transfer(iter(blocks), targets, subspace.first(0), ref="first"))
    torch.testing.assert_close(moved[0][:, 0], targets)
    offset = moved[1] - blocks[1]
    torch.testing.assert_close(offset, (targets - blocks[0][:, 0])[:, None].expand_as(offset))
    assert moved[0].dtype == torch.float32


def test_wrong_ranks_are_refused():
    for frames, rank in ((CROSS, -1), (CROSS[:1], 1)):
        with pytest.raises(UsageError, match="expected 2 frames or more and a rank >= 0"):
            motion_subspace(frames, rank)


# Measures.


def test_diversity_is_the_spread_over_motions():
    torch.manual_seed(0)
    starts, motion = torch.randn(50, 1, 1, 6), torch.randn(50, 40, 9, 6)
    growing = torch.arange(9.0)[:, None]
    found = diversity(starts + growing * motion)
    torch.testing.assert_close(found, torch.arange(9.0), rtol=0.02, atol=0)
    assert float(diversity(starts.expand(50, 40, 9, 6)).max()) == pytest.approx(0, abs=1e-6)


def test_codes_of_a_fixed_start_begin_alike():
    codes = codes_of_fixed_starts(generator_of(), 3, 4, 5, source())
    assert codes.shape == (3, 4, 6, 6)
    per_frame = diversity(codes)
    assert float(per_frame[0]) == pytest.approx(0, abs=1e-6)
    assert float(per_frame[1:].min()) > 1e-4
    assert float(codes[:, 0, 0].std()) > 0.3


def test_untrained_generators_ignore_their_motion_codes():
    generator, angle = generator_of(4, 10, GeneratorOptions()), GradientAngle(32).eval()
    phi = measure_angle(generator, angle, 16, 24, source()).phi
    assert 0 < float(phi.min()) <= float(phi.max()) < 0.15
    assert not phi.requires_grad
    assert all(p.grad is None for p in generator.parameters())


def test_roughness_is_the_length_of_a_step():
    step = torch.randn(3, 5)
    walk = torch.arange(7.0)[:, None, None] * step
    torch.testing.assert_close(roughness(walk.expand(2, 7, 3, 5)), step.norm())


def test_distance_in_sigma():
    torch.manual_seed(0)
    mean, std = torch.randn(3, 5), 0.5 + torch.rand(3, 5)
    data = mean + std * torch.randn(200, 4, 3, 5)
    torch.testing.assert_close(distance_in_sigma(data, mean, std), torch.ones(4), rtol=0.05, atol=0)
    far = mean + 3 * std
    torch.testing.assert_close(
        distance_in_sigma(far.expand(1, 2, 3, 5), mean, std), torch.full((2,), 3.0)
    )


def circle(frames, period):
    angle = 2 * math.pi * torch.arange(frames) / period
    return torch.stack((angle.cos(), angle.sin()), 1)


def smooth_noise(frames):
    torch.manual_seed(0)
    noise = torch.nn.functional.avg_pool1d(torch.randn(4, frames + 15), 16, 1).t()
    return (noise - noise.mean(dim=0)) / noise.std(dim=0)


def test_loops_repeat_and_noise_does_not():
    assert repeating_share(circle(512, 37)) == 1
    assert repeating_share(torch.ones(512, 3)) == 1
    assert repeating_share(smooth_noise(512)) < 0.05
    # what moves little by the measure of the data repeats
    assert repeating_share(0.1 * smooth_noise(512) + 5) == 1


def test_only_what_is_shown_twice_repeats():
    noise = smooth_noise(512)
    twice = torch.cat((noise[:312], noise[100:300]))
    # 185 segments of the repeated 200 frames, in both places
    share = repeating_share(twice, tolerance=0.1)
    assert share == pytest.approx(2 * 185 / 497, abs=0.01)


def test_tolerance_decides_what_is_alike():
    noise = smooth_noise(256)
    torch.manual_seed(1)
    blurred = torch.cat((noise, noise + 0.05 * noise.std() * torch.randn_like(noise)))
    shares = [repeating_share(blurred, tolerance=t) for t in (0.01, 0.1)]
    assert shares[0] == 0
    assert shares[1] > 0.9


def test_longer_segments_repeat_less():
    shares = [repeating_share(smooth_noise(400), segment=s, tolerance=0.4) for s in (1, 4, 16)]
    assert [a > b for a, b in pairwise(shares)] == [True, True]


def test_report_names_what_is_logged():
    generator = generator_of()
    angle = GradientAngle(6).eval()
    before = {k: v.clone() for k, v in generator.state_dict().items()}
    found = report(generator, angle, torch.randn(4, 9, 4, 10), source(), long_frames=80)
    assert set(found) == {
        "phi", "spread", "diversity", "roughness", "roughness_data", "sigma_start", "sigma_end",
        "repeating",
    }  # fmt: skip
    assert all(math.isfinite(value) for value in found.values())
    after = generator.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert found == report(generator, angle, torch.randn(4, 9, 4, 10), source(), 80) | {
        "roughness_data": found["roughness_data"]
    }
