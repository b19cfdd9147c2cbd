import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from tests.metrics.cores import has_bf16
from tests.parity import draws
from tests.weights.made import i3d_state
from vgbench.errors import DataError, UsageError, WeightsError
from vgbench.metrics.extractors import i3d
from vgbench.metrics.extractors.base import open_extractor
from vgbench.metrics.extractors.i3d import I3D, MIXED, I3DLogits, Logits, MaxPool, same_padding
from vgbench.metrics.extractors.resize import I3D_INPUTS, styleganv
from vgbench.registry import EXTRACTORS
from vgbench.weights.record import WeightsRef
from vgbench.weights.store import WeightStore


def network():
    net = I3D().eval()
    net.load_state_dict(i3d_state(scales=True))
    return net


@pytest.fixture(scope="module")
def plain():
    return network()


@pytest.fixture(scope="module")
def extractor():
    return I3DLogits(network(), WeightsRef("i3d", "random"))


def clips(*seeds, frames=9, height=20, width=28):
    return torch.from_numpy(np.stack([draws.video(s, frames, height, width) for s in seeds]))


@pytest.mark.parametrize("kernel", [1, 2, 3, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_is_tensorflows(kernel, stride):
    for size in range(1, 40):
        front, back = same_padding(size, kernel, stride)
        windows = -(-size // stride)
        # as many windows as TensorFlow documents, no sample wasted, the odd one behind
        assert (size + front + back - kernel) // stride + 1 == windows
        assert front + back == max((windows - 1) * stride + kernel - size, 0)
        assert back - front in (0, 1)


def test_the_even_stem_is_padded_lopsidedly():
    assert same_padding(224, 7, 2) == (2, 3)
    assert same_padding(9, 7, 2) == (3, 3)


@pytest.mark.parametrize("shape", [(4, 8, 8), (5, 7, 9), (1, 2, 3)])
def test_max_pool_pads_with_minus_infinity_in_effect(shape):
    x = torch.rand(1, 2, *shape)
    pads = [same_padding(n, 3, 2) for n in shape]
    padded = F.pad(x, [n for pad in reversed(pads) for n in pad], value=-torch.inf)
    assert torch.equal(MaxPool((3, 3, 3), (2, 2, 2))(x), F.max_pool3d(padded, 3, 2))


def test_size_of_the_network(plain):
    assert sum(p.numel() for p in plain.parameters()) == 12_697_264
    assert len(plain.state_dict()) == 344
    assert sum(isinstance(m, nn.BatchNorm3d) and m.eps == 1e-3 for m in plain.modules()) == 57


@torch.no_grad()
def test_endpoints_of_a_clip_of_16_frames(plain):
    """The table of the architecture, at an eighth of the width (padding is by size)."""
    shapes = {
        name: tuple(x.shape[1:]) for name, x in plain.endpoints(torch.zeros(1, 3, 16, 64, 64))
    }
    assert shapes["Conv3d_1a_7x7"] == (64, 8, 32, 32)
    assert shapes["Conv3d_2c_3x3"] == (192, 8, 16, 16)
    assert shapes["Mixed_3c"] == (480, 8, 8, 8)
    assert shapes["Mixed_4f"] == (832, 4, 4, 4)
    assert shapes["Mixed_5c"] == (1024, 2, 2, 2)
    assert len(shapes) == 16
    for name, (one, _, three, _, small, pooled) in MIXED.items():
        assert shapes[name][0] == one + three + small + pooled


@pytest.mark.parametrize("steps", [2, 3, 4, 16])
def test_pooling_once_equals_pooling_windows(steps):
    head = Logits(8).double()
    x = torch.randn(2, 8, steps, 7, 7, dtype=torch.float64)
    windows = head.conv3d(F.avg_pool3d(x, (2, 7, 7), stride=1))
    assert windows.shape[2] == steps - 1
    want = windows.mean(2)[:, :, 0, 0]
    assert torch.allclose(head(x), want, rtol=1e-12, atol=1e-14)


def test_regression(extractor):
    """Our own numbers since parity held; the fixtures are not needed to notice a change."""
    features = extractor(clips(1))[0].double()
    want = torch.tensor([-5.418626, -2.956356, -6.11079, 3.296916, -2.255797, 0.003866, 63.858227])
    got = torch.cat([features[:5], features.mean()[None], features.norm()[None]])
    assert (got - want).abs().max() < 2e-5


def prepared(clip, prepare=styleganv):
    return rearrange(prepare(clip), "t c h w -> 1 c t h w")


def error(got, want):
    return ((got - want).norm() / want.norm()).item()


@pytest.mark.slow
@pytest.mark.parametrize("frames", [9, 12])
def test_folding_changes_rounding_only(plain, extractor, frames):
    clip = clips(4, frames=frames)
    with torch.no_grad():
        want = plain(prepared(clip[0]))
    assert error(extractor(clip), want) <= 5e-6
    assert not any(isinstance(m, nn.BatchNorm3d) for m in extractor.modules())


@torch.no_grad()
@pytest.mark.parametrize("frames", [9, 17, 18, 23])
@pytest.mark.parametrize("chunk", [1, 3, 4])
def test_streaming_in_parts_equals_the_whole_clip(extractor, monkeypatch, frames, chunk):
    """Up to the third max pool, behind which a clip is whole; for frames of every parity."""
    x = torch.rand(1, 3, frames, 32, 24) * 2 - 1
    whole = dict(extractor.net.endpoints(x))["MaxPool3d_3a_3x3"]
    monkeypatch.setattr(i3d, "CHUNK", chunk)
    asked = []

    def read(first, last):
        asked.append(last - first)
        return x[:, :, first:last]

    got = extractor.net.stem(read, frames)
    assert max(asked) <= 2 * chunk + 5
    assert error(got, whole) <= 1e-6


@pytest.mark.slow
def test_a_long_clip_in_parts_is_the_long_clip(plain, extractor):
    clip = clips(5, frames=70)
    with torch.no_grad():
        want = plain(prepared(clip[0]))
    assert error(extractor(clip), want) <= 5e-6


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_128_frames_stay_under_a_gigabyte_and_a_fifth():
    code = """
import torch
from tests.metrics.test_i3d import network
from vgbench.metrics.extractors.i3d import I3DLogits
from vgbench.weights.record import WeightsRef
net = I3DLogits(network(), WeightsRef("i3d", "random"))
net(torch.zeros(1, 128, 256, 256, 3, dtype=torch.uint8))
print(open("/proc/self/status").read())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout).group(1)) * 1024
    assert peak < 1.2e9


@pytest.mark.parametrize("name", I3D_INPUTS)
def test_the_resizing_is_named_and_used(plain, name):
    named = I3DLogits(network(), WeightsRef("i3d", "random"), preprocess=name)
    assert named.preprocess_id == named.identity["preprocess"] == name
    (clip,) = clips(6)
    want = prepared(clip, I3D_INPUTS[name])
    assert torch.equal(named.reader(clip[None])(2, 5), want[:, :, 2:5])


def test_unknown_resizings_are_refused():
    with pytest.raises(UsageError, match=r"by styleganv, .*; not by 'tf1'"):
        I3DLogits(network(), WeightsRef("i3d", "random"), preprocess="tf1")


@pytest.mark.slow
@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16 arithmetic")
def test_bf16_is_close_and_says_so(extractor):
    half = I3DLogits(network(), WeightsRef("i3d", "random"), precision="bf16")
    want, got = extractor(clips(2)), half(clips(2))
    assert got.dtype == torch.float32
    assert 1e-5 < error(got, want) < 2e-2
    assert half.precision == "bf16"


@pytest.mark.slow
def test_gpu_groups_do_not_depend_on_the_batch(extractor, monkeypatch):
    """Groups of a fixed size, as a GPU gets them, on the CPU."""
    batch = clips(1, 2, 3)
    want = extractor(batch)
    monkeypatch.setattr(I3DLogits, "group_size", lambda self, device: 2)
    assert error(extractor(batch), want) <= 1e-6
    for clip, feature in zip(batch, extractor(batch), strict=True):
        assert torch.equal(extractor(clip[None])[0], feature)


@pytest.mark.slow
def test_the_constant_of_the_normalisations_is_an_option(tmp_path):
    torch.save(i3d_state(scales=True), tmp_path / "mine.pt")
    WeightStore(tmp_path / "w").import_weights("i3d-k400", tmp_path / "mine.pt")
    usual, other = (open_extractor("i3d", tmp_path / "w", bn_eps=eps) for eps in (None, 1e-5))
    assert (usual.bn_eps, other.bn_eps) == (1e-3, 1e-5)
    assert usual.identity["bn_eps"] != other.identity["bn_eps"]
    clip = clips(3)
    assert 1e-4 < error(other(clip), usual(clip)) < 1e-1


@pytest.mark.slow
def test_a_feature_does_not_depend_on_its_batch(extractor):
    batch = clips(1, 2)
    together = extractor(batch)
    assert together.shape == (2, I3DLogits.dim)
    assert together.dtype == torch.float32
    for clip, feature in zip(batch, together, strict=True):
        assert torch.equal(extractor(clip[None])[0], feature)


def test_precision_settings_of_the_caller_have_no_effect_and_stay(extractor):
    clip = clips(3)
    want = extractor(clip)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = extractor(clip)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(inside, want)


def test_what_is_not_a_clip_is_refused(extractor):
    with pytest.raises(DataError, match="at least 9 frames, got 8"):
        extractor(clips(1, frames=8))
    with pytest.raises(DataError, match="expected 3 colour channels"):
        extractor(torch.zeros(1, 9, 8, 8, 1, dtype=torch.uint8))


def test_without_weights_the_next_step_is_named(tmp_path):
    with pytest.raises(WeightsError) as caught:
        EXTRACTORS.get("i3d").load(tmp_path)
    assert str(caught.value) == (
        "weights 'i3d-k400' not found and offline; put the file anywhere and run\n"
        "  vgbench weights import i3d-k400 /path/to/i3d_torchscript.pt\n"
        "  or, with a connection: vgbench weights fetch i3d-k400"
    )
    assert caught.value.exit_code == 4
