"""Gradient penalties against closed forms."""

import pytest
import torch

from vgbench.losses.regularizers import PathLengthPenalty, lazy_adam, path_lengths, r1_penalty


def test_r1_of_a_linear_discriminator_is_its_squared_norm():
    weight = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
    real = torch.randn(5, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(real, (real * weight).sum(dim=(1, 2, 3)))
    torch.testing.assert_close(penalty, weight.square().sum().expand(5))
    (gradient,) = torch.autograd.grad(penalty.mean(), weight)
    torch.testing.assert_close(gradient, 2 * weight)


def test_r1_sees_each_sample_by_itself():
    real = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(real, real.square().sum(dim=1))
    torch.testing.assert_close(penalty, 4 * real.square().sum(dim=1))


def test_path_lengths_of_a_linear_generator():
    torch.manual_seed(0)
    matrix = torch.randn(3 * 8 * 8, 5, dtype=torch.float64)
    ws = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    images = (ws.sum(dim=1) @ matrix.t()).view(2, 3, 8, 8)
    noise = torch.randn_like(images)
    want = (noise.flatten(1) @ matrix / 8).norm(dim=1)
    torch.testing.assert_close(path_lengths(images, ws, noise), want)


def test_path_length_penalty_follows_its_mean():
    penalty = PathLengthPenalty(decay=0.5)
    first = penalty(torch.tensor([2.0, 4.0]))
    assert float(penalty.mean) == pytest.approx(1.5)
    assert float(first) == pytest.approx((0.5**2 + 2.5**2) / 2)
    for _ in range(50):
        last = penalty(torch.tensor([3.0, 3.0]))
    assert float(last) == pytest.approx(0, abs=1e-6)
    assert "mean" in penalty.state_dict()


def test_lazy_steps_keep_adams_time_scales():
    settings = lazy_adam(0.002, (0.0, 0.99), 16)
    assert settings.lr == pytest.approx(0.002 * 16 / 17)
    assert settings.betas == (0, pytest.approx(0.99 ** (16 / 17)))
    # seventeen lazy updates forget as much as sixteen plain ones
    assert settings.betas[1] ** 17 == pytest.approx(0.99**16)
