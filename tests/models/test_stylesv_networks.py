"""StyleSV's generator; its discriminator is tested with those of StyleGAN2."""

from dataclasses import replace

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.models.stylesv.generator import Generator
from vgbench.models.stylesv.options import MotionFusion
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan3.options import LayerSchedule

BUFFER = MotionFusion(learn_mask=False)
RELEASED = replace(BUFFER, reference_compat=True)
TINY = LayerSchedule(32, channel_base=128, channel_max=16, num_layers=5)
MOTION = MotionConfig(z_dim=8, v_dim=8, frequencies=6, kernel=3, max_period=64)


def size(build, part=""):
    """Number of parameters of a network, or of a part, without memory for them."""
    with torch.device("meta"):
        return sum(p.numel() for p in build().get_submodule(part).parameters())


def paper(resolution, fusion):
    return lambda: Generator(LayerSchedule(resolution), MotionConfig(), fusion)


SIZES = {
    "256": (paper(256, BUFFER), 30_400_379),
    "64": (paper(64, BUFFER), 39_380_491),
    "256-learned-mask": (paper(256, MotionFusion()), 30_400_891),
    "64-learned-mask": (paper(64, MotionFusion()), 39_381_003),
    "256-rank-1": (paper(256, replace(RELEASED, low_rank=1)), 33_178_764),
    "256-rank-8": (paper(256, replace(RELEASED, low_rank=8)), 33_803_437),
    "64-rank-1": (paper(64, replace(RELEASED, low_rank=1)), 43_023_401),
    "64-rank-8": (paper(64, replace(RELEASED, low_rank=8)), 43_842_828),
    # The form that learns has one gain per layer more.
    "256-rank-8-learned": (paper(256, replace(BUFFER, low_rank=8)), 33_803_437 + 15),
}
PARTS = {
    "mapping": 525_312,
    "synthesis.motion_encoder": 6_292_480,
    "synthesis.input": 526_852,
    "synthesis.affine_w": 524_800,
}


@pytest.mark.parametrize("name", SIZES)
def test_numbers_of_parameters_are_the_published_ones(name):
    build, parameters = SIZES[name]
    assert size(build) == parameters


@pytest.mark.parametrize("resolution", [256, 64])
def test_parts_have_the_published_numbers_of_parameters(resolution):
    build = paper(resolution, BUFFER)
    assert {part: size(build, part) for part in PARTS} == PARTS


def generator(c_dim=0, **fusion):
    torch.manual_seed(0)
    fusion = MotionFusion(**{"mask_init": 1.0, **fusion})
    return Generator(TINY, MOTION, fusion, z_dim=8, c_dim=c_dim, w_dim=12)


def latents(n=2, frames=5, last=40.0):
    draw = torch.Generator().manual_seed(1)
    t = torch.linspace(0, last, frames).expand(n, -1)
    length = MOTION.noise_length(last)
    return torch.randn(n, 8, generator=draw), t, torch.randn(n, length, 8, generator=draw)


@torch.no_grad()
@pytest.mark.parametrize("fuse", ["concat", "add"])
def test_frames_move_and_a_masked_motion_leaves_an_image(fuse):
    z, t, motion_z = latents()
    video = generator(fuse=fuse)(z, t, motion_z)
    assert video.shape == (2, 3, 5, 32, 32)
    assert (video[:, :, 1:] - video[:, :, :-1]).abs().amax((1, 3, 4)).min() > 1e-2
    still = generator(fuse=fuse, mask_init=0.0)(z, t, motion_z)
    torch.testing.assert_close(still, still[:, :, :1].expand_as(still), rtol=0, atol=1e-5)
    assert (still[0] - still[1]).abs().max() > 1e-2


@torch.no_grad()
def test_frames_by_themselves_are_those_of_the_whole_video():
    network, (z, t, motion_z) = generator(low_rank=2), latents()
    whole = network(z, t, motion_z)
    parts = [network(z, part, motion_z) for part in t.split(2, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=0, atol=1e-5)
    one = network(z[1:], t[1:, 2:3], motion_z[1:])
    torch.testing.assert_close(one[0, :, 0], whole[1, :, 2], rtol=0, atol=1e-5)


@torch.no_grad()
def test_content_may_drift_from_one_style_to_another():
    network, (z, t, motion_z) = generator(), latents(1)
    a, b = network.styles(torch.cat([z, -z]))
    share = torch.linspace(0, 1, t.shape[1])[:, None, None]
    v = network.motion(t, motion_z)
    drifting = network.frames(torch.lerp(a, b, share)[None], v)
    first, last = (network.frames(ws.expand(1, t.shape[1], -1, -1), v) for ws in (a, b))
    torch.testing.assert_close(drifting[:, :, 0], first[:, :, 0], rtol=0, atol=1e-5)
    torch.testing.assert_close(drifting[:, :, -1], last[:, :, -1], rtol=0, atol=1e-5)
    assert (drifting - first)[:, :, -1].abs().max() > 1e-2


def test_the_mean_style_moves_when_asked_and_truncation_leads_to_it():
    network, (z, _, _) = generator(), latents()
    before = network.mapping.w_avg.clone()
    w = network.styles(z)[:, 0]
    assert torch.equal(network.mapping.w_avg, before)
    network.styles(z, update_emas=True)
    torch.testing.assert_close(network.mapping.w_avg, (0.002 * w.mean(dim=0)).detach())
    typical = network.styles(z, truncation_psi=0.0)[:, 0]
    torch.testing.assert_close(typical, network.mapping.w_avg.expand(2, -1))


@pytest.mark.parametrize("low_rank", [0, 2])
@pytest.mark.parametrize("fuse", ["concat", "add"])
def test_every_parameter_has_a_gradient(fuse, low_rank):
    network = generator(c_dim=3, fuse=fuse, low_rank=low_rank)
    for name, parameter in network.named_parameters():
        if name.endswith("gain_t"):
            torch.nn.init.constant_(parameter, 0.5)
    z, t, motion_z = latents()
    labels = torch.eye(3)[:2]
    network(z, t, motion_z, labels).square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_widths_that_cannot_be_added_are_refused():
    with pytest.raises(UsageError, match="as wide as motion codes, got 8 and 12"):
        Generator(TINY, MOTION, MotionFusion(fuse="add"), z_dim=8, w_dim=8)
    with pytest.raises(UsageError, match=r"channels of the input .* got 16 and 12"):
        generator(fuse="add", reference_compat=True)
