"""Networks of full size with procedural weights against recorded images and logits."""

import re
import zlib

import numpy as np
import pytest
import torch
from einops import rearrange

from tests.parity.conftest import assert_known, some, under
from tests.parity.video_discriminators import assert_close, video_discriminator
from tests.parity.video_generators import build

FILES = "stylesv_full256*.npz"
IMAGE, LOGIT, CODE = 2e-3, 1e-3, 1e-3
GENERATED = {"w", "motion_v", "img_stride4", "img_stats", "img_crop"}
OPTIONS = {"fill_table", "cfg", "n_params", "state_keys"}
SIZES = {"channel_base", "channel_max", "num_fp16_res", "conv_clamp"}
GENERATOR_OPTIONS = OPTIONS | {"synthesis_kwargs", "traj_len", "z_key", "motion_z_key"}
DISCRIMINATOR_OPTIONS = OPTIONS | SIZES | {"img_key", "img_scale", "mbstd_group_size"}
# Constants of the published code that keep what their constructor gave them.
REBUILT = ("_filter", "time_encoder.freqs", "time_encoder.phase_scales", "transform",
           "fourier_coefs", "w_avg", "magnitude_ema")  # fmt: skip


def drawn(salt, key, shape, scale=1.0, offset=0.0):
    """The numbers of a key, uniform with standard deviation `scale` (README of the files)."""
    x = np.arange(int(np.prod(shape)), dtype=np.uint64)
    x += np.uint64(zlib.crc32(f"{salt}:{key}".encode())) << np.uint64(32)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    unit = (x >> np.uint64(40)).astype(np.float64) / 2**24
    values = (unit - 0.5) * 2 * np.sqrt(3) * scale + offset
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def cases(meta, generators):
    """Options of the generators, or of the discriminators, by case name."""
    return {
        name: options
        for name, options in meta.items()
        if name != "salt" and ("synthesis_kwargs" in options) == generators
    }


def filled(network, case, arrays, meta):
    """The network with the weights of a case, all that it has."""
    options = meta[case]
    learned = sum(p.numel() for p in network.parameters())
    assert learned == options["n_params"], f"{case}: {learned} parameters"
    state = {k: torch.tensor(v) for k, v in under(arrays, f"{case}/state/").items()}
    for name, (shape, scale, offset) in options["fill_table"].items():
        state[name] = drawn(meta["salt"], name, shape, scale, offset)
    unfilled = set(options["state_keys"]) - set(state)
    assert all(name.endswith(REBUILT) for name in unfilled), f"{case}: {sorted(unfilled)}"
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected, f"{case}: {unexpected}"
    assert set(missing) <= unfilled, f"{case}: {sorted(set(missing) - unfilled)}"
    return network.eval()


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    for case, options in cases(meta, True).items():
        assert_known(options, GENERATOR_OPTIONS, case)
        assert_known(under(arrays, f"{case}/out/"), GENERATED, case)
        assert_known(under(arrays, f"{case}/state/"), options["state_keys"], case)
    for case, options in cases(meta, False).items():
        assert_known(options, DISCRIMINATOR_OPTIONS, case)
        assert_known(under(arrays, f"{case}/out/"), {"image_logits"}, case)
    for key in arrays:
        case, _, entry = key.partition("/")
        kind, _, name = entry.partition("/")
        assert case in meta, f"unknown case: {key}"
        assert kind in ("out", "state") or f"{kind}/{name}" == "in/t", f"unknown entry: {key}"


@pytest.mark.slow
@torch.no_grad()
def test_generators(recorded):
    arrays, meta = recorded
    for case, options in some(cases(meta, True), "generators").items():
        keys = options["state_keys"]
        resolution = max(int(size) for key in keys for size in re.findall(r"\.L\d+_(\d+)_3\.", key))
        network = build(case, options, resolution, keys)
        filled(network, case, arrays, meta)
        check_generator(network, case, arrays, meta)


def check_generator(network, case, arrays, meta):
    options, cfg = meta[case], meta[case]["cfg"]
    assert not cfg["c_dim"], f"{case}: no labels are recorded"
    t, motion = torch.tensor(arrays[f"{case}/in/t"]), cfg["motion"]
    z = drawn(meta["salt"], options["z_key"], (len(t), cfg["z_dim"]))
    shape = (len(t), options["traj_len"], motion["z_dim"])
    motion_z = drawn(meta["salt"], options["motion_z_key"], shape)
    images = rearrange(network(z, t, motion_z), "b c t h w -> (b t) c h w")
    got = {
        "w": network.styles(z)[:, 0],
        "motion_v": network.motion(t, motion_z).flatten(0, 1),
        "img_stride4": images[:, :, 1::4, 2::4],
        "img_crop": images[:, :, 96:160, 96:160],
        "img_stats": torch.stack([images.mean(), images.std(), images.abs().max()]),
    }
    for name, want in under(arrays, f"{case}/out/").items():
        tolerance = IMAGE if name.startswith("img") else CODE
        assert_close(f"{case}/out/{name}", got[name], want, tolerance)


@pytest.mark.slow
@torch.no_grad()
def test_discriminators(recorded):
    arrays, meta = recorded
    for case, options in some(cases(meta, False), "discriminators").items():
        t = torch.tensor(arrays[f"{case}/in/t"])
        names = [re.match(r"b(\d+)\.", key) for key in options["state_keys"]]
        resolution = max(int(name[1]) for name in names if name)
        sizes = {"res": resolution, "num_frames": t.shape[1], "c_dim": 0, "block_kwargs": {}}
        sizes["conv_clamp"] = float(options["conv_clamp"])
        network = filled(video_discriminator(options | sizes), case, arrays, meta)
        shape = (t.numel(), 3, resolution, resolution)
        images = drawn(meta["salt"], options["img_key"], shape, options["img_scale"])
        clips = rearrange(images, "(b t) c h w -> b c t h w", b=len(t))
        want = arrays[f"{case}/out/image_logits"]
        assert_close(f"{case}/out/image_logits", network(clips, t, None), want, LOGIT)
