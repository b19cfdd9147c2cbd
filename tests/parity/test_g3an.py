"""G3AN against tensors recorded from the published networks; see the README of the folder."""

import re

import numpy as np
import pytest
import torch
from einops import rearrange

from tests.parity.conftest import relative_error, some, under
from vgbench.models.g3an.attention import FactorizedSelfAttention
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.discriminator import ImageDiscriminator, VideoDiscriminator
from vgbench.models.g3an.generator import Generator
from vgbench.models.g3an.module import G3AN, FrameChoice, Latents
from vgbench.nn.channels_last import dense
from vgbench.types import VideoSpec
from vgbench.video import to_model_range

FILES = "g3an_*.npz"
VALUE, GRADIENT, LOSS = 1e-4, 1e-3, 1e-4
ZERO = 1e-9  # gradients below are zero: a bias in front of a batch norm has rounding noise only

# Every key of a file must be of one of these kinds, each checked by a test below.
KNOWN = [
    r"(G|VD|ID)/.+",
    r"alt_\w+/(G/.+|out)",
    r"in/(za|zm|zm_long\d+|real_u8)",
    r"G_eval/(out|out_long\d+|block\d+_[svt](_sub)?|(tsa|fsa)_v(_sub)?)",
    r"G_train/(out|after/.+)",
    r"fsa_unit/(x|(tsa_|ssa_)?out(_fixed)?)",
    r"(VD|ID)_eval/(net\.\d+|dsum_dx)_sub",
    r"VD_(eval|train)/(real|fake)",
    r"ID_(eval|train)/(real|fake)_f\d+",
    r"(VD|ID)_train/after/.+",
    r"step/(losses|frames|\d+/(za|zm|grad/(G|VD|ID)/.+))",
]


def tensors(arrays, dtype=None):
    made = {key: torch.from_numpy(np.asarray(value)) for key, value in arrays.items()}
    return {k: v.to(dtype) if dtype and v.is_floating_point() else v for k, v in made.items()}


def config_of(meta, channels, **changes):
    names = {"appearance_dim": "c_a", "motion_dim": "c_m", "frames": "frames", "mode": "mode"}
    options = {ours: meta[theirs] for ours, theirs in names.items()}
    options |= {"use_attention": meta["use_attention"], "fsa_layout": "reference"}
    return G3ANConfig(**options | changes, channels=channels)


def spec_of(meta):
    return VideoSpec(3, meta["size"], meta["size"])


def build(kind, config, meta, state, dtype=torch.float32):
    network = kind(config, spec_of(meta)).to(dtype)
    network.load_state_dict(tensors(state, dtype), strict=True)
    return network


def generator_of(arrays, meta, dtype=torch.float32):
    return build(Generator, config_of(meta, meta["ch_g"]), meta, under(arrays, "G/"), dtype)


def discriminator_of(name, arrays, meta, dtype=torch.float32):
    kind = {"VD": VideoDiscriminator, "ID": ImageDiscriminator}[name]
    return build(kind, config_of(meta, meta["ch_d"]), meta, under(arrays, f"{name}/"), dtype)


def latents(arrays, prefix="in/", zm="zm", dtype=torch.float32):
    za = torch.from_numpy(arrays[f"{prefix}za"]).to(dtype)
    zm = torch.from_numpy(arrays[f"{prefix}{zm}"]).to(dtype)
    return rearrange(za, "b a 1 1 1 -> b a"), rearrange(zm, "b m l 1 1 -> b l m")


def real_video(arrays, dtype=torch.float32):
    u8 = torch.from_numpy(arrays["in/real_u8"])
    return to_model_range(rearrange(u8, "b c t h w -> b t h w c")).to(dtype)


def channels_first(x):
    return rearrange(dense(x), "b t h w c -> b c t h w")


def assert_close(name, got, want, tolerance, zero=1e-300):
    error = relative_error(got.detach().numpy(), want, zero)
    assert error <= tolerance, f"{name}: relative error {error:.2e} > {tolerance:.0e}"


def test_every_key_of_a_file_is_checked(recorded):
    arrays, meta = recorded
    unknown = [k for k in arrays if not any(re.fullmatch(p, k) for p in KNOWN)]
    looked_at = {
        r"alt_(\w+)/.+": {alt["name"] for alt in meta["alt"]},
        r"(?:in/zm|G_eval/out)_long(\d+)": {str(steps) for steps in meta["long_tm"]},
        r"step/(\d+)/.+": {str(step) for step in range(len(arrays["step/frames"]))},
    }
    for pattern, names in looked_at.items():
        found = [(k, re.fullmatch(pattern, k)) for k in arrays]
        unknown += [k for k, match in found if match and match[1] not in names]
    assert not unknown, f"unknown cases: {unknown}"


def block_slices(key):
    """Sub-sampling of a recorded activation by its stream and suffix."""
    if not key.endswith("_sub"):
        return (slice(None),)
    one, two, all_ = slice(0, 1), slice(None, None, 2), slice(None)
    space = {"v": slice(None, None, 5), "s": slice(None, None, 3)}[key.split("_")[1]]
    time = slice(None, None, 3) if "_v_" in key else all_
    return (one, two, time, space, space)


def record_streams(network, seen):
    """Fills `seen` with the channels-first maps of all blocks and attentions in a forward."""

    def block(name):
        def hook(module, args, out):
            for stream, value in zip("svt", out, strict=True):
                seen[f"{name}_{stream}"] = channels_first(value)

        return hook

    def attention(name):
        return lambda module, args, out: seen.update({f"{name}_v": channels_first(out)})

    for i in range(1, network.n_blocks + 1):
        network.get_submodule(f"block{i}").register_forward_hook(block(f"block{i}"))
    if network.fsa is not None:
        network.fsa.tsa.register_forward_hook(attention("tsa"))
        network.fsa.register_forward_hook(attention("fsa"))


@torch.no_grad()
def test_generator_in_evaluation(recorded):
    arrays, meta = recorded
    network = generator_of(arrays, meta).eval()
    seen = {}
    record_streams(network, seen)
    seen["out"] = network(*latents(arrays))
    wanted = {k: v for k, v in under(arrays, "G_eval/").items() if "long" not in k}
    assert wanted
    for key, want in wanted.items():
        got = seen[key.removesuffix("_sub")][block_slices(key)]
        assert_close(f"G_eval/{key}", got, want, VALUE)


@torch.no_grad()
def test_longer_videos(recorded):
    arrays, meta = recorded
    network = generator_of(arrays, meta).eval()
    for steps in some(meta["long_tm"], "longer videos"):
        za, zm = latents(arrays, zm=f"zm_long{steps}")
        out = network(za[: len(zm)], zm)
        assert out.shape[2] == 4 * (steps + 3)
        key = f"G_eval/out_long{steps}"
        assert_close(key, out[:, :, ::4], arrays[key], VALUE)


def assert_buffers(prefix, network, arrays):
    buffers = dict(network.named_buffers())
    after = under(arrays, prefix)
    assert after.keys() == buffers.keys()
    for key, want in after.items():
        assert_close(prefix + key, buffers[key], want, VALUE)


@torch.no_grad()
def test_generator_in_training(recorded):
    arrays, meta = recorded
    network = generator_of(arrays, meta).train()
    assert_close("G_train/out", network(*latents(arrays)), arrays["G_train/out"], VALUE)
    assert_buffers("G_train/after/", network, arrays)


def fsa_outputs(arrays, layout):
    x = rearrange(torch.from_numpy(arrays["fsa_unit/x"]), "b c t h w -> b t h w c")
    fsa = FactorizedSelfAttention(x.shape[-1], layout).eval()
    fsa.load_state_dict(tensors(under(arrays, "G/fsa.")), strict=True)
    outputs = {"tsa_out": fsa.tsa(x), "ssa_out": fsa.ssa(x), "out": fsa(x)}
    suffix = "_fixed" if layout == "fixed" else ""
    return {name + suffix: channels_first(value) for name, value in outputs.items()}


@torch.no_grad()
def test_factorized_self_attention_in_both_layouts(recorded):
    arrays, meta = recorded
    wanted = {k: v for k, v in under(arrays, "fsa_unit/").items() if k != "x"}
    assert bool(wanted) == meta["use_attention"]
    some(wanted, "attention")
    got = fsa_outputs(arrays, "reference") | fsa_outputs(arrays, "fixed")
    for key, want in wanted.items():
        assert_close(f"fsa_unit/{key}", got[key], want, VALUE)


def scored(name, arrays, mode):
    """Recorded logits of one discriminator: (key, input, logits), the real input first."""
    inputs = {"real": real_video(arrays), "fake": torch.from_numpy(arrays["G_eval/out"])}
    keys = [k for k in under(arrays, f"{name}_{mode}/") if k.split("_")[0] in inputs]
    assert len(keys) == 2
    for key in sorted(keys, reverse=True):
        kind, _, frame = key.partition("_f")
        x = inputs[kind][:, :, int(frame)] if frame else inputs[kind]
        yield key, x, arrays[f"{name}_{mode}/{key}"]


@pytest.mark.parametrize("name", ["VD", "ID"])
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_logits(recorded, name, mode):
    arrays, meta = recorded
    network = discriminator_of(name, arrays, meta).train(mode == "train")
    for key, x, want in scored(name, arrays, mode):
        assert_close(f"{name}_{mode}/{key}", network(x), want, VALUE)
    if mode == "train":
        assert_buffers(f"{name}_train/after/", network, arrays)


def thinned(x):
    """Sub-sampling of recorded discriminator activations."""
    while x.numel() > 6000:
        x = x[:, ::2, ..., ::2, ::2] if x.shape[-1] > 4 else x[:, ::2]
    return x


def record_layers(network):
    """A dict that the next forward fills with channels-first outputs of the numbered layers."""
    seen = {}

    def hook(i):
        # Copied, as the activation that follows works in place.
        return lambda layer, args, out: seen.update({f"net.{i}": channels_first(out).clone()})

    for i, layer in enumerate(network.net):
        layer.register_forward_hook(hook(i))
    return seen


@pytest.mark.parametrize("name", ["VD", "ID"])
def test_activations_and_input_gradient(recorded, name):
    arrays, meta = recorded
    network = discriminator_of(name, arrays, meta).eval()
    seen = record_layers(network)
    _, x, _ = next(scored(name, arrays, "eval"))
    x = x.clone().requires_grad_()
    network(x).sum().backward()
    recorded = under(arrays, f"{name}_eval/")
    keys = [k for k in recorded if k.startswith("net.")]
    assert len(keys) == len(network.net) // 2 + 1
    for key in keys:
        got = seen[key.removesuffix("_sub")][:1]
        got = thinned(got if name == "VD" else got.squeeze(2))
        assert_close(f"{name}_eval/{key}", got, recorded[key], VALUE)
    assert_close(
        f"{name}_eval/dsum_dx_sub", x.grad[:1, ..., ::4, ::4], recorded["dsum_dx_sub"], VALUE
    )


@torch.no_grad()
def test_other_modes(recorded):
    arrays, meta = recorded
    for alt in some(meta["alt"], "other modes"):
        case = f"alt_{alt['name']}"
        options = {"mode": alt["mode"], "use_attention": alt["use_attention"]}
        config = config_of(meta, alt["ch"], **options)
        network = build(Generator, config, meta, under(arrays, f"{case}/G/")).eval()
        want = arrays[f"{case}/out"]
        za, zm = latents(arrays)
        out = network(za[: len(want)], zm[: len(want)])[:, :, ::3]
        assert_close(case, out, want, VALUE)


def step_model(arrays, meta):
    """The trainable model in float64, as the recorded steps were, in its recorded state."""
    config = config_of(meta, meta["ch_d"], lr_g=2e-4, lr_d=2e-4, beta1=0.5, beta2=0.999)
    model = G3AN(config, spec_of(meta))
    model.generator = generator_of(arrays, meta, torch.float64)
    model.d_video = discriminator_of("VD", arrays, meta, torch.float64)
    model.d_image = discriminator_of("ID", arrays, meta, torch.float64)
    return model.train()


def test_training_steps(recorded):
    arrays, meta = recorded
    model = step_model(arrays, meta)
    optimizers = model.configure_optimizers()
    by_name = {"G": model.generator, "VD": model.d_video, "ID": model.d_image}
    real = real_video(arrays, torch.float64)
    for step, frames in enumerate(arrays["step/frames"].tolist()):
        codes = Latents(*latents(arrays, f"step/{step}/", dtype=torch.float64))
        losses = model.step(real, codes, FrameChoice(*([f] for f in frames)), optimizers)
        got = [losses[name] for name in ("d_video", "d_image", "g_video", "g_image")]
        want = arrays["step/losses"][step]
        np.testing.assert_allclose(got, want, rtol=LOSS, err_msg=f"step/losses[{step}]")
        for key, want in under(arrays, f"step/{step}/grad/").items():
            owner, parameter = key.split("/")
            grad = by_name[owner].get_parameter(parameter).grad
            assert_close(f"step/{step}/grad/{key}", grad, want, GRADIENT, ZERO)
