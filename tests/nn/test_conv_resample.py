"""Resampled and modulated convolutions against their plain definitions."""

import math
from unittest import mock

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from tests.nn import plain
from vgbench.nn.bias_act import clamped
from vgbench.nn.conv_resample import conv2d_resample
from vgbench.nn.filtered_lrelu import Resampling, filtered_lrelu
from vgbench.nn.lowpass import design_lowpass_filter
from vgbench.nn.modulated_conv import LowRank, modulated_conv2d, normalized_modulated_conv2d
from vgbench.nn.upfirdn import setup_filter, upfirdn2d


def seeded(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blur(separable=True):
    return setup_filter([1.0, 3.0, 3.0, 1.0], separable=separable).double()


@pytest.mark.parametrize("kernel", [1, 3, 4])
@pytest.mark.parametrize("up_down", [(1, 1), (2, 1), (1, 2), (2, 2), (3, 1)])
@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_resampled_convolution_equals_its_three_steps(kernel, up_down, flip, groups):
    x, weight = seeded(2, 4, 7, 6), seeded(6, 4 // groups, kernel, kernel, seed=1)
    for f in (blur(), blur(separable=False)):
        args = (f, *up_down, kernel // 2, groups, flip)
        want = plain.conv_resample(x, weight, *args)
        torch.testing.assert_close(conv2d_resample(x, weight, *args), want)


@pytest.mark.parametrize("up_down", [(1, 1), (2, 1), (1, 2)])
def test_second_derivatives_of_resampled_convolution(up_down):
    x, weight = seeded(1, 2, 4, 4).requires_grad_(), seeded(2, 2, 3, 3, seed=1).requires_grad_()

    def run(x, weight):
        return conv2d_resample(x, weight, blur(), *up_down, 1).square()

    assert gradgradcheck(run, (x, weight))


def test_activations_scaled_equal_weights_scaled():
    x, weight, styles = seeded(3, 4, 6, 6), seeded(5, 4, 3, 3, seed=1), seeded(3, 4, seed=2)
    for demodulate in (True, False):
        got = modulated_conv2d(x, weight, styles, padding=1, demodulate=demodulate)
        want = plain.per_sample_conv(x, plain.modulated(weight, styles, demodulate), 1)
        torch.testing.assert_close(got, want)
        got = normalized_modulated_conv2d(x, weight, styles, 2, demodulate)
        want = plain.per_sample_conv(x, plain.normalized_modulated(weight, styles, demodulate), 2)
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("gain_shape", [(), (4,), (3, 4)])
def test_input_gain_and_low_rank_weight_are_not_demodulated_away(gain_shape):
    x, weight, styles = seeded(3, 4, 6, 6), seeded(5, 4, 3, 3, seed=1), seeded(3, 4, seed=2)
    gain = seeded(*gain_shape, seed=3)
    second = LowRank(seeded(5, 2, 3, 3, seed=4), seeded(2, 4, 3, 3, seed=5), seeded(3, 4, seed=6))
    product = sum(second.w1[:, r, None] * second.w2[None, r] for r in range(2))
    weights = plain.normalized_modulated(weight, styles)
    weights = weights + plain.normalized_modulated(product, second.styles)
    per_channel = gain.expand(3, 4) if gain.ndim < 2 else gain
    want = plain.per_sample_conv(x, weights * per_channel[:, None, :, None, None], 2)
    got = normalized_modulated_conv2d(x, weight, styles, 2, True, gain, second)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)


def test_demodulated_outputs_have_unit_variance():
    x, weight, styles = seeded(2, 64, 32, 32), seeded(8, 64, 3, 3, seed=1), seeded(2, 64, seed=2)
    std = modulated_conv2d(x, weight, styles * 100).std(dim=(2, 3))
    torch.testing.assert_close(std, torch.ones(2, 8).double(), rtol=0.1, atol=0)


@pytest.mark.parametrize("kind", ["sg2", "sg2-up", "sg3"])
def test_second_derivatives_of_modulated_convolution(kind):
    inputs = (seeded(2, 2, 3, 3), seeded(2, 2, 3, 3, seed=1), seeded(2, 2, seed=2))
    inputs = tuple(x.requires_grad_() for x in inputs)

    def run(x, weight, styles):
        if kind == "sg3":
            return normalized_modulated_conv2d(x, weight, styles, 2)
        return modulated_conv2d(x, weight, styles, blur(), 2 if kind == "sg2-up" else 1, padding=1)

    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


def test_styles_are_demodulated_in_full_precision_under_autocast():
    x, weight, styles = (t.float() for t in (seeded(2, 8, 6, 6), seeded(4, 8, 3, 3), seeded(2, 8)))
    want = modulated_conv2d(x, weight, styles, padding=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = modulated_conv2d(x, weight, styles, padding=1)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), want, rtol=0.05, atol=0.05)


def shape_of(up, down, padding):
    up_filter = design_lowpass_filter(6 * up, 2.0, 4.0, 8.0 * up)
    down_filter = design_lowpass_filter(6 * down, 2.0, 4.0, 8.0 * down)
    filters = [None if f is None else f.double() for f in (up_filter, down_filter)]
    return Resampling(*filters, up, down, padding)


SHAPES = [
    (2, 2, (9, 8, 9, 8)),
    (4, 2, (-6, -9, -6, -9)),
    (2, 2, (2, 3, -4, -5)),
]


@pytest.mark.parametrize("route", ["depthwise", "matrix", None])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("clamp", [None, 0.4])
def test_alias_free_activation_equals_its_steps(route, shape, clamp):
    x, b, resampling = seeded(2, 3, 20, 18), seeded(3, seed=1), shape_of(*shape)
    options = (math.sqrt(2), 0.2, clamp)
    got = filtered_lrelu(x, b, resampling, *options, route=route)
    torch.testing.assert_close(got, plain.filtered_lrelu(x, b, resampling, *options))


@pytest.mark.parametrize("route", ["depthwise", "matrix"])
def test_second_derivatives_of_the_alias_free_activation(route):
    x, b, resampling = seeded(1, 2, 6, 5), seeded(2, seed=1), shape_of(*SHAPES[0])
    inputs = (x.requires_grad_(), b.requires_grad_())

    def run(x, b):
        return filtered_lrelu(x, b, resampling, clamp=2.0, route=route).square()

    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


def stored_bytes(work):
    """Bytes of distinct storages that backward keeps."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = work()
    assert result.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("route", ["depthwise", "matrix"])
def test_filters_keep_no_map_for_the_backward_pass(route):
    x, resampling = seeded(2, 8, 24, 24).requires_grad_(), shape_of(*SHAPES[0])
    high = 2 * 8 * 54 * 54 * 8  # bytes of the map that is activated

    def run():
        return filtered_lrelu(x, None, resampling, clamp=1.0, route=route)

    assert stored_bytes(run) < 2.2 * high


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("radial", [False, True])
def test_a_clamp_is_left_out_only_where_it_cannot_act(shape, radial):
    x, resampling = seeded(1, 1, 24, 24), shape_of(*shape)
    if radial:
        up_filter = torch.outer(resampling.up_filter, resampling.up_filter)
        resampling = resampling._replace(up_filter=up_filter)
    # signs that add up at one pixel of the up-sampled map: the largest value there can be
    x.requires_grad_()
    up = upfirdn2d(x, resampling.up_filter, resampling.up, 1, resampling.padding)
    bound = 0.0
    for pixel in [(i, j) for i in range(resampling.up) for j in range(resampling.up)]:
        middle = tuple(size // 2 + step for size, step in zip(up.shape[2:], pixel, strict=True))
        (signs,) = torch.autograd.grad(up[0, 0][middle], x, retain_graph=True)
        bound = max(bound, float(signs.abs().sum()))
    options = (1.0, 1.0)
    reached = bound * resampling.up**2 * float(x.detach().abs().max())
    for clamp, calls in ((1.01 * reached, 0), (0.99 * reached, 1)):
        with mock.patch("vgbench.nn.filtered_lrelu.clamped", wraps=clamped) as spy:
            got = filtered_lrelu(x, None, resampling, *options, clamp)
        assert spy.call_count == calls
        none = torch.zeros(1, dtype=x.dtype)
        want = plain.filtered_lrelu(x, none, resampling, *options, clamp)
        torch.testing.assert_close(got, want)
