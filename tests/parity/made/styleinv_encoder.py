"""Files `styleinv_encoder_*.npz`: the modulated encoder as functions of a state dict, float64."""

import numpy as np
import torch
import torch.nn.functional as F

from tests.parity.made.files import save

DEFAULT = {"style_dim": 9, "out_dim": 14, "se_reduction": 16, "base_width": 16, "side": 33}
BOTH = {"normalize_adain": True, "use_modulation": False}

# Options that differ from the published ones, by file name.
SMALL = {
    "small": {"units": [1, 2, 1, 1], "adain_mode": "block", "normalize_adain": False},
    "small_units": {"units": [1, 1, 2, 1], "adain_mode": "bottleneck"},
    "small_modulated": {"units": [2, 1, 1, 1], "adain_mode": "block", "use_modulation": True},
}
LARGE = {
    "wide": {"units": [1, 3, 2, 1], "adain_mode": "block", "base_width": 24, "se_reduction": 8},
    "modulated": {"units": [1, 1, 1, 2], "adain_mode": "bottleneck", "use_modulation": True},
}


class Weights(dict):
    """A state dict that draws a tensor when it is first asked for."""

    def __init__(self, seed):
        super().__init__()
        self.random = np.random.RandomState(seed)

    def get(self, key, shape, scale=1.0, offset=0.0, positive=False):
        if key not in self:
            values = self.random.standard_normal(shape)
            values = np.abs(values) if positive else values
            self[key] = (values * scale + offset).astype(np.float32)
        return torch.from_numpy(self[key]).double()

    def conv(self, key, x, c_out, k, stride=1, bias=False):
        weight = self.get(f"{key}.weight", (c_out, x.shape[1], k, k), (x.shape[1] * k * k) ** -0.5)
        shift = self.get(f"{key}.bias", (c_out,), 0.2) if bias else None
        return F.conv2d(x, weight, shift, stride, k // 2)

    def norm(self, key, x, live):
        c = x.shape[1]
        scale, shift = self.get(f"{key}.weight", (c,), 0.2, 1), self.get(f"{key}.bias", (c,), 0.2)
        mean = self.get(f"{key}.running_mean", (c,), 0.2)
        var = self.get(f"{key}.running_var", (c,), 0.5, 0.5, positive=True)
        self.setdefault(f"{key}.num_batches_tracked", np.array(3))
        if live:
            mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        mean, var, scale, shift = (v.view(-1, 1, 1) for v in (mean, var, scale, shift))
        return (x - mean) / (var + 1e-5).sqrt() * scale + shift

    def slope(self, key, x):
        slope = self.get(f"{key}.weight", (x.shape[1],), 0.1, 0.25).view(-1, 1, 1)
        return torch.where(x > 0, x, slope * x)

    def dense(self, key, x, c_out, offset=0.0):
        weight = self.get(f"{key}.weight", (c_out, x.shape[1]))
        return x @ weight.T / x.shape[1] ** 0.5 + self.get(f"{key}.bias", (c_out,), 0.2, offset)


def unit(weights, key, x, c_out, stride, live, reduction):
    straight = x[:, :, ::stride, ::stride]
    if x.shape[1] != c_out:
        straight = weights.conv(f"{key}.shortcut_layer.0", straight, c_out, 1)
        straight = weights.norm(f"{key}.shortcut_layer.1", straight, live)
    y = weights.norm(f"{key}.res_layer.0", x, live)
    y = weights.conv(f"{key}.res_layer.1", y, c_out, 3)
    y = weights.slope(f"{key}.res_layer.2", y)
    y = weights.conv(f"{key}.res_layer.3", y, c_out, 3, stride)
    y = weights.norm(f"{key}.res_layer.4", y, live)
    means = y.mean((2, 3), keepdim=True)
    hidden = weights.conv(f"{key}.res_layer.5.fc1", means, c_out // reduction, 1).clamp(min=0)
    return straight + y / (1 + (-weights.conv(f"{key}.res_layer.5.fc2", hidden, c_out, 1)).exp())


def adain(weights, key, x, style):
    scale, shift = weights.dense(f"{key}.fc", style, 2 * x.shape[1])[..., None, None].chunk(2, 1)
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), correction=0, keepdim=True)
    return (1 + scale) * (x - mean) / (var + 1e-5).sqrt() + shift


def adain_block(weights, key, x, style, normalize):
    y = x
    for i in (1, 2):
        y = F.leaky_relu(adain(weights, f"{key}.norm{i}", y, style), 0.2)
        y = weights.conv(f"{key}.conv{i}", y, x.shape[1], 3, bias=True)
    return (x + y) / 2**0.5 if normalize else x + y


def modulated_block(weights, key, x, style):
    taps = np.array([1, 3, 3, 1]) / 8
    for part in ("", ".conv0", ".conv1", ".skip"):
        weights.setdefault(f"{key}{part}.resample_filter", np.outer(taps, taps).astype(np.float32))
    y, c = x, x.shape[1]
    for i in (0, 1):
        name = f"{key}.conv{i}"
        scales = weights.dense(f"{name}.affine", style, c, 1.0)
        kernels = weights.get(f"{name}.weight", (c, c, 3, 3)) * scales[:, None, :, None, None]
        kernels = kernels / (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
        # one convolution with a kernel of its own for each sample
        y = torch.cat([F.conv2d(a[None], k, padding=1) for a, k in zip(y, kernels, strict=True)])
        shift = weights.get(f"{name}.bias", (c,), 0.2).view(-1, 1, 1)
        y = F.leaky_relu(y + shift, 0.2) * 2**0.5
    straight = torch.einsum(
        "oi,nihw->nohw", weights.get(f"{key}.skip.weight", (c, c, 1, 1))[..., 0, 0], x
    )
    return (straight / c**0.5 + y) * 0.5**0.5


def encode(weights, case, x, style, live=False):
    """Returns the style of the generator and the means of maps around each block."""
    c, around = case["base_width"], {}
    x = weights.slope("input_layer.2", weights.norm(
        "input_layer.1", weights.conv("input_layer.0", x, c, 3), live))  # fmt: skip
    around["h_input"] = x[:, :4, ::4, ::4]
    place = block = 0
    for stage, depth in enumerate(case["units"]):
        for i in range(depth):
            width = c * 2**stage
            key, stride = f"body.{place}", 1 if i else 2
            x = unit(weights, key, x, width, stride, live, case["se_reduction"])
            last = i == depth - 1
            if style is not None and (last or case["adain_mode"] == "bottleneck"):
                around[f"h_body{place}_before"] = x.mean((2, 3))
                if case["use_modulation"]:
                    x = modulated_block(weights, f"adains.{block}", x, style)
                else:
                    normalize = case["normalize_adain"]
                    x = adain_block(weights, f"adains.{block}", x, style, normalize)
                around[f"h_body{place}_after"] = x.mean((2, 3))
                block += 1
            place += 1
    return weights.dense("linear", x.mean((2, 3)), case["out_dim"]), around


def write(folder, small):
    """Writes a file for each case."""
    for seed, (name, options) in enumerate((SMALL if small else SMALL | LARGE).items()):
        case, weights = DEFAULT | BOTH | options, Weights(seed)
        random = np.random.RandomState(100 + seed)
        side = case.pop("side")
        x = random.standard_normal((3, 3, side, side + 3)).astype(np.float32)
        style = random.standard_normal((3, case["style_dim"])).astype(np.float32)
        given = torch.from_numpy(x).double(), torch.from_numpy(style).double()
        w, around = encode(weights, case, *given)
        other = case | {"normalize_adain": not case["normalize_adain"]}
        found = around | {
            "w": w,
            "w_ignore_adain": encode(weights, case, given[0], None)[0],
            "w_flip_normalize": encode(weights, other, *given)[0],
            "w_train_mode": encode(weights, case, *given, live=True)[0],
        }
        arrays = {f"sd/{key}": value for key, value in weights.items()}
        arrays |= {f"out/{key}": value.numpy().astype(np.float32) for key, value in found.items()}
        arrays |= {"in/x": x, "in/style": style}
        save(folder / f"styleinv_encoder_{name}.npz", arrays, {"cls": "own", **case})
