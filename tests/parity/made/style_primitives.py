"""Files `stylesv_primitives_*.npz`: single layers of StyleGAN2 and 3 with their gradients."""

import numpy as np
import torch

from tests.parity.made import style_ops as ops
from tests.parity.made.files import save

CONSTANT = {"f", "fu", "fd", "input_gain"}


def without(options, *names):
    return {key: value for key, value in options.items() if key not in names}


def filtered(function):
    return lambda o, x: function(x["x"], x.get("f"), **without(o, "f"))


def modulated3(options, x):
    second = (x["w1"], x["w2"], x["t"]) if "rank" in options else None
    rest = without(options, "k", "rank", "input_gain")
    return ops.modulated3(
        x["x"], x["w"], x["s"], **rest, input_gain=x.get("input_gain"), second=second
    )


def modulated2(options, x):
    rest = without(options, "k", "fused_modconv", "flip_weight")
    f = ops.setup_filter(ops.BLUR)
    return ops.modulated2(x["x"], x["weight"], x["styles"], f, **rest, flip=options["flip_weight"])


def design(options, _):
    f = ops.lowpass(**options)
    return torch.empty(0) if f is None else f


def activated(options, x):
    return ops.filtered_lrelu(
        x["x"], x.get("fu"), x.get("fd"), x.get("b"), **without(options, "fu", "fd")
    )


GROUPS = {
    "setup_filter": lambda o, x: ops.setup_filter(**o),
    "upfirdn2d": filtered(ops.upfirdn),
    "upsample2d": filtered(ops.upsample),
    "downsample2d": filtered(ops.downsample),
    "filter2d": filtered(ops.filter2d),
    "conv2d_resample": lambda o, x: ops.conv_resample(
        x["x"], x["w"], x.get("f"), **without(o, "k")
    ),
    "bias_act": lambda o, x: ops.bias_act(x["x"], x.get("b"), **o),
    "modulated_conv2d_sg2": modulated2,
    "modulated_conv2d_sg3": modulated3,
    "design_lowpass_filter": design,
    "filtered_lrelu": activated,
}


def compute(group, options, inputs, gy=None):
    """Returns `y` of a case and, for a cotangent `gy`, the gradients of what is no constant."""
    inputs = {k: v.double() for k, v in inputs.items()}
    learned = {k: v.requires_grad_() for k, v in inputs.items() if k not in CONSTANT}
    y = GROUPS[group](options, inputs)
    if not learned:
        return {"y": y}
    gy = y.new_ones(y.shape) if gy is None else gy.double()
    grads = torch.autograd.grad(y, list(learned.values()), gy)
    return {"y": y} | {f"g{k}": g for k, g in zip(learned, grads, strict=True)}


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape).astype(np.float32))


def taps(rng, *shape):
    f = rng.uniform(0.1, 1.0, shape)
    return torch.from_numpy((f / f.sum()).astype(np.float32))


def cases(rng):
    """Yields (group, options, inputs) of other sizes and options than those given."""
    blur = ops.setup_filter(ops.BLUR).float()
    yield "setup_filter", {"f": [2, 5, 1], "gain": 9, "flip_filter": True}, {}
    yield "setup_filter", {"f": [1, 2, 3, 4, 5, 4, 3, 2, 1], "normalize": False}, {}
    for up, down, padding, f, flip, gain in [
        (3, 1, [4, 3, 2, 5], taps(rng, 5), False, 9),
        (1, 3, [1, 0, -1, 2], taps(rng, 7), True, 1),
        ([1, 2], [3, 1], [6, 2, 3, 1], taps(rng, 3, 5), False, 0.7),
        (4, 2, [-3, 9, 10, -2], taps(rng, 16), False, 16),
        (2, 1, 0, None, False, 2),
    ]:
        options = {"up": up, "down": down, "padding": padding, "flip_filter": flip, "gain": gain}
        inputs = {"x": normal(rng, 1, 2, 13, 15)} | ({} if f is None else {"f": f})
        yield "upfirdn2d", options | {"f": "any"}, inputs
    for group, options in [
        ("upsample2d", {"up": 2, "padding": 1}),
        ("upsample2d", {"up": 4, "gain": 2}),
        ("downsample2d", {"down": 2, "flip_filter": True}),
        ("filter2d", {"gain": 3}),
    ]:
        yield group, options, {"x": normal(rng, 2, 1, 9, 7), "f": taps(rng, 4, 4)}
    for up, down, k, groups, flip in [(2, 1, 5, 1, True), (1, 2, 5, 1, True), (2, 1, 3, 3, False)]:
        options = {"up": up, "down": down, "padding": k // 2, "groups": groups}
        options |= {"flip_weight": flip, "k": k}
        w = normal(rng, 6, 6 // groups, k, k)
        yield "conv2d_resample", options, {"x": normal(rng, 1, 6, 10, 6), "w": w, "f": blur}
    for act in ("tanh", "sigmoid", "elu", "selu", "softplus", "swish"):
        yield (
            "bias_act",
            {"act": act, "gain": 1.7},
            {"x": normal(rng, 3, 4, 5), "b": normal(rng, 4)},
        )
    yield "bias_act", {"act": "swish", "clamp": 0.3}, {"x": normal(rng, 7, 2)}
    for up, k, demodulate in [(1, 5, True), (2, 3, False), (2, 3, True)]:
        options = {"up": up, "padding": k // 2, "demodulate": demodulate, "k": k}
        options |= {"flip_weight": up == 1, "fused_modconv": True}
        inputs = {"x": normal(rng, 2, 3, 7, 9), "weight": normal(rng, 4, 3, k, k)}
        yield "modulated_conv2d_sg2", options, inputs | {"styles": normal(rng, 2, 3)}
    for rank, gain, demodulate in [(0, (), True), (3, (4, 3), True), (1, (3,), False)]:
        options = {"padding": 2, "demodulate": demodulate, "k": 3, "input_gain": "any"}
        inputs = {
            "x": normal(rng, 4, 3, 6, 6),
            "w": normal(rng, 2, 3, 3, 3),
            "s": normal(rng, 4, 3),
        }
        inputs["input_gain"] = normal(rng, *gain).abs()
        if rank:
            options["rank"] = rank
            inputs |= {"w1": normal(rng, 2, rank, 3, 3), "w2": normal(rng, rank, 3, 3, 3)}
            inputs["t"] = normal(rng, 4, 3)
        yield "modulated_conv2d_sg3", options, inputs
    for numtaps, cutoff, width, fs, radial in [(18, 3.3, 9.0, 48, False), (8, 5.0, 11.0, 40, True)]:
        options = {"numtaps": numtaps, "cutoff": cutoff, "width": width, "fs": fs}
        yield "design_lowpass_filter", options | {"radial": radial}, {}
    for up, down, padding, slope, clamp in [(3, 2, [8, 7, 9, 6], 0.3, 0.5), (2, 3, 3, 0.2, None)]:
        options = {"up": up, "down": down, "padding": padding, "gain": 1.1, "slope": slope}
        inputs = {
            "fu": taps(rng, 6 * up),
            "fd": taps(rng, 6 * down),
            "x": normal(rng, 1, 2, 20, 18),
        }
        yield (
            "filtered_lrelu",
            options | {"clamp": clamp, "fu": "", "fd": ""},
            inputs | {"b": normal(rng, 2)},
        )


def make(seed):
    """Returns arrays and meta of one file."""
    rng = np.random.default_rng(seed)
    arrays, meta = {}, {}
    for number, (group, options, inputs) in enumerate(cases(rng)):
        name = f"{group}/{number}"
        meta[name] = options
        entries = {k: v.clone() for k, v in inputs.items()}
        shape = compute(group, options, inputs)["y"].shape
        if set(inputs) - CONSTANT:
            entries["gy"] = normal(rng, *shape)
        entries |= compute(group, options, inputs, entries.get("gy"))
        arrays |= {f"{name}/{k}": v.detach().numpy().astype(np.float32) for k, v in entries.items()}
    return arrays, meta


def write(folder, small):
    """Writes one file."""
    save(folder / "stylesv_primitives_small.npz", *make(11))
