"""Generators of StyleSV and StyleGAN-V against tensors recorded from the published ones."""

import pytest
import torch
from einops import rearrange

from tests.parity.conftest import assert_known, under
from tests.parity.video_discriminators import assert_close, load
from tests.parity.video_generators import build

FILES = "stylesv_*G*.npz"
VALUE, MOTION, GRADIENT, FILTER = 1e-3, 5e-4, 1e-3, 1e-6
CONSTANTS = ("up_filter", "down_filter", "time_encoder.freqs", "time_encoder.phase_scales",
             "transform")  # fmt: skip
KNOWN = {
    "in": {"z", "c", "t", "motion_z", "cot"},
    "out": {"ws", "motion_v", "img"},
    "ema": {"w_avg", "magnitude", "img"},
}
OPTIONS = {"res", "B", "num_frames", "w_dim", "c_dim", "synthesis_kwargs", "truncation_psi",
           "cfg", "n_params", "layer_names", "unused_params"}  # fmt: skip


def loaded(arrays, meta, case):
    state = under(arrays, f"{case}/state/")
    network = build(case, meta[case], meta[case]["res"], state)
    given = {name: torch.tensor(v) for name, v in under(arrays, f"{case}/in/").items()}
    return load(network, state).eval(), given


def render(network, given, meta, **options):
    inputs = (given[name] for name in ("z", "t", "motion_z", "c"))
    video = network(*inputs, float(meta["truncation_psi"]), **options)
    return rearrange(video, "b c t h w -> (b t) c h w")


def watch(network, names):
    """Collects the outputs of layers of the synthesis network, maps only."""
    maps = {}

    def keep(name):
        def hook(module, inputs, output):
            maps[name] = (output[0] if isinstance(output, tuple) else output).detach()

        return hook

    for name in names:
        network.synthesis.get_submodule(name).register_forward_hook(keep(name))
    return maps


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    assert meta, "the file has no cases"
    for key in arrays:
        case, _, entry = key.partition("/")
        kind, _, name = entry.partition("/")
        assert case in meta, f"unknown case: {key}"
        layers, states = meta[case]["layer_names"], under(arrays, f"{case}/state/")
        names = {"feat": layers, "featstat": layers, "grad": states, "state": states} | KNOWN
        assert name in names.get(kind, ()), f"unknown entry: {key}"
    for case, options in meta.items():
        assert_known(options, OPTIONS, case)


def test_parameters_are_those_of_the_published_networks(recorded):
    arrays, meta = recorded
    for case, options in meta.items():
        network, _ = loaded(arrays, meta, case)
        assert sum(p.numel() for p in network.parameters()) == options["n_params"], case


def test_filters_and_frequencies_are_rebuilt(recorded):
    arrays, meta = recorded
    for case, options in meta.items():
        state = under(arrays, f"{case}/state/")
        network = build(case, options, options["res"], state)
        constants = {k: v for k, v in network.named_buffers() if k.endswith(CONSTANTS)}
        assert set(constants) == {k for k in state if k.endswith(CONSTANTS)}, case
        for name, value in constants.items():
            assert_close(f"{case}/{name}", value, state[name], FILTER)


def test_styles_and_motion_codes(recorded):
    arrays, meta = recorded
    for case, options in meta.items():
        network, given = loaded(arrays, meta, case)
        with torch.no_grad():
            ws = network.styles(given["z"], given["c"], float(options["truncation_psi"]))
            codes = network.motion(given["t"], given["motion_z"], given["c"])
        want = under(arrays, f"{case}/out/")
        assert ws.shape[1] == network.num_ws
        assert_close(f"{case}/out/ws", ws[:, :1], want["ws"], VALUE)
        assert_close(f"{case}/out/motion_v", codes.flatten(0, 1), want["motion_v"], MOTION)


def test_images_maps_and_gradients(recorded):
    arrays, meta = recorded
    for case, options in meta.items():
        network, given = loaded(arrays, meta, case)
        maps = watch(network, options["layer_names"])
        images = render(network, given, options)
        assert_close(f"{case}/out/img", images, arrays[f"{case}/out/img"], VALUE)
        for name, x in maps.items():
            assert_close(f"{case}/feat/{name}", x[:1, :2], arrays[f"{case}/feat/{name}"], VALUE)
            summary = torch.stack([x.mean(), x.std(), x.abs().max()])
            assert_close(
                f"{case}/featstat/{name}", summary, arrays[f"{case}/featstat/{name}"], VALUE
            )
        check_gradients(network, (images * given["cot"]).sum(), arrays, options, case)


def check_gradients(network, loss, arrays, options, case):
    learned = dict(network.named_parameters())
    grads = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
    grads = dict(zip(learned, grads, strict=True))
    assert [k for k, g in grads.items() if g is None] == options["unused_params"], case
    wanted = under(arrays, f"{case}/grad/")
    assert wanted, f"{case}: no gradients recorded"
    for name, want in wanted.items():
        assert_close(f"{case}/grad/{name}", grads[name], want, GRADIENT)


@torch.no_grad()
def test_running_averages(recorded):
    arrays, meta = recorded
    cases = [case for case in meta if f"{case}/ema/img" in arrays]
    if not cases:
        pytest.skip("the file has no running averages")
    for case in cases:
        network, given = loaded(arrays, meta, case)
        images = render(network, given, meta[case], update_emas=True)
        want, layers = under(arrays, f"{case}/ema/"), network.synthesis.layer_names
        magnitudes = [network.synthesis.get_submodule(name).magnitude_ema for name in layers]
        assert_close(f"{case}/w_avg", network.mapping.w_avg, want["w_avg"], VALUE)
        assert_close(f"{case}/magnitude", torch.stack(magnitudes), want["magnitude"], VALUE)
        assert_close(f"{case}/ema/img", images, want["img"], VALUE)
