"""Files `i3d_*.npz`: I3D in float64, one function per layer, straight from its table."""

import numpy as np
import torch
from torch.nn import functional as F

from tests.parity import draws
from tests.parity.made.files import described, save

# Channels: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | pool, 1x1x1.
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}

# name: (T, H, W); a 7x7 map of two time steps or more is followed by the logits.
SMALL = {"t1": (1, 33, 47), "t8_short": (8, 64, 40), "t10": (10, 50, 97), "t9_full": (9, 193, 200)}
LARGE = {
    "t17_224": (17, 224, 224),
    "t8_224": (8, 224, 224),
    "t26_224": (26, 224, 224),
    "t5_90x224": (5, 90, 224),
}


def unit_shapes(name, c_in, c_out, k):
    shapes = {f"{name}.conv3d.weight": (c_out, c_in, k, k, k)}
    leaves = ("weight", "bias", "running_mean", "running_var")
    return shapes | {f"{name}.bn.{leaf}": (c_out,) for leaf in leaves}


def shapes():
    """Returns the shape of every tensor."""
    found = unit_shapes("Conv3d_1a_7x7", 3, 64, 7)
    found |= unit_shapes("Conv3d_2b_1x1", 64, 64, 1) | unit_shapes("Conv3d_2c_3x3", 64, 192, 3)
    c_in = 192
    for name, (one, three_in, three, small_in, small, pooled) in MIXED.items():
        block = f"Mixed_{name}"
        found |= unit_shapes(f"{block}.b0", c_in, one, 1)
        found |= unit_shapes(f"{block}.b1a", c_in, three_in, 1)
        found |= unit_shapes(f"{block}.b1b", three_in, three, 3)
        found |= unit_shapes(f"{block}.b2a", c_in, small_in, 1)
        found |= unit_shapes(f"{block}.b2b", small_in, small, 3)
        found |= unit_shapes(f"{block}.b3b", c_in, pooled, 1)
        c_in = one + three + small + pooled
    return found | {"logits.conv3d.weight": (400, c_in, 1, 1, 1), "logits.conv3d.bias": (400,)}


def same(x, kernel, stride, value=0.0):
    """Pads every axis as TensorFlow's SAME."""
    pads = []
    for n, k, s in list(zip(x.shape[2:], kernel, stride, strict=True))[::-1]:
        total = max(k - s, 0) if n % s == 0 else max(k - n % s, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)


def pool(x, kernel, stride):
    return F.max_pool3d(same(x, kernel, stride, -torch.inf), kernel, stride)


def unit(x, w, name, stride=1):
    weight = w[f"{name}.conv3d.weight"]
    y = F.conv3d(same(x, weight.shape[2:], (stride,) * 3), weight, stride=stride)
    mean, var, scale, shift = (
        w[f"{name}.bn.{leaf}"].view(-1, 1, 1, 1)
        for leaf in ("running_mean", "running_var", "weight", "bias")
    )
    return torch.relu((y - mean) / torch.sqrt(var + 1e-3) * scale + shift)


def mixed(x, w, name):
    branches = [
        unit(x, w, f"{name}.b0"),
        unit(unit(x, w, f"{name}.b1a"), w, f"{name}.b1b"),
        unit(unit(x, w, f"{name}.b2a"), w, f"{name}.b2b"),
        unit(pool(x, (3, 3, 3), (1, 1, 1)), w, f"{name}.b3b"),
    ]
    return torch.cat(branches, dim=1)


def endpoints(x, w):
    """Yields (name, activations) up to Mixed_5c."""
    steps = [("Conv3d_1a_7x7", lambda x, name: unit(x, w, name, stride=2))]
    steps += [("MaxPool3d_2a_3x3", lambda x, _: pool(x, (1, 3, 3), (1, 2, 2)))]
    steps += [(name, lambda x, n: unit(x, w, n)) for name in ("Conv3d_2b_1x1", "Conv3d_2c_3x3")]
    steps += [("MaxPool3d_3a_3x3", lambda x, _: pool(x, (1, 3, 3), (1, 2, 2)))]
    pools = {
        "4b": ("MaxPool3d_4a_3x3", lambda x, _: pool(x, (3, 3, 3), (2, 2, 2))),
        "5b": ("MaxPool3d_5a_2x2", lambda x, _: pool(x, (2, 2, 2), (2, 2, 2))),
    }
    for name in MIXED:
        steps += [pools[name]] if name in pools else []
        steps.append((f"Mixed_{name}", lambda x, n: mixed(x, w, n)))
    for name, layer in steps:
        x = layer(x, name)
        yield name, x


def case_of(clip, w):
    """Returns the expected values of one clip."""
    x = 2 * torch.from_numpy(clip).double().permute(3, 0, 1, 2)[None] / 255 - 1
    case = {}
    for name, y in endpoints(x, w):
        case[f"ep/{name}/shape"] = np.array(y.shape)
        case[f"ep/{name}/chmean"] = y.mean((0, 2, 3, 4)).numpy()
        case[f"ep/{name}/max"] = y.max().numpy()
    case["mixed_5c_gap"] = y.mean((0, 2, 3, 4)).numpy()
    if y.shape[2] >= 2 and tuple(y.shape[3:]) == (7, 7):
        pooled = F.avg_pool3d(y, (2, 7, 7), 1)
        logits = F.conv3d(pooled, w["logits.conv3d.weight"], w["logits.conv3d.bias"])
        case["pool"], case["logits_t"] = (
            pooled[0, :, :, 0, 0].numpy(),
            logits[0, :, :, 0, 0].numpy(),
        )
        case["feat1024"], case["logits400"] = case["pool"].mean(1), case["logits_t"].mean(1)
    return case


@torch.no_grad()
def make(weight_seed, cases, counters):
    """Returns the arrays of one file; `counters`: whether batch counters are among its keys."""
    weights = {k: draws.parameter(weight_seed, k, s) for k, s in shapes().items()}
    w = {k: torch.from_numpy(v).double() for k, v in weights.items()}
    if counters:
        names = [k.removesuffix("weight") for k in weights if k.endswith("bn.weight")]
        weights |= {f"{name}num_batches_tracked": np.zeros((), np.int64) for name in names}
    arrays = described(weight_seed, weights)
    for i, (name, shape) in enumerate(cases.items()):
        clip = draws.video(100 + i, *shape)
        case = {"video_seed": 100 + i, "shape": np.array(shape), "video_crc32": draws.crc32(clip)}
        case |= {"video_head": clip.reshape(-1)[:64], **case_of(clip, w)}
        arrays |= {f"{name}/{key}": value for key, value in case.items()}
    return arrays


def write(folder, small):
    """Writes the small file, or two."""
    save(folder / "i3d_small.npz", make(7, SMALL, counters=False))
    if not small:
        save(folder / "i3d_large.npz", make(8, LARGE, counters=True))
