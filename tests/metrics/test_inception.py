import numpy as np
import pytest
import torch
from torch import nn

from tests.metrics.cores import has_bf16
from tests.parity import draws
from tests.weights.made import inception_state
from vgbench.errors import DataError, UsageError, WeightsError
from vgbench.metrics.extractors.inception import InceptionPool, InceptionV3, average_pool
from vgbench.metrics.extractors.resize import INCEPTION_INPUTS, tf1
from vgbench.registry import EXTRACTORS
from vgbench.weights.record import WeightsRef
from vgbench.weights.store import WeightStore


def network():
    net = InceptionV3().eval()
    net.load_state_dict(inception_state())
    return net


@pytest.fixture(scope="module")
def plain():
    return network()


@pytest.fixture(scope="module")
def extractor():
    return InceptionPool(network(), WeightsRef("inception", "random"))


def images(*seeds, height=40, width=52):
    return torch.from_numpy(np.stack([draws.video(s, 1, height, width) for s in seeds]))


def test_size_of_the_network(plain):
    assert sum(p.numel() for p in plain.parameters()) == 23_850_960
    assert len(plain.state_dict()) == 566
    norms = [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.eps for m in norms} == {1e-3}


def test_average_pool_divides_by_pixels_inside():
    assert torch.equal(average_pool(torch.ones(1, 1, 3, 4)), torch.ones(1, 1, 3, 4))


def test_only_the_last_block_pools_the_maximum(plain):
    assert not plain.Mixed_7b.max_pool
    assert plain.Mixed_7c.max_pool


@pytest.mark.parametrize("name", ["tf1", "torch", "clean"])
def test_the_resizing_is_named_and_used(name):
    named = InceptionPool(network(), WeightsRef("inception", "random"), preprocess=name)
    assert named.preprocess_id == named.identity["preprocess"] == name
    seen = []
    named.net.register_forward_pre_hook(lambda net, args: seen.append(args[0]))
    named(images(6))
    assert torch.equal(seen[0], INCEPTION_INPUTS[name](images(6)[0]))


def test_unknown_resizings_are_refused(plain):
    with pytest.raises(UsageError, match="by tf1, torch, clean; not by 'pil'"):
        InceptionPool(network(), WeightsRef("inception", "random"), preprocess="pil")


def test_regression(extractor):
    """Our own numbers since parity held; the fixtures are not needed to notice a change."""
    features = extractor(images(1))[0].double()
    want = torch.tensor([2.600656, 1.491233, 3.601456, 0.174952, 4.147269, 1.527792, 118.105753])
    got = torch.cat([features[:5], features.mean()[None], features.norm()[None]])
    assert (got - want).abs().max() < 2e-5 * want.abs().max()


def test_folding_changes_rounding_only(plain, extractor):
    with torch.no_grad():
        want = plain(tf1(images(4)[0]))
    error = (extractor(images(4)) - want).norm() / want.norm()
    assert error <= 5e-6
    assert not any(isinstance(m, nn.BatchNorm2d) for m in extractor.modules())


def test_a_feature_does_not_depend_on_its_batch(extractor):
    batch = images(1, 2, 3)
    together = extractor(batch)
    assert together.shape == (3, InceptionPool.dim)
    assert together.dtype == torch.float32
    for image, feature in zip(batch, together, strict=True):
        assert torch.equal(extractor(image[None])[0], feature)


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16 arithmetic")
def test_bf16_is_close_and_says_so(extractor):
    half = InceptionPool(network(), WeightsRef("inception", "random"), precision="bf16")
    want, got = extractor(images(2)), half(images(2))
    assert got.dtype == torch.float32
    assert 1e-5 < (got - want).norm() / want.norm() < 2e-2
    assert (half.precision, extractor.precision) == ("bf16", "fp32")


def test_longer_clips_are_refused(extractor):
    with pytest.raises(DataError, match="at most 1 frames, got 2"):
        extractor(torch.zeros(1, 2, 8, 8, 3, dtype=torch.uint8))


def test_installed_weights_are_used(tmp_path, extractor):
    torch.save(inception_state(), tmp_path / "mine.pth")
    WeightStore(tmp_path / "w").import_weights("inception-2015", tmp_path / "mine.pth")
    loaded = EXTRACTORS.get("inception-2015").load(tmp_path / "w")
    assert loaded.weights.identity == "other"
    assert torch.equal(loaded(images(5)), extractor(images(5)))


def test_without_weights_the_next_step_is_named(tmp_path):
    with pytest.raises(WeightsError, match="vgbench weights import inception-2015 /path/to/pt_"):
        InceptionPool.load(tmp_path)
