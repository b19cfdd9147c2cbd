import numpy as np
import pytest
import torch
from torch import nn

from tests.parity import draws
from vgbench.errors import UsageError
from vgbench.metrics.extractors.base import open_extractor
from vgbench.metrics.extractors.i3d import I3D
from vgbench.metrics.extractors.i3d_random import (
    TAPS,
    I3DRandom,
    calibrate,
    calibration_clips,
    drawn_parameters,
    unit_draws,
)
from vgbench.weights.record import WeightsRef


def test_draws_are_the_documented_ones():
    assert np.array_equal(unit_draws(3, "a.weight", 5), draws.unit(3, "a.weight", 5))
    drawn = drawn_parameters(I3D(), 7)
    for name in ("Conv3d_1a_7x7.conv3d.weight", "Mixed_3b.b0.bn.weight", "logits.conv3d.bias"):
        want = draws.parameter(7, name, tuple(drawn[name].shape))
        assert np.array_equal(drawn[name].numpy(), want), name


def test_the_calibration_clips_are_fixed():
    clips = torch.stack(list(calibration_clips()))
    assert clips.shape == (8, 16, 224, 224, 3)
    assert clips.min() >= -1
    assert clips.max() <= 1
    changes = (clips[:, 1:] - clips[:, :-1]).abs().mean((1, 2, 3, 4))
    assert (changes > 0.01).sum() >= 7
    assert clips.double().mean().item() == pytest.approx(-0.003347996, abs=1e-8)


@pytest.fixture
def small(monkeypatch):
    """Calibrates on a few small clips, which is a matter of a second."""
    for name, value in (("_CALIBRATION_CLIPS", 2), ("_CALIBRATION_FRAMES", 4), ("I3D_SIDE", 64)):
        monkeypatch.setattr(f"vgbench.metrics.extractors.i3d_random.{name}", value)


@pytest.mark.usefixtures("small")
@torch.no_grad()
def test_calibration_makes_activations_normal():
    net = I3D()
    net.load_state_dict(drawn_parameters(net, 0), strict=False)
    calibrate(net)
    assert not any(module.training for module in net.modules())
    seen = []
    net.Conv3d_2c_3x3.bn.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    x = torch.stack(list(calibration_clips())).movedim(-1, 1)
    for _ in net.endpoints(x):
        pass
    norm = net.Conv3d_2c_3x3.bn
    assert torch.allclose(seen[0].mean((0, 2, 3, 4)), norm.running_mean, atol=5e-3)
    var = seen[0].var((0, 2, 3, 4))
    assert torch.allclose(var, norm.running_var, rtol=1e-2)
    assert isinstance(norm, nn.BatchNorm3d)


@pytest.fixture(scope="module")
def extractor():
    net = I3D()
    net.load_state_dict(drawn_parameters(net, 0), strict=False)
    return I3DRandom(net, WeightsRef("i3d-random:0", "random", "0"))


def test_features_are_means_and_deviations_of_the_taps(extractor):
    clip = torch.from_numpy(draws.video(1, 9, 24, 24))[None]
    got = extractor(clip)
    assert got.shape == (1, 5056) == (1, 2 * sum(TAPS.values()))
    with torch.inference_mode():
        x = dict(extractor.net.endpoints(extractor.reader(clip)(0, 9)))["Mixed_5c"]
    values = x[0].flatten(1).double()
    assert torch.allclose(got[0, -2048:-1024].double(), values.mean(1), rtol=1e-5, atol=1e-6)
    deviation = (values - values.mean(1, keepdim=True)).square().mean(1).sqrt()
    assert torch.allclose(got[0, -1024:].double(), deviation, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("small")
def test_a_seed_names_the_weights():
    one, same, other = (open_extractor(f"i3d-random:{seed}") for seed in (1, 1, 2))
    assert one.weights.identity == "random"
    assert one.weights == same.weights
    assert one.weights.sha256 != other.weights.sha256
    clip = torch.from_numpy(draws.video(1, 9, 24, 24))[None]
    assert torch.equal(one(clip), same(clip))
    assert not torch.allclose(one(clip), other(clip))


@pytest.mark.parametrize("spec", ["i3d-random:x", "jet:3", "i3d:1"])
def test_only_drawn_weights_take_a_seed(spec):
    with pytest.raises(UsageError, match="i3d-random:SEED"):
        open_extractor(spec)
