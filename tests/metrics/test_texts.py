"""Messages of the metrics, word for word."""

import numpy as np
import pytest
import torch
from torch import nn

from vgbench.errors import DataError, ProtocolError, UsageError
from vgbench.metrics import EnergyVideoDistance
from vgbench.metrics.extractors.base import NetworkExtractor, open_extractor
from vgbench.metrics.extractors.resize import I3D_INPUTS
from vgbench.metrics.memorisation import memorisation
from vgbench.metrics.sample_efficiency import sample_curve
from vgbench.weights.record import WeightsRef


def text_of(error, work, *arguments, **options):
    with pytest.raises(error) as caught:
        work(*arguments, **options)
    return str(caught.value)


class Net(nn.Module):
    """The smallest network that an extractor takes."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm3d(3)

    def fold(self, dtype):
        self.to(dtype)


class Frames(NetworkExtractor):
    """Mean colours of two to three frames."""

    name, dim, network, inputs = "few-frames", 3, Net, I3D_INPUTS
    min_frames, max_frames = 2, 3

    def features(self, clips):
        return clips.float().mean(dim=(1, 2, 3))


def still(frames):
    return torch.zeros(1, frames, 32, 32, 3, dtype=torch.uint8)


def test_extractors_say_what_they_take():
    weights = WeightsRef("drawn", "random")
    net = Frames(Net(), weights)
    assert net(still(2)).shape == (1, 3)
    assert text_of(DataError, net, still(1)) == (
        "'few-frames' needs clips of at least 2 frames, got 1\n"
        "  use longer clips, or the extractor 'inception-2015' for single frames"
    )
    assert text_of(DataError, net, still(4)) == (
        "'few-frames' sees clips of at most 3 frames, got 4\n"
        '  single frames of a clip: rearrange(clips, "b t h w c -> (b t) 1 h w c")'
    )
    assert text_of(UsageError, Frames, Net(), weights, preprocess="clean") == (
        f"'few-frames' prepares frames by {', '.join(I3D_INPUTS)}; not by 'clean'"
    )


def test_a_seed_must_be_whole():
    assert text_of(UsageError, open_extractor, "i3d-random:x") == (
        "extractor 'i3d-random:x': write i3d-random, or i3d-random:SEED with a whole SEED"
    )


def test_metrics_in_a_loop():
    assert text_of(UsageError, EnergyVideoDistance, "hfd16") == (
        "protocol hfd16/vgbench@2 computes 'frechet'; EnergyVideoDistance takes energy"
    )
    assert text_of(ProtocolError, EnergyVideoDistance().update, still(12), real=True) == (
        "protocol hed16/vgbench@2 takes clips of 16 frames, got 12"
    )


def test_sets_that_are_too_small():
    rows = np.zeros((1, 4))
    assert text_of(ProtocolError, memorisation, rows, rows) == (
        "memorisation needs two real samples and one fake, got 1 and 1"
    )
    sizes = {"sizes": [4, 9], "subsets": 2, "seed": 0}
    rows = np.zeros((8, 4))
    assert text_of(UsageError, sample_curve, lambda x, y: 0.0, rows, rows, **sizes) == (
        "sizes=[4, 9]: at most 8, the smaller set"
    )
