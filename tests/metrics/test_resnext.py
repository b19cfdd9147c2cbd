import pytest
import torch

from tests.parity import draws
from tests.weights.made import drawn_state
from vgbench.metrics.extractors.resize import kinetics_112
from vgbench.metrics.extractors.resnext import STAGES, Bottleneck, ResNeXt101, ResNeXtPool
from vgbench.registry import EXTRACTORS
from vgbench.weights.record import WeightsRef


def network():
    net = ResNeXt101().eval()
    net.load_state_dict(drawn_state(ResNeXt101))
    return net


@pytest.fixture(scope="module")
def plain():
    return network()


@pytest.fixture(scope="module")
def extractor():
    return ResNeXtPool(network(), WeightsRef("resnext101-k400", "random"))


def clips(*seeds, frames=16):
    return torch.stack([torch.from_numpy(draws.video(s, frames, 30, 40)) for s in seeds])


def test_size_of_the_network(plain):
    """Counted in the published model: 48 340 816, of which the head has 819 600."""
    sizes = {name: p.numel() for name, p in plain.named_parameters()}
    assert sum(sizes.values()) == 48_340_816
    assert sum(n for name, n in sizes.items() if not name.startswith("fc.")) == 47_521_216
    assert [len(getattr(plain, f"layer{i}")) for i in (1, 2, 3, 4)] == [3, 4, 23, 3]
    assert all(plain.get_parameter(f"layer{i}.0.downsample.0.weight").ndim == 5 for i in (1, 4))
    assert plain.layer3[1].downsample is None


@torch.no_grad()
def test_shapes_of_a_clip_of_16_frames(plain):
    x = plain.conv1(torch.zeros(1, 3, 16, 112, 112))
    assert x.shape[1:] == (64, 16, 56, 56)
    x = torch.nn.functional.max_pool3d(x, 3, 2, 1)
    for number, size in enumerate((28, 14, 7, 4), start=1):
        stage = getattr(plain, f"layer{number}")
        x = stage[0](x)
        frames = 16 // 2**number
        assert x.shape[1:] == (2 * STAGES[number - 1][1], frames, size, size)


@torch.no_grad()
def test_a_block_is_what_its_definition_says():
    torch.manual_seed(0)
    block = Bottleneck(64, 64, 2).eval()
    x = torch.randn(1, 64, 4, 6, 6)
    inner = block.bn1(block.conv1(x)).relu()
    # the grouped convolution, group by group
    parts = [
        torch.nn.functional.conv3d(part, weight, stride=2, padding=1)
        for part, weight in zip(inner.split(2, 1), block.conv2.weight.split(2), strict=True)
    ]
    branch = block.bn3(block.conv3(block.bn2(torch.cat(parts, 1)).relu()))
    shortcut = block.downsample[1](block.downsample[0](x))
    assert torch.allclose(block(x), (branch + shortcut).relu(), atol=1e-5)


@torch.no_grad()
def test_folding_changes_rounding_only(plain, extractor):
    (clip,) = clips(1)
    want = plain(kinetics_112(clip).movedim(0, 1)[None])
    got = extractor(clip[None])
    assert got.shape == (1, 2048)
    assert (got - want).norm() / want.norm() <= 5e-6


def test_regression(extractor):
    """Our own numbers; a change of the architecture is noticed."""
    features = extractor(clips(1))[0].double()
    got = torch.cat([features[:4], features.mean()[None], features.norm()[None]])
    want = [55295336.0, 14333999.0, 8638972.0, 32123372.0, 19934066.3, 1241002378.9]
    assert got.tolist() == pytest.approx(want, rel=1e-4)


def test_registered_under_its_name(tmp_path):
    assert EXTRACTORS.get("resnext101-k400") is ResNeXtPool
    assert (ResNeXtPool.dim, ResNeXtPool.min_frames) == (2048, 1)
