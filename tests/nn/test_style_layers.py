"""Small layers of style-based networks against hand calculations."""

import math

import pytest
import torch
from torch.autograd import gradgradcheck

from vgbench.errors import UsageError
from vgbench.nn.bias_act import ACTIVATIONS, bias_act
from vgbench.nn.equalized import EqualConv2d, EqualLinear
from vgbench.nn.fourier_input import FourierInput
from vgbench.nn.mapping import MappingNetwork, normalize_2nd_moment
from vgbench.nn.minibatch_std import minibatch_std
from vgbench.nn.temporal_shift import temporal_shift


def seeded(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("act", ["relu", "lrelu", "swish"])
def test_activation_gains_keep_the_power_of_a_normal_input(act):
    x = seeded(100_000)
    limit = {"relu": 1.0, "lrelu": 1.04, "swish": 0.72}[act]
    assert bias_act(x, act=act, dim=0).square().mean().item() == pytest.approx(limit, abs=0.02)


def test_bias_gain_and_clamp():
    x, b = torch.tensor([[-3.0, 1.0], [0.5, 9.0]]), torch.tensor([1.0, -1.0])
    assert bias_act(x, b, "lrelu", gain=1.0).tolist() == [[pytest.approx(-0.4), 0], [1.5, 8]]
    assert bias_act(x, b, "lrelu", gain=1.0, alpha=0.5).tolist() == [[-1, 0], [1.5, 8]]
    assert bias_act(x, b, gain=2.0, clamp=3.0, dim=0).tolist() == [[-3, 3], [-1, 3]]
    assert bias_act(x).tolist() == x.tolist()


def test_an_unknown_activation_is_named():
    with pytest.raises(UsageError, match=r"act=gelu: expected one of linear, relu, lrelu"):
        bias_act(torch.zeros(1, 1), act="gelu")


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_second_derivatives_of_activations(act):
    x, b = (seeded(2, 3) + 0.1).requires_grad_(), seeded(3, seed=1).requires_grad_()
    assert gradgradcheck(lambda x, b: bias_act(x, b, act, clamp=2.0), (x, b))


def test_equalised_layers_start_with_unit_variance_and_learn_at_their_rate():
    torch.manual_seed(0)
    linear = EqualLinear(512, 256, lr_mult=0.01, bias_init=0.5)
    x = torch.randn(64, 512)
    assert linear(x).std().item() == pytest.approx(1, abs=0.02)
    assert linear(0 * x).unique().tolist() == [0.5]
    assert linear.weight.std().item() == pytest.approx(100, rel=0.02)
    linear(x).sum().backward()
    assert linear.bias.grad.tolist() == [pytest.approx(64 * 0.01)] * 256
    assert not EqualLinear(8, 8, weight_init=0.0).weight.any()
    conv = EqualConv2d(64, 32, 3, up=2)
    y = conv(torch.randn(2, 64, 16, 16))
    assert y.shape == (2, 32, 32, 32)
    plain = EqualConv2d(64, 32, 3, bias=False)
    assert plain(torch.randn(2, 64, 16, 16))[..., 1:-1, 1:-1].std().item() == pytest.approx(
        1, abs=0.05
    )


def test_gain_of_a_convolution_scales_its_clamp():
    conv = EqualConv2d(1, 1, 1, act="lrelu", clamp=3.0)
    x = torch.full((1, 1, 2, 2), 1e6) * conv.weight.sign().item()
    assert conv(x).unique().tolist() == [3.0]
    assert conv(x, gain=0.5).unique().tolist() == [1.5]


def test_mapping_is_scale_free_in_latents_and_labels():
    torch.manual_seed(0)
    network = MappingNetwork(8, 3, 16, num_layers=2).double()
    network.embed.bias.data.zero_()
    z, c = seeded(4, 8), seeded(4, 3, seed=1)
    torch.testing.assert_close(network(z, c), network(7 * z, 5 * c))
    torch.testing.assert_close(normalize_2nd_moment(z).square().mean(1), torch.ones(4).double())


def test_truncation_pulls_towards_the_running_mean():
    torch.manual_seed(0)
    network = MappingNetwork(8, 0, 16, num_layers=2, w_avg_beta=0.9)
    w = network(torch.randn(64, 8))
    network.update_average(w)
    torch.testing.assert_close(network.w_avg, 0.1 * w.mean(0))
    z = torch.randn(2, 8)
    torch.testing.assert_close(network(z, truncation_psi=0.0), network.w_avg.expand(2, -1))
    half = network(z, truncation_psi=0.5)
    torch.testing.assert_close(half, (network.w_avg + network(z)) / 2)


def test_minibatch_std_by_hand():
    x = seeded(6, 2, 3, 3)
    y = minibatch_std(x, 3)
    assert torch.equal(y[:, :2], x)
    for i in range(6):
        group = x[i % 2 :: 2]  # samples 0, 2, 4 and 1, 3, 5
        want = group.std(dim=0, correction=0).mean()
        torch.testing.assert_close(y[i, 2], want.expand(3, 3), rtol=1e-6, atol=1e-6)
    assert torch.equal(minibatch_std(x, 99), minibatch_std(x, 6))
    assert gradgradcheck(lambda x: minibatch_std(x, 2), seeded(4, 1, 2, 2).requires_grad_())


def test_a_batch_that_does_not_divide_into_groups_is_refused():
    with pytest.raises(UsageError, match="a batch of 6 does not divide into groups of 4"):
        minibatch_std(torch.zeros(6, 1, 4, 4), 4)


def test_temporal_shift_moves_an_eighth_each_way():
    frames = torch.arange(1.0, 4)[:, None, None, None].expand(3, 17, 1, 1)
    x = torch.cat([frames, 10 * frames])  # two clips
    y = temporal_shift(x, 3)[..., 0, 0]
    assert y[:3, 0].tolist() == y[:3, 1].tolist() == [2, 3, 0]
    assert y[:3, 2].tolist() == y[:3, 3].tolist() == [0, 1, 2]
    assert y[3:, 0].tolist() == [20, 30, 0]
    assert torch.equal(y[:, 4:], x[:, 4:, 0, 0])


def fourier(size=12):
    torch.manual_seed(0)
    layer = FourierInput(5, 7, size, sampling_rate=8.0, bandwidth=2.0).double()
    layer.affine.weight.data.normal_()
    return layer


def test_fourier_features_by_hand():
    layer, w = fourier(), seeded(2, 5)
    got = layer(w)
    t = layer.affine(w)
    t = t / t[:, :2].norm(dim=1, keepdim=True)
    for i, row, column in ((0, 0, 0), (1, 3, 10)):
        place = torch.tensor([column - 5.5, row - 5.5]).double() / 8 - t[i, 2:]
        cos, sin = t[i, :2]
        place = torch.stack([cos * place[0] - sin * place[1], sin * place[0] + cos * place[1]])
        waves = torch.sin(2 * math.pi * (layer.freqs @ place + layer.phases))
        want = layer.weight @ waves / math.sqrt(7)
        torch.testing.assert_close(got[i, :, row, column], want)


def test_a_user_transform_shifts_and_frequencies_fill_a_disc():
    layer, w = fourier(size=16), seeded(1, 5)
    layer.affine.weight.data.zero_()
    before = layer(w)
    layer.transform[0, 2] = 2 / 8  # two samples to the right
    torch.testing.assert_close(layer(w)[..., :-2], before[..., 2:])
    torch.manual_seed(0)
    many = FourierInput(5, 2000, 4, sampling_rate=8.0, bandwidth=2.0)
    radius = many.freqs.norm(dim=1)
    assert radius.max().item() <= 2
    for part in (0.25, 0.5, 0.75):
        inside = (radius < 2 * math.sqrt(part)).float().mean().item()
        assert inside == pytest.approx(part, abs=0.03)


def test_frequencies_beyond_what_samples_hold_fade_out():
    layer, w = fourier(), seeded(1, 5)
    layer.transform[0, 0] = layer.transform[1, 1] = 1000.0
    assert not layer(w).any()
