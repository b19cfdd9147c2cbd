"""StyleGAN-V's generator; its discriminator is tested with those of StyleGAN2."""

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.models.stylegan_v.generator import Generator
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan2.options import Pyramid

TINY = Pyramid(32, channel_base=256, channel_max=16)
MOTION = MotionConfig(z_dim=8, v_dim=8, frequencies=6, kernel=3, max_period=64, curve="linear")
MODES = ["concat_const", "concat_w", "sum_w"]


def paper(resolution):
    return lambda: Generator(Pyramid(resolution), MotionConfig(curve="linear"))


SIZES = {
    "256": (paper(256), "", 32_105_941),
    "64": (paper(64), "", 31_158_031),
    "mapping": (paper(64), "mapping", 525_312),
    "motion": (paper(64), "synthesis.motion_encoder", 6_292_480),
}


@pytest.mark.parametrize("name", SIZES)
def test_numbers_of_parameters_are_the_published_ones(name):
    build, part, parameters = SIZES[name]
    with torch.device("meta"):
        network = build().get_submodule(part)
    assert sum(p.numel() for p in network.parameters()) == parameters


def generator(conditioning, **options):
    torch.manual_seed(0)
    return Generator(TINY, MOTION, conditioning, z_dim=8, w_dim=12, **options)


def latents(n=2, frames=5, last=40.0):
    draw = torch.Generator().manual_seed(1)
    t = torch.linspace(0, last, frames).expand(n, -1)
    length = MOTION.noise_length(last)
    return torch.randn(n, 8, generator=draw), t, torch.randn(n, length, 8, generator=draw)


@torch.no_grad()
@pytest.mark.parametrize("conditioning", MODES)
def test_frames_move_and_can_be_rendered_one_by_one(conditioning):
    network, (z, t, motion_z) = generator(conditioning), latents()
    whole = network(z, t, motion_z)
    assert whole.shape == (2, 3, 5, 32, 32)
    assert (whole[:, :, 1:] - whole[:, :, :-1]).abs().amax((1, 3, 4)).min() > 1e-2
    parts = [network(z, part, motion_z) for part in t.split(2, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=2), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_noise_of_pixels_does_not_flicker():
    network, (z, t, motion_z) = generator("concat_w", use_noise=True), latents()
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.5)
    still = network(z, torch.zeros_like(t), motion_z)
    torch.testing.assert_close(still, still[:, :, :1].expand_as(still), rtol=0, atol=1e-5)
    assert (still - generator("concat_w")(z, torch.zeros_like(t), motion_z)).abs().max() > 1e-2


@torch.no_grad()
def test_motion_enters_the_constant_alone_or_every_style():
    for conditioning in MODES:
        network = generator(conditioning)
        ws, v = torch.randn(1, network.num_ws, 12), torch.randn(2, 12)
        starts = network.synthesis.b4.input(v)
        assert torch.equal(starts[0], starts[1]) == (conditioning != "concat_const")
        assert starts.shape == (2, 28 if conditioning == "concat_const" else 16, 4, 4)
        affine = network.synthesis.get_submodule("b32.torgb.affine")
        assert affine.weight.shape[1] == (24 if conditioning == "concat_w" else 12)
        frames = network.synthesis(ws.expand(2, -1, -1), v)
        assert (frames[0] - frames[1]).abs().max() > 1e-3


@pytest.mark.parametrize("conditioning", MODES)
def test_every_parameter_has_a_gradient(conditioning):
    network, (z, t, motion_z) = generator(conditioning, c_dim=3, use_noise=True), latents()
    network(z, t, motion_z, torch.eye(3)[:2]).square().mean().backward()
    silent = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_styles_as_wide_as_motion_codes_can_be_added():
    with pytest.raises(UsageError, match="as wide as motion codes, got 8 and 12"):
        Generator(TINY, MOTION, "sum_w", w_dim=8)
