"""The motion encoder: continuity, speed, causality, length."""

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.nn.motion import MotionEncoder
from vgbench.nn.motion_options import MotionConfig

SMALL = {"z_dim": 8, "v_dim": 8, "frequencies": 6, "kernel": 3}
CURVES = ["linear", "bspline", "bspline-time", "smooth"]


def made(curve="smooth", **options):
    torch.manual_seed(0)
    return MotionEncoder(MotionConfig(**SMALL, curve=curve, **options)).double()


def noise(encoder, last, batch=1):
    length = encoder.config.noise_length(last)
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, length, encoder.config.z_dim, generator=generator).double()


def slopes(encoder, t, step=1e-6):
    """Derivatives of the code at times `t` from the left and from the right."""
    z = noise(encoder, float(t.max()) + 1)
    codes = [encoder(t[None] + i * step, z)[0] for i in (-1, 0, 1)]
    return (codes[1] - codes[0]) / step, (codes[2] - codes[1]) / step


def jump_at_anchors(curve):
    encoder = made(curve)
    anchors = encoder.config.distance * torch.arange(1.0, 9.0).double()
    between = anchors[:-1] + encoder.config.distance * torch.linspace(0.1, 0.9, 7).double()
    left, right = slopes(encoder, anchors)
    mean = slopes(encoder, between)[0].norm(dim=-1).mean()
    return float((right - left).norm(dim=-1).max() / mean)


@torch.no_grad()
def test_default_curve_has_no_kink_and_the_linear_one_has():
    # the rest is the second derivative times the step of 1e-6 frames
    assert jump_at_anchors("smooth") <= 1e-4
    assert jump_at_anchors("linear") > 0.1
    assert jump_at_anchors("bspline") > 0.1


@torch.no_grad()
def speed_at(curve, start):
    encoder = made(curve)
    t = start + torch.linspace(0.3, 6400.3, 600).double()  # 400 control points
    return float(slopes(encoder, t)[0].norm(dim=-1).mean())


@torch.no_grad()
def test_speed_of_the_default_curve_does_not_grow_with_time():
    speeds = [speed_at("smooth", start) for start in (32, 1024, 8000, 100_000)]
    assert max(speeds) < 1.3 * min(speeds)
    assert speed_at("bspline-time", 8000) > 3 * speed_at("bspline-time", 32)


@pytest.mark.parametrize("curve", CURVES)
@torch.no_grad()
def test_codes_are_continuous(curve):
    encoder = made(curve)
    anchors = encoder.config.distance * torch.arange(1.0, 5.0).double()[None]
    z = noise(encoder, 100)
    gap = encoder(anchors - 1e-9, z) - encoder(anchors, z)
    assert gap.abs().max() < 1e-6


@pytest.mark.parametrize("trajectory", ["conv", "lstm"])
@pytest.mark.parametrize("curve", CURVES)
@torch.no_grad()
def test_later_noise_and_other_times_change_nothing(curve, trajectory):
    encoder = made(curve, trajectory=trajectory)
    t = torch.tensor([[0.0, 3.5, 40.0, 63.0]]).double()
    z = noise(encoder, 63)
    longer = torch.cat([z, torch.randn(1, 9, z.shape[2]).double()], dim=1)
    whole = encoder(t, longer)
    torch.testing.assert_close(encoder(t, z), whole)
    torch.testing.assert_close(encoder(t[:, 2:], z), whole[:, 2:])


@torch.no_grad()
def test_float32_keeps_its_accuracy_at_late_times():
    encoder = made("smooth")
    z, t = noise(encoder, 100_000), torch.tensor([[99_990.25, 100_000.0]]).double()
    exact = encoder(t, z)
    rough = encoder.float()(t.float(), z.float())
    assert (rough - exact).abs().max() < 1e-2


@torch.no_grad()
def test_autocast_costs_no_accuracy():
    encoder = made("smooth").float()
    z, t = noise(encoder, 40).float(), torch.tensor([[3.0, 40.0]])
    exact = encoder(t, z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encoder(t, z), exact)


def test_code_without_waves_is_a_mapping_of_the_curve():
    encoder = made("smooth", fourier=False)
    codes = encoder(torch.tensor([[0.0, 1.0]]).double(), noise(encoder, 1))
    assert codes.shape == (1, 2, encoder.config.dim)


def test_gradients_are_right():
    encoder = made("smooth")
    z, t = noise(encoder, 20).requires_grad_(), torch.tensor([[2.5, 17.0]]).double()
    assert torch.autograd.gradcheck(lambda z: encoder(t, z), z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curve": "cubic"}, "motion.curve=cubic: expected one of linear, bspline"),
        ({"trajectory": "gru"}, "motion.trajectory=gru: expected one of conv, lstm"),
        ({"distance": 0}, "motion.distance=0: expected an integer >= 1"),
        ({"distance": 64, "max_period": 32}, "motion.max_period=32: .* the shortest, 64"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(UsageError, match=message):
        MotionConfig(**options)


def test_parameters_at_full_size():
    encoder = MotionEncoder(MotionConfig())
    assert sum(p.numel() for p in encoder.parameters()) == 6_292_480
