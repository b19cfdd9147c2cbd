"""I3D against the recorded endpoints of the reference, in float32."""

import numpy as np
import pytest
import torch
from einops import rearrange
from torch.nn import functional as F

from tests.parity import draws
from tests.parity.conftest import assert_known, relative_error, under
from vgbench.metrics.extractors.i3d import I3D
from vgbench.weights.layouts import to_ours

FILES = "i3d_*.npz"
GATE = 5e-6  # relative L2 of logits; also of endpoints, relative to their largest number
HEAD_KEYS = ("pool", "feat1024", "logits_t", "logits400")


def relative_l2(got, want):
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def regenerated(arrays):
    """Returns the state dict that `keys`, `key_shape` and `key_crc32` describe."""
    state = {}
    for key, text, crc in zip(
        arrays["keys"], arrays["key_shape"], arrays["key_crc32"], strict=True
    ):
        shape = tuple(int(n) for n in str(text).split(",") if n)
        values = draws.parameter(int(arrays["weight_seed"]), str(key), shape)
        assert draws.crc32(values) == crc, f"{key} is not the recorded tensor"
        state[str(key)] = torch.from_numpy(values)
    return state


def loaded(net, arrays):
    """Returns `net` with the recorded weights, read as an imported file would be."""
    shapes = {k: v.shape for k, v in net.state_dict().items() if "num_batches" not in k}
    tensors, _ = to_ours(regenerated(arrays), shapes)
    net.load_state_dict(tensors)
    return net.eval()


def cases(arrays):
    """Returns the case names of a file, in order; what no case explains is a failure."""
    general = {"weight_seed", "keys", "key_crc32", "key_shape"}
    names = dict.fromkeys(k.split("/")[0] for k in arrays if k not in general)
    for name in names:
        assert f"{name}/shape" in arrays, f"unknown entry or case '{name}'"
    return list(names)


def check_head(net, activations, case, name):
    """Compares every number behind the last endpoint that the case holds."""
    pool = F.avg_pool3d(activations.double(), (2, 7, 7), stride=1)
    pool = rearrange(pool, "1 c t 1 1 -> c t")
    weight = rearrange(net.logits.conv3d.weight, "k c 1 1 1 -> k c").double()
    logits = weight @ pool + net.logits.conv3d.bias.double()[:, None]
    got = {
        "pool": pool,
        "feat1024": pool.mean(1),
        "logits_t": logits,
        "logits400": net.logits(activations)[0],
    }
    for key in HEAD_KEYS:
        error = relative_l2(got[key].numpy(), case[key])
        assert error <= GATE, f"{name}/{key}: relative L2 {error:.2g}"


def names_of(net, case):
    """Returns every name that an entry of a case may have."""
    endpoints = [name for name, _ in net.named_children()]
    of_endpoints = [f"ep/{name}/{key}" for name in endpoints for key in ("shape", "chmean", "max")]
    return {"video_seed", "shape", "video_crc32", "video_head", "mixed_5c_gap"} | {
        *of_endpoints,
        *(HEAD_KEYS if "logits400" in case else ()),
    }


@torch.no_grad()
def check_case(net, case, name):
    assert_known(case, names_of(net, case), name)
    clip = draws.video(int(case["video_seed"]), *(int(n) for n in case["shape"]))
    assert draws.crc32(clip) == case["video_crc32"]
    assert (clip.reshape(-1)[: case["video_head"].size] == case["video_head"]).all()
    x = 2 * torch.from_numpy(clip).double() / 255 - 1
    x = rearrange(x, "t h w c -> 1 c t h w").float()
    for endpoint, activations in net.endpoints(x):
        got = {
            "shape": np.array(activations.shape),
            "chmean": activations.double().mean((0, 2, 3, 4)).numpy(),
            "max": activations.max().numpy(),
        }
        for key, want in under(case, f"ep/{endpoint}/").items():
            error = relative_error(got[key], want)
            assert error <= GATE, f"{name}/ep/{endpoint}/{key}: relative error {error:.2g}"
    gap = activations.double().mean((0, 2, 3, 4)).numpy()
    error = relative_l2(gap, case["mixed_5c_gap"])
    assert error <= GATE, f"{name}/mixed_5c_gap: relative L2 {error:.2g}"
    if "logits400" in case:
        check_head(net, activations, case, name)


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True], ids=["plain", "folded"])
def test_endpoints_and_logits(recorded, folded):
    arrays, _ = recorded
    names = cases(arrays)
    net = loaded(I3D(), arrays)
    if folded:
        net.fold()
    for name in names:
        check_case(net, under(arrays, f"{name}/"), name)
