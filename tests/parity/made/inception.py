"""Files `inception_*.npz`: the Inception of 2015 in float64, as functions of its weights."""

import numpy as np
import torch
from torch.nn import functional as F

from tests.parity import draws
from tests.parity.made.files import described, save

# Units of each block: (name, channels in front, channels, rows, columns, stride, padded).
STEM = [
    ("Conv2d_1a_3x3", 3, 32, 3, 3, 2, False),
    ("Conv2d_2a_3x3", 32, 32, 3, 3, 1, False),
    ("Conv2d_2b_3x3", 32, 64, 3, 3, 1, True),
]
SECOND = [("Conv2d_3b_1x1", 64, 80, 1, 1, 1, True), ("Conv2d_4a_3x3", 80, 192, 3, 3, 1, False)]


def branch(prefix, names, c_in, *convs):
    """Returns units in a row: each conv is (channels, rows, columns[, stride])."""
    units = []
    for name, (c_out, rows, columns, *stride) in zip(names, convs, strict=True):
        step = stride[0] if stride else 1
        units.append((f"{prefix}.{name}", c_in, c_out, rows, columns, step, not stride))
        c_in = c_out
    return units


def numbered(name, n):
    return [f"{name}_{i}" for i in range(1, n + 1)]


def block_a(p, c, pooled):
    return {
        "1": branch(p, ["branch1x1"], c, (64, 1, 1)),
        "5": branch(p, numbered("branch5x5", 2), c, (48, 1, 1), (64, 5, 5)),
        "3": branch(p, numbered("branch3x3dbl", 3), c, (64, 1, 1), (96, 3, 3), (96, 3, 3)),
        "mean": branch(p, ["branch_pool"], c, (pooled, 1, 1)),
    }


def block_b(p, c):
    three = [(64, 1, 1), (96, 3, 3), (96, 3, 3, 2)]
    return {
        "3": branch(p, ["branch3x3"], c, (384, 3, 3, 2)),
        "d": branch(p, numbered("branch3x3dbl", 3), c, *three),
        "shrink": [],
    }


def block_c(p, c, k):
    row, column = (1, 7), (7, 1)
    long = [(k, 1, 1), (k, *column), (k, *row), (k, *column), (192, *row)]
    return {
        "1": branch(p, ["branch1x1"], c, (192, 1, 1)),
        "7": branch(p, numbered("branch7x7", 3), c, (k, 1, 1), (k, *row), (192, *column)),
        "d": branch(p, numbered("branch7x7dbl", 5), c, *long),
        "mean": branch(p, ["branch_pool"], c, (192, 1, 1)),
    }


def block_d(p, c):
    seven = [(192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2)]
    return {
        "3": branch(p, numbered("branch3x3", 2), c, (192, 1, 1), (320, 3, 3, 2)),
        "7": branch(p, numbered("branch7x7x3", 4), c, *seven),
        "shrink": [],
    }


def block_e(p, c, pooling):
    single, double = branch(p, ["branch3x3_1"], c, (384, 1, 1)), numbered("branch3x3dbl", 2)
    double = branch(p, double, c, (448, 1, 1), (384, 3, 3))
    return {
        "1": branch(p, ["branch1x1"], c, (320, 1, 1)),
        "3a": single + branch(p, ["branch3x3_2a"], 384, (384, 1, 3)),
        "3b": single + branch(p, ["branch3x3_2b"], 384, (384, 3, 1)),
        "da": double + branch(p, ["branch3x3dbl_3a"], 384, (384, 1, 3)),
        "db": double + branch(p, ["branch3x3dbl_3b"], 384, (384, 3, 1)),
        pooling: branch(p, ["branch_pool"], c, (192, 1, 1)),
    }


MIDDLE = [
    block_a("Mixed_5b", 192, 32),
    block_a("Mixed_5c", 256, 64),
    block_a("Mixed_5d", 288, 64),
    block_b("Mixed_6a", 288),
    block_c("Mixed_6b", 768, 128),
    block_c("Mixed_6c", 768, 160),
    block_c("Mixed_6d", 768, 160),
    block_c("Mixed_6e", 768, 192),
]
LAST = [
    block_d("Mixed_7a", 768),
    block_e("Mixed_7b", 1280, "mean"),
    block_e("Mixed_7c", 2048, "max"),
]
POOLS = {
    "mean": lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "max": lambda x: F.max_pool2d(x, 3, 1, 1),
    "shrink": lambda x: F.max_pool2d(x, 3, 2),
}

# name: (images, height, width)
SMALL = {"n1_17x40": (1, 17, 40), "n2_330x301": (2, 330, 301)}
LARGE = {"n3_128": (3, 128, 128), "n1_299x64": (1, 299, 64), "n1_512x300": (1, 512, 300)}


def shapes():
    """Returns the shape of every tensor."""
    units = STEM + SECOND
    units += [u for block in MIDDLE + LAST for branch in block.values() for u in branch]
    found = {}
    for name, c_in, c_out, rows, columns, _, _ in units:
        found[f"{name}.conv.weight"] = (c_out, c_in, rows, columns)
        for leaf in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.bn.{leaf}"] = (c_out,)
        found[f"{name}.bn.num_batches_tracked"] = ()
    return found | {"fc.weight": (1008, 2048), "fc.bias": (1008,)}


def run(x, w, units):
    for name, _, _, rows, columns, stride, padded in units:
        padding = (rows // 2, columns // 2) if padded else 0
        y = F.conv2d(x, w[f"{name}.conv.weight"], stride=stride, padding=padding)
        mean, var, scale, shift = (
            w[f"{name}.bn.{leaf}"].view(-1, 1, 1)
            for leaf in ("running_mean", "running_var", "weight", "bias")
        )
        x = torch.relu((y - mean) / torch.sqrt(var + 1e-3) * scale + shift)
    return x


def run_blocks(x, w, blocks):
    for block in blocks:
        outs = [run(POOLS[key](x) if key in POOLS else x, w, b) for key, b in block.items()]
        x = torch.cat(outs, dim=1)
    return x


def interpolated(x, position, axis):
    """Returns `x` read at real positions along an axis, the upper neighbour clamped."""
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    shape = [1] * x.ndim
    shape[axis] = len(position)
    fraction = (position - low).reshape(shape)
    return x.take(low, axis) * (1 - fraction) + x.take(high, axis) * fraction


def tf1(x):
    """Resizes N, C, H, W to 299x299: corners at 0, scale in float32, columns first."""
    for axis in (3, 2):
        scale = float(np.float32(x.shape[axis] / 299))
        x = interpolated(x, np.arange(299) * scale, axis)
    return x


def half_pixel(x):
    """Resizes N, C, H, W to 299x299: pixel centres at one half."""
    for axis in (3, 2):
        position = (np.arange(299) + 0.5) * (x.shape[axis] / 299) - 0.5
        x = interpolated(x, np.maximum(position, 0), axis)
    return x


def case_of(images, w):
    """Returns the expected values of some images."""
    pixels = images.transpose(0, 3, 1, 2).astype(np.float64)
    resized = tf1(pixels)
    x = F.max_pool2d(run((torch.from_numpy(resized) - 128) / 128, w, STEM), 3, 2)
    taps = {"64": x}
    taps["192"] = x = F.max_pool2d(run(x, w, SECOND), 3, 2)
    taps["768"] = x = run_blocks(x, w, MIDDLE)
    taps["2048"] = run_blocks(x, w, LAST)
    case = {name: tap.mean((2, 3)).numpy() for name, tap in taps.items()}
    case["logits_unbiased"] = case["2048"] @ w["fc.weight"].numpy().T
    case["logits"] = case["logits_unbiased"] + w["fc.bias"].numpy()
    case["resized_sample"] = resized[:, :, ::37, ::41]
    case["resized_torch_sample"] = half_pixel(pixels)[:, :, ::37, ::41]
    return case


@torch.no_grad()
def make(weight_seed, cases):
    """Returns the arrays of one file."""
    weights = {k: draws.parameter(weight_seed, k, s) for k, s in shapes().items()}
    w = {k: torch.from_numpy(v).double() for k, v in weights.items()}
    arrays = described(weight_seed, weights)
    for i, (name, (n, *size)) in enumerate(cases.items()):
        images = draws.video(200 + i, 4 * n, *size)[::4].copy()
        case = {"image_seed": 200 + i, "shape": np.array((n, *size)), "crc32": draws.crc32(images)}
        case |= {"head": images.reshape(-1)[:64], **case_of(images, w)}
        arrays |= {f"{name}/{key}": value for key, value in case.items()}
    return arrays


def write(folder, small):
    """Writes the small file, or two."""
    save(folder / "inception_small.npz", make(9, SMALL))
    if not small:
        save(folder / "inception_large.npz", make(10, LARGE))
