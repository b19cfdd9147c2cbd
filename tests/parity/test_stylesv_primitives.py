"""Layers of StyleGAN2 and 3 against recorded values and gradients of the published ones."""

import numpy as np
import pytest
import torch

from tests.parity.conftest import some, under
from vgbench.nn.bias_act import bias_act
from vgbench.nn.conv_resample import conv2d_resample
from vgbench.nn.filtered_lrelu import Resampling, filtered_lrelu
from vgbench.nn.lowpass import design_lowpass_filter
from vgbench.nn.modulated_conv import LowRank, modulated_conv2d, normalized_modulated_conv2d
from vgbench.nn.upfirdn import downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d

FILES = "stylesv_primitives*.npz"
VALUE, GRADIENT = 1e-4, 1e-3


def plain(value):
    """JSON lists as tuples, whole numbers of lists of taps as floats."""
    return tuple(plain(v) for v in value) if isinstance(value, list) else value


def real(options, *names):
    """Options with those `names` that are given as floats, all lists as tuples."""
    made = {name: plain(value) for name, value in options.items()}
    given = {name for name in names if made.get(name) is not None}
    return made | {name: float(made[name]) for name in given}


def without(options, *names):
    return {name: value for name, value in options.items() if name not in names}


def run_setup_filter(options, inputs):
    taps = np.asarray(options["f"], dtype=np.float32)
    return setup_filter(torch.from_numpy(taps), **real(without(options, "f"), "gain"))


def resampler(op):
    def run(options, inputs):
        return op(inputs["x"], inputs.get("f"), **real(without(options, "f"), "gain"))

    return run


def run_conv2d_resample(options, inputs):
    options = real(without(options, "k"))
    return conv2d_resample(inputs["x"], inputs["w"], inputs.get("f"), **options)


def run_bias_act(options, inputs):
    return bias_act(inputs["x"], inputs.get("b"), **real(options, "gain", "clamp", "alpha"))


def run_modulated_sg2(options, inputs):
    # Our up-sampling form always convolves and the plain one correlates, as StyleGAN2 does.
    options = {"up": 1, "down": 1, **real(without(options, "k", "fused_modconv"))}
    same = options.pop("flip_weight") == (options["up"] == 1)
    weight = inputs["weight"] if same else inputs["weight"].flip((2, 3))
    f = setup_filter([1.0, 3.0, 3.0, 1.0])
    return modulated_conv2d(inputs["x"], weight, inputs["styles"], f, **options)


def run_modulated_sg3(options, inputs):
    low_rank = LowRank(inputs["w1"], inputs["w2"], inputs["t"]) if "rank" in options else None
    return normalized_modulated_conv2d(
        inputs["x"],
        inputs["w"],
        inputs["s"],
        input_gain=inputs.get("input_gain"),
        low_rank=low_rank,
        **real(without(options, "k", "rank", "input_gain")),
    )


def run_design_lowpass_filter(options, inputs):
    names = {"numtaps": "taps", "fs": "rate"}
    options = {names.get(name, name): value for name, value in options.items()}
    f = design_lowpass_filter(**real(options, "cutoff", "width", "rate"))
    return torch.empty(0) if f is None else f


def run_filtered_lrelu(options, inputs):
    options = real(without(options, "fu", "fd"), "gain", "slope", "clamp")
    shape = {
        name: options.pop(name)
        for name in ("up", "down", "padding", "flip_filter")
        if name in options
    }
    resampling = Resampling(inputs.get("fu"), inputs.get("fd"), **shape)
    return filtered_lrelu(inputs["x"], inputs.get("b"), resampling, **options)


GROUPS = {
    "setup_filter": run_setup_filter,
    "upfirdn2d": resampler(upfirdn2d),
    "upsample2d": resampler(upsample2d),
    "downsample2d": resampler(downsample2d),
    "filter2d": resampler(filter2d),
    "conv2d_resample": run_conv2d_resample,
    "bias_act": run_bias_act,
    "modulated_conv2d_sg2": run_modulated_sg2,
    "modulated_conv2d_sg3": run_modulated_sg3,
    "design_lowpass_filter": run_design_lowpass_filter,
    "filtered_lrelu": run_filtered_lrelu,
}
# Inputs without a recorded gradient; all others must have one.
CONSTANT = {"f", "fu", "fd", "input_gain"}


def assert_close(name, got, want, tolerance):
    got = got.detach().numpy()
    assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape}"
    if not want.size:
        return
    error = np.abs(got - want).max() / max(1, np.abs(want).max())
    assert error <= tolerance, f"{name}: error {error:.2e} > {tolerance:.0e}"


def test_every_case_belongs_to_a_known_group(recorded):
    arrays, meta = recorded
    assert meta, "the file has no cases"
    cases = set(meta) | {key.rpartition("/")[0] for key in arrays}
    unknown = sorted(case for case in cases if case.split("/")[0] not in GROUPS)
    assert not unknown, f"unknown cases: {unknown}"
    assert cases == set(meta), f"cases without options: {sorted(cases - set(meta))}"


@pytest.mark.parametrize("group", GROUPS)
def test_values_and_gradients(recorded, group):
    arrays, meta = recorded
    cases = some([case for case in meta if case.split("/")[0] == group], group)
    for case in cases:
        check(case, meta[case], under(arrays, f"{case}/"), GROUPS[group])


def check(case, options, entries, run):
    expected = {"y", "gy"} | {key for key in entries if key[1:] in entries and key[0] == "g"}
    inputs = {k: torch.tensor(v) for k, v in entries.items() if k not in expected}
    learned = {k: v.requires_grad_() for k, v in inputs.items() if k not in CONSTANT}
    y = run(options, inputs)
    assert_close(f"{case}/y", y, entries["y"], VALUE)
    if "gy" not in entries:
        assert not learned, f"{case}: no gradients recorded of {sorted(learned)}"
        return
    missing = [k for k in learned if f"g{k}" not in entries]
    assert not missing, f"{case}: no gradients recorded of {missing}"
    grads = torch.autograd.grad(y, list(learned.values()), torch.tensor(entries["gy"]))
    for name, grad in zip(learned, grads, strict=True):
        assert_close(f"{case}/g{name}", grad, entries[f"g{name}"], GRADIENT)
