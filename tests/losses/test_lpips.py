"""LPIPS: sizes, names, and the distance written out for one pixel at a time."""

import pytest
import torch
from torch import nn

from vgbench.errors import UsageError
from vgbench.losses.lpips import LPIPS

ALEX = {0: (64, 11, 4, 2), 3: (192, 5, 1, 2), 6: (384, 3, 1, 1), 8: (256, 3, 1, 1),
        10: (256, 3, 1, 1)}  # fmt: skip


def images(seed):
    return torch.rand(2, 3, 48, 40, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def made(net="alex"):
    torch.manual_seed(0)
    network = LPIPS(net)
    for name, parameter in network.named_parameters():
        if name.startswith("lin"):
            parameter.data.abs_()
    return network


@pytest.mark.parametrize(("net", "parameters"), [("alex", 2_470_848), ("vgg", 14_716_160)])
def test_numbers_of_parameters_are_the_published_ones(net, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in LPIPS(net).parameters()) == parameters


def test_names_are_those_of_the_published_weights():
    with torch.device("meta"):
        names = set(LPIPS("vgg").state_dict())
    convs = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    wanted = {f"features.{i}.{part}" for i in convs for part in ("weight", "bias")}
    assert names == wanted | {f"lin{i}.model.1.weight" for i in range(5)}


@torch.no_grad()
def test_distance_is_that_of_unit_vectors_weighted_by_channel():
    network, (a, b) = made(), (images(1), images(2))
    state, taps = network.state_dict(), []
    for x in (a, b):
        x = (x - torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)) / torch.tensor(
            [0.458, 0.448, 0.450]
        ).view(3, 1, 1)
        maps = []
        for i, (_, _, stride, padding) in ALEX.items():
            weight, bias = state[f"features.{i}.weight"], state[f"features.{i}.bias"]
            x = nn.functional.conv2d(x, weight, bias, stride, padding).clamp(min=0)
            maps.append(x)
            if i in (0, 3):
                x = nn.functional.max_pool2d(x, 3, 2)
        taps.append(maps)
    want = 0
    for k, (f, g) in enumerate(zip(*taps, strict=True)):
        weight = state[f"lin{k}.model.1.weight"].flatten()
        apart = f / f.square().sum(1, keepdim=True).sqrt() - g / g.square().sum(1, True).sqrt()
        want = want + torch.einsum("nchw,c->nhw", apart.square(), weight).mean()
    torch.testing.assert_close(network.train()(a, b), want, rtol=1e-4, atol=1e-6)


def test_distance_is_symmetric_and_zero_for_the_same_and_has_gradients():
    network, a, b = made(), images(1).requires_grad_(), images(2)
    distance = network(a, b)
    torch.testing.assert_close(distance, network(b, a))
    assert network(b, b) == 0
    (slope,) = torch.autograd.grad(distance, a)
    assert slope.abs().max() > 0
    assert not network.training


def test_unknown_network_is_refused():
    with pytest.raises(UsageError, match="net=resnet"):
        LPIPS("resnet")
