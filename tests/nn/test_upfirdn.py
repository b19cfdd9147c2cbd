"""Resampling against zero insertion: every route, values and derivatives of two orders."""

import pytest
import scipy.signal
import torch
from torch.autograd import gradcheck, gradgradcheck

from tests.nn import plain
from vgbench.nn.lowpass import design_lowpass_filter
from vgbench.nn.upfirdn import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

# up, down, padding, flip, gain
CASES = [
    (1, 1, 0, False, 1.0),
    (2, 1, (9, 8, 9, 8), False, 4.0),
    (4, 1, (-3, -2, 5, 1), True, 16.0),
    (1, 2, (0, 1, -1, 3), False, 1.0),
    (1, 3, 4, True, 0.5),
    ((2, 1), (1, 3), (4, 1, 7, 5), False, 1.0),
    ((3, 2), (2, 2), (11, 6, 5, 8), False, 2.5),
]
CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")],
)


def seeded(*shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("route", ["depthwise", "matrix", None])
@pytest.mark.parametrize("taps", [4, 7])
@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_every_route_equals_zero_insertion(route, taps, case, device):
    x, f = seeded(2, 3, 11, 9).to(device), seeded(taps).to(device)
    torch.testing.assert_close(upfirdn2d(x, f, *case, route=route), plain.upfirdn(x, f, *case))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_matrices_of_taps_and_no_filter_equal_zero_insertion(case):
    x = seeded(2, 3, 11, 9)
    for f in (seeded(3, 5), None):
        torch.testing.assert_close(upfirdn2d(x, f, *case), plain.upfirdn(x, f, *case))


@pytest.mark.parametrize("route", ["depthwise", "matrix"])
@pytest.mark.parametrize(
    "case", [(2, 1, (3, 2, 3, 2), False, 4.0), (1, 2, 3, True, 1.0), CASES[5]], ids=str
)
def test_derivatives_of_two_orders(route, case):
    x, f = seeded(1, 1, 4, 3).requires_grad_(), seeded(5)

    def squared(x):
        return upfirdn2d(x, f, *case, route=route).square()

    assert gradcheck(squared, x)
    assert gradgradcheck(squared, x)


def test_routes_by_precision_and_size():
    f = seeded(12, dtype=torch.float32)
    for size, route in ((344, "matrix"), (348, "depthwise")):
        x = seeded(1, 1, size, size)
        want = upfirdn2d(x, f, 1, 4, padding=9, route=route)
        assert torch.equal(upfirdn2d(x, f, 1, 4, padding=9), want)
    x = seeded(1, 1, 60, 60, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = upfirdn2d(x, f, 2, padding=9)
        assert torch.equal(got, upfirdn2d(x, f, 2, padding=9, route="matrix"))


def test_forward_and_backward_take_their_own_routes_and_keep_no_map():
    """Up-sampling by 4 is a convolution forward and a matrix product backward."""
    f, x = seeded(24), seeded(1, 1, 20, 20).requires_grad_()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = upfirdn2d(x, f, 4, padding=13)
    assert [tensor.shape for tensor in kept] == [f.shape]
    assert torch.equal(y, upfirdn2d(x, f, 4, padding=13, route="depthwise"))
    (got,) = torch.autograd.grad(y.square().sum(), x)
    by_matrix = upfirdn2d(x, f, 4, padding=13, route="matrix")
    (want,) = torch.autograd.grad(by_matrix, x, 2 * y.detach())
    assert torch.equal(got, want)


@pytest.mark.parametrize("taps", [4, 5, 12])
@pytest.mark.parametrize("factor", [2, 4])
def test_resampling_keeps_the_centre(taps, factor):
    f = setup_filter(torch.hann_window(taps + 2, periodic=False)[1:-1], separable=True)
    x = seeded(1, 1, 8, 8, dtype=torch.float32)
    up = upsample2d(x, f, factor)
    assert up.shape[2:] == (8 * factor, 8 * factor)
    down = downsample2d(up, f, factor)
    assert down.shape == x.shape
    assert filter2d(x, f).shape == x.shape
    if taps % 2 == 0:  # symmetric about the centre, so mirroring commutes
        torch.testing.assert_close(upsample2d(x.flip(3), f, factor), up.flip(3))


def test_constants_are_kept_by_up_sampling():
    f = setup_filter([1.0, 3.0, 3.0, 1.0])
    up = upsample2d(torch.ones(1, 1, 6, 6), f)
    torch.testing.assert_close(up[..., 2:-2, 2:-2], torch.ones(1, 1, 8, 8))


def test_filters_are_normalised_scaled_and_separable_from_eight_taps():
    assert setup_filter([1.0, 3.0, 3.0, 1.0]).shape == (4, 4)
    assert setup_filter([1.0, 3.0, 3.0, 1.0], gain=4.0).sum() == pytest.approx(4)
    assert setup_filter([1.0] * 8).tolist() == [1 / 8] * 8
    assert setup_filter([1.0, 2.0], flip_filter=True, normalize=False, separable=True).tolist() == [
        2,
        1,
    ]


def response(f, frequency, rate):
    position = (torch.arange(len(f)) - (len(f) - 1) / 2) / rate
    return float((f * torch.cos(2 * torch.pi * frequency * position)).sum())


def test_lowpass_passes_half_at_its_cutoff_and_stops_beyond():
    f = design_lowpass_filter(24, 4.0, 4.0, 32.0)
    assert response(f, 0, 32) == pytest.approx(1, abs=1e-6)
    assert response(f, 4, 32) == pytest.approx(0.5, abs=0.02)
    assert max(abs(response(f, k / 10, 32)) for k in range(70, 160)) < 0.02
    assert design_lowpass_filter(1, 4.0, 4.0, 32.0) is None


def test_radial_lowpass_is_round():
    f = design_lowpass_filter(13, 4.0, 8.0, 32.0, radial=True)
    assert f.sum() == pytest.approx(1)
    torch.testing.assert_close(f, f.rot90())
    assert f[6, 6] == f.max()
    # Half of the amplitude passes at the cutoff, along the axes and across.
    position = (torch.arange(13) - 6) / 32
    waves = [position[None] * 4, (position[None] + position[:, None]) * 4 / 2**0.5]
    passed = [float((f * torch.cos(2 * torch.pi * wave)).sum()) for wave in waves]
    assert passed == pytest.approx([0.5, 0.5], abs=0.1)
    assert passed[0] == pytest.approx(passed[1], abs=0.02)


@pytest.mark.parametrize(
    "design", [(12, 2.0, 6.0, 16.0), (24, 4.0, 8.0, 64.0), (13, 3.0, 1.0, 8.0)]
)
def test_lowpass_equals_that_of_scipy(design):
    taps, cutoff, width, rate = design
    want = scipy.signal.firwin(taps, cutoff, width=width, fs=rate)
    torch.testing.assert_close(design_lowpass_filter(*design), torch.tensor(want).float())
