"""Folded convolutions: the fast path, the plain one and the layers they stand for agree."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vgbench.errors import WeightsError
from vgbench.metrics.extractors import folded_conv
from vgbench.metrics.extractors.folded_conv import FoldedConv

CASES = {
    "3x3x3": ((1, 16, 4, 9, 8), {"kernel_size": 3}, (1, 1, 1)),
    "no padding in time": ((2, 16, 5, 9, 8), {"kernel_size": 3}, (0, 1, 1)),
    "1x1x1": ((1, 16, 4, 9, 8), {"kernel_size": 1}, (0, 0, 0)),
    "strided": ((1, 3, 9, 20, 18), {"kernel_size": 7, "stride": 2}, (0, 0, 0)),
    "grouped": ((1, 32, 4, 9, 8), {"kernel_size": 3, "stride": 2, "groups": 8}, (1, 1, 1)),
    "flat": ((3, 16, 17, 15), {"kernel_size": (1, 7)}, (0, 3)),
}


def layers(shape, options):
    generator = torch.Generator().manual_seed(0)
    flat = len(shape) == 4
    conv = (nn.Conv2d if flat else nn.Conv3d)(shape[1], 32, bias=False, **options)
    norm = (nn.BatchNorm2d if flat else nn.BatchNorm3d)(32, eps=1e-3).eval()
    with torch.no_grad():
        conv.weight.normal_(std=0.2, generator=generator)
        norm.weight.uniform_(0.5, 1.5, generator=generator)
        norm.bias.normal_(generator=generator)
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    return conv.eval(), norm, torch.randn(shape, generator=generator)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_both_paths_equal_the_layers(case, relu):
    shape, options, padding = CASES[case]
    conv, norm, x = layers(shape, options)
    folded = FoldedConv(conv, norm, relu=relu)
    convolve = F.conv2d if len(shape) == 4 else F.conv3d
    with torch.no_grad():
        want = norm(convolve(x, conv.weight, None, conv.stride, padding, 1, conv.groups))
        want = want.relu() if relu else want
        for got in (folded(x, padding), folded.plain(x, padding), folded(x, padding)):
            assert (got - want).abs().max() <= 2e-6 * want.abs().max()


def test_other_shapes_and_paddings_are_packed_anew():
    shape, options, padding = CASES["3x3x3"]
    conv, norm, x = layers(shape, options)
    folded = FoldedConv(conv, norm)
    with torch.no_grad():
        for frames in (1, 2, 3, 4, 3, 2, 1):
            part = x[:, :, :frames]
            assert torch.allclose(folded(part, padding), folded.plain(part, padding), atol=1e-5)
        wide = folded(x, (2, 2, 2))
        assert wide.shape[2:] == (6, 11, 10)
        assert torch.allclose(wide, folded.plain(x, (2, 2, 2)), atol=1e-5)


def test_without_onednn_the_plain_path_is_taken(monkeypatch):
    shape, options, padding = CASES["3x3x3"]
    conv, norm, x = layers(shape, options)
    folded = FoldedConv(conv, norm)
    monkeypatch.setattr(folded_conv, "can_prepack", lambda: False)
    with torch.no_grad():
        assert torch.equal(folded(x, padding), folded.plain(x, padding))


def test_gradients_flow_through_the_input():
    shape, options, padding = CASES["3x3x3"]
    conv, norm, x = layers(shape, options)
    x.requires_grad_()
    FoldedConv(conv, norm)(x, padding).sum().backward()
    assert x.grad.abs().sum() > 0


def test_weights_that_are_not_finite_are_refused():
    conv, norm, _ = layers(*CASES["3x3x3"][:2])
    with torch.no_grad():
        conv.weight[0, 0, 0] = torch.nan
    with pytest.raises(WeightsError, match="not finite"):
        FoldedConv(conv, norm)
