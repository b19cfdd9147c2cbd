"""Batch normalisation of rows."""

import pytest
import torch
from torch import nn

from vgbench.nn.batch_norm import RowBatchNorm, row_moments


def pair(channels, dtype=torch.float64):
    """Returns ours and PyTorch's in the same random state."""
    torch.manual_seed(0)
    ours, torchs = RowBatchNorm(channels).to(dtype), nn.BatchNorm1d(channels).to(dtype)
    for value in (*ours.parameters(), ours.running_mean):
        nn.init.normal_(value)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.mark.parametrize("shape", [(2, 1), (7, 3), (96, 5), (64, 512)])
def test_is_batch_norm(shape):
    ours, torchs = pair(shape[1])
    x = (3 * torch.randn(shape, dtype=torch.float64) + 5).requires_grad_()
    cotangent = torch.randn(shape, dtype=torch.float64)
    for step in range(2):
        outs = [norm(x) for norm in (ours, torchs)]
        torch.testing.assert_close(*outs)
        inputs = [(x, *norm.parameters()) for norm in (ours, torchs)]
        grads = [
            torch.autograd.grad(out, which, cotangent)
            for out, which in zip(outs, inputs, strict=True)
        ]
        torch.testing.assert_close(*grads)
        assert ours.num_batches_tracked == step + 1
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())
    assert torch.equal(ours.eval()(x), ours.eval()(x))
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x))


def test_gradients_are_those_of_finite_differences():
    ours, _ = pair(3)
    x = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ours, (x,))


@pytest.mark.parametrize("shape", [(131072, 4), (65536, 24), (3 * 16 * 32 * 32, 7)])
def test_moments_do_not_drift_with_the_number_of_rows(shape):
    torch.manual_seed(0)
    x = 0.3 * torch.randn(shape) + 0.5
    mean, var = row_moments(x)
    torch.testing.assert_close(mean.double(), x.double().mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(var.double(), x.double().var(0, correction=0), rtol=2e-6, atol=0)


def test_a_single_row_is_refused():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        RowBatchNorm(3)(torch.zeros(1, 3))
