"""StyleInV's motion, styles and frames: what depends on what, at any time and in any chunks."""

import pytest
import torch

from vgbench.models.stylegan2.generator import Generator
from vgbench.models.styleinv.generator import PrincipalResidual, StyleInversion, roll_out
from vgbench.models.styleinv.losses import generator_losses
from vgbench.models.styleinv.motion import TemporalStyle, build_motion_encoder
from vgbench.models.styleinv.options import (
    EncoderOptions,
    LossOptions,
    MotionOptions,
    StyleOptions,
)
from vgbench.nn.encoder.inversion import WEncoder
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.stylegan2.options import Pyramid

MOTION = MotionOptions(8, 8, 16, 6, 16, 128, 5)
STYLE = StyleOptions(dim=12)
ENCODER = EncoderOptions(base_width=16, units=(1, 1, 1, 1))
W_DIM = 12


def count(network):
    return sum(p.numel() for p in network.parameters())


def motion_encoder(**options):
    torch.manual_seed(0)
    options = {"z_dim": 8, "v_dim": 8, "frequencies": 6, "kernel": 5} | options
    return build_motion_encoder(MotionOptions(**options)).double()


def noise(encoder, last, seed=1, b=2):
    generator = torch.Generator().manual_seed(seed)
    shape = (b, encoder.config.noise_length(last), encoder.config.z_dim)
    return torch.randn(shape, generator=generator).double()


def test_numbers_of_parameters_at_full_size():
    with torch.device("meta"):
        mapping = TemporalStyle(MotionOptions(), StyleOptions())
        network = StyleInversion(EncoderOptions(), MotionOptions(), StyleOptions())
    assert count(mapping.motion_encoder) == 6_292_992
    assert count(mapping) == 7_080_448
    assert count(mapping.fcf0) + count(mapping.fcf1) == 787_456
    assert round(count(network) / 1e6, 2) == 46.53


@pytest.mark.parametrize("anchor_net", ["conv", "lstm"])
@torch.no_grad()
def test_code_at_time_0_does_not_depend_on_the_noise(anchor_net):
    encoder, t = motion_encoder(anchor_net=anchor_net), torch.tensor([[0.0, 1.0]]).double()
    a, b = (encoder(t.expand(2, -1), noise(encoder, 1, seed)) for seed in (1, 2))
    assert torch.equal(a[:, 0], b[:, 0])
    assert torch.equal(a[0, 0], a[1, 0])
    assert (a[:, 1] - b[:, 1]).abs().max() > 1e-4


@pytest.mark.parametrize("anchor_net", ["conv", "lstm"])
@torch.no_grad()
def test_code_at_time_0_depends_on_the_noise_without_first_frame_awareness(anchor_net):
    encoder = motion_encoder(anchor_net=anchor_net, first_frame_aware=False)
    t = torch.zeros(2, 1).double()
    a, b = (encoder(t, noise(encoder, 0, seed)) for seed in (1, 2))
    assert (a - b).abs().max() > 1e-4


@pytest.mark.parametrize("anchor_net", ["conv", "lstm"])
@pytest.mark.parametrize("aware", [True, False])
@torch.no_grad()
def test_waves_cancel_at_control_points(anchor_net, aware):
    encoder = motion_encoder(anchor_net=anchor_net, first_frame_aware=aware)
    anchors = torch.arange(40).double()
    z = noise(encoder, 40 * 16)
    codes = encoder((16 * anchors).expand(2, -1), z)
    linear = encoder.time_encoder.aligners_predictor(encoder.trajectory(z)[:, :40])
    torch.testing.assert_close(codes, linear, rtol=0, atol=1e-10)


@torch.no_grad()
def test_control_points_depend_on_the_past_only():
    encoder = motion_encoder(kernel=5)
    z = noise(encoder, 300)
    points = encoder.trajectory(z)
    for changed in (3, 7):
        other = z.clone()
        other[:, changed] += 1
        moved = (encoder.trajectory(other) - points).abs().amax(dim=(0, 2)) > 0
        # two convolutions that each see two vectors back
        assert moved.nonzero().flatten().tolist() == list(range(changed, changed + 5))


@torch.no_grad()
def test_videos_move_along_a_line_within_the_first_distance():
    encoder = motion_encoder()
    t = torch.tensor([[0.0, 4.0, 8.0, 12.0]]).double().expand(2, -1)
    codes = encoder(t, noise(encoder, 16))
    apart = codes[0] - codes[1]
    for i in range(4):
        torch.testing.assert_close(apart[i], apart[3] * i / 3)


@pytest.mark.parametrize("aware", [True, False])
@torch.no_grad()
def test_chunks_with_one_noise_make_the_whole(aware):
    encoder = motion_encoder(first_frame_aware=aware)
    t, z = torch.arange(0, 300, 2.5).double().expand(2, -1), noise(encoder, 300)
    whole = encoder(t, z)
    parts = [encoder(part, z[:, : encoder.config.noise_length(float(part.max()))])
             for part in t.split(17, dim=1)]  # fmt: skip
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)


@torch.no_grad()
def test_temporal_styles_need_not_see_the_content():
    for sees in (True, False):
        torch.manual_seed(0)
        mapping = TemporalStyle(MOTION, StyleOptions(dim=12, concat_content=sees), W_DIM)
        z = torch.randn(2, 4, 8)
        t, w0 = torch.tensor([[0.0, 20.0]]).expand(2, -1), torch.randn(2, W_DIM)
        changed = (mapping(w0, t, z) - mapping(w0 + 1, t, z)).abs().max()
        assert (changed > 0) == sees


def made(encoder=ENCODER, **modules):
    """A tiny network, its frozen generator and some styles of first frames."""
    torch.manual_seed(0)
    pyramid = Pyramid(32, channel_base=256, channel_max=16)
    images = Generator(pyramid, z_dim=W_DIM, w_dim=W_DIM, mapping_layers=2)
    for name, parameter in images.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.3)
    images.mapping.w_avg.normal_()
    space = LatentSpace(images, WEncoder(ENCODER.backbone, W_DIM))
    network = StyleInversion(encoder, MOTION, STYLE, W_DIM)
    w0 = images.styles(torch.randn(2, W_DIM))[:, 0].detach()
    return network, space, w0


def rolled(network, space, w0, t, z):
    return roll_out(network, space.render, w0, space.w_avg[0], t, z)


@torch.no_grad()
def test_any_frame_can_be_generated_alone():
    network, space, w0 = made()
    network.eval()
    t, z = torch.tensor([[0.0, 3.5, 40.0, 90.0]]).expand(2, -1), torch.randn(2, 8, 8)
    whole = rolled(network, space, w0, t, z)
    alone = rolled(network, space, w0[1:], t[1:, 2:3], z[1:])
    torch.testing.assert_close(alone.video[0, :, 0], whole.video[1, :, 2], rtol=1e-4, atol=1e-5)
    assert torch.equal(whole.x0, space.render(w0))
    opening = network.opening(whole.x0, w0, space.w_avg[0])
    parts = [network(opening, some, z) for some in t.split(1, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole.w, rtol=1e-4, atol=1e-5)
    # noise of pixels is the same in all frames and in the image they start from
    still = rolled(network, space, w0, t[:, :1], z)
    again = rolled(network, space, w0, t[:, :1], torch.randn(2, 8, 8))
    assert torch.equal(still.video, again.video)


@pytest.mark.parametrize("base", ["w0", "w_avg"])
@torch.no_grad()
def test_what_the_encoder_says_is_added_to_the_base(base):
    network, space, w0 = made(EncoderOptions(base_width=16, units=(1, 1, 1, 1), base=base))
    network.eval()
    t, z = torch.tensor([[0.0, 9.0]]).expand(2, -1), torch.randn(2, 3, 8)
    x0, w_avg = space.render(w0), space.w_avg[0]
    w = network(network.opening(x0, w0, w_avg), t, z)
    said = network.encoder.modulated(x0, network.mapping(w0, t, z))
    torch.testing.assert_close(w - said, (w0[:, None] if base == "w0" else w_avg).expand_as(w))


@torch.no_grad()
def test_without_an_encoder_temporal_styles_are_added_themselves():
    network, space, w0 = made(EncoderOptions(kind="none"))
    t, z = torch.tensor([[0.0, 9.0]]).expand(2, -1), torch.randn(2, 3, 8)
    w = network(network.opening(space.render(w0), w0, space.w_avg[0]), t, z)
    torch.testing.assert_close(w, w0[:, None] + network.mapping(w0, t, z))


def test_training_moves_every_used_weight_and_nothing_frozen():
    network, space, w0 = made()
    frozen = {k: v.clone() for k, v in space.generator.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    before = {k: v.clone() for k, v in network.named_parameters()}
    t, z = torch.tensor([[0.0, 9.0, 33.0]]).expand(2, -1), torch.randn(2, 5, 8)
    for _ in range(2):
        rollout = rolled(network.train(), space.train(), w0, t, z)
        losses = generator_losses(rollout, rollout.video.flatten(1).mean(dim=1), LossOptions())
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    still = [k for k, v in network.named_parameters() if torch.equal(v, before[k])]
    assert not still
    assert all(torch.equal(v, frozen[k]) for k, v in space.generator.state_dict().items())
    assert all(p.grad is None for p in space.generator.parameters())
    assert not space.generator.training


@torch.no_grad()
def test_losses_have_their_weights_and_spaces():
    network, space, w0 = made()
    t, z = torch.tensor([[0.0, 9.0]]).expand(2, -1), torch.randn(2, 3, 8)
    rollout = rolled(network.eval(), space, w0, t, z)
    logits = torch.tensor([0.3, -2.0])
    losses = generator_losses(rollout, logits, LossOptions(0.1, 10.0, "image", 0.05))
    apart = (rollout.video[:, :, 0] - rollout.x0).square().mean()
    torch.testing.assert_close(losses.adversarial, 0.1 * torch.log1p((-logits).exp()).mean())
    torch.testing.assert_close(losses.recon, 10 * apart)
    moved = (rollout.w - w0[:, None]).square().sum(dim=2).sqrt().mean()
    torch.testing.assert_close(losses.w_reg, 0.05 * moved)
    torch.testing.assert_close(losses.total, losses.adversarial + losses.recon + losses.w_reg)
    in_w = generator_losses(rollout, logits, LossOptions(recon=2.0, recon_space="w"))
    torch.testing.assert_close(in_w.recon, 2 * (rollout.w[:, 0] - w0).square().mean())


@torch.no_grad()
def test_principal_directions_are_found_and_kept_to():
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([5.0, 3.0, 0.1, 0.1])
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    styles = torch.randn(4000, 4, generator=generator) * scales @ rotation + 7
    module = PrincipalResidual(4, 2)
    module.fit(styles)
    torch.testing.assert_close(module.directions.norm(dim=1), scales[:2], rtol=0.05, atol=0)
    restricted = module(torch.randn(20, 4, generator=generator))
    outside = restricted @ rotation[2:].T
    assert outside.norm() < 0.02 * restricted.norm()


def test_encoder_with_principal_directions_is_used():
    network, space, w0 = made(EncoderOptions(base_width=16, units=(1, 1, 1, 1), pca=3))
    with torch.no_grad():
        w = rolled(network.eval(), space, w0, torch.zeros(2, 1), torch.randn(2, 2, 8)).w
    # only the first three numbers of a style differ from the base before directions are found
    moved = (w[:, 0] - w0).abs()
    assert moved[:, :3].max() > 0
    assert moved[:, 3:].max() == 0
