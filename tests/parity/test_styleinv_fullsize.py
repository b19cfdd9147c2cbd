"""StyleInV's networks of full size, with weights from a recipe, against recorded outputs."""

import numpy as np
import torch
from einops import rearrange

from tests.parity.conftest import assert_known
from tests.parity.styleinv import GRADIENT, ZERO, modulation_of, motion_of, style_of
from tests.parity.video_discriminators import assert_close
from vgbench.models.styleinv.motion import TemporalStyle
from vgbench.nn.encoder.modulated import ModulatedBlock, ModulatedEncoder
from vgbench.nn.encoder.options import BackboneSize

FILES = "styleinv_fullsize_recipe*.npz"
PARTS = ("mapping", "encoder")
RECIPE = ("keys", "scale", "offset", "shape", "index")
OPTIONS = {"cls", "cfg", "adain_mode", "use_modulation", "normalize_adain", "recipe",
           *(f"{name}_{part}" for name in ("seed", "params") for part in PARTS)}  # fmt: skip
INPUTS = {"x", "w0", "t", "Ts", "motion_z"}
OUTPUTS = {"styles_tb", "enc_tb", "enc_ignore_adain", *(f"checksum_{part}" for part in PARTS)}


def drawn(arrays, meta, part):
    """Tensors of a part by name, from the recipe."""
    rows = zip(*(arrays[f"recipe/{part}/{column}"] for column in RECIPE), strict=True)
    state = {}
    for key, scale, offset, shape, index in rows:
        sizes = [int(size) for size in str(shape).split(",") if size]
        random = np.random.RandomState(meta[f"seed_{part}"] + int(index))
        values = random.standard_normal(sizes).astype(np.float32)
        values = np.abs(values) if str(key).endswith("running_var") else values
        state[str(key)] = torch.from_numpy(values * np.float32(scale) + np.float32(offset))
    return state


def filled(network, part, arrays, meta):
    """The network with the tensors of the recipe, all that it learns."""
    count = sum(p.numel() for p in network.parameters())
    assert count == meta[f"params_{part}"], f"{part}: {count} parameters"
    state = {k: v for k, v in drawn(arrays, meta, part).items() if "resample_filter" not in k}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected, f"{part}: {unexpected}"
    kept = ("num_batches_tracked", "freqs", "phase_scales")
    assert all(name.endswith(kept) for name in missing), f"{part}: {missing}"
    values = [v.double() for v in network.state_dict().values() if v.is_floating_point()]
    # The published modulated blocks hold four smoothing filters each, whose taps sum to one.
    filters = 4 * sum(isinstance(module, ModulatedBlock) for module in network.modules())
    sums = [sum(v.sum() for v in values) + filters, sum(v.abs().sum() for v in values) + filters]
    np.testing.assert_allclose(sums, arrays[f"out/checksum_{part}"], rtol=1e-6, err_msg=part)
    return network.eval()


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    known = {f"in/{name}" for name in INPUTS} | {f"out/{name}" for name in OUTPUTS}
    known |= {f"recipe/{part}/{column}" for part in PARTS for column in RECIPE}
    assert_known(arrays, known)
    assert_known(meta, OPTIONS, "meta")


@torch.no_grad()
def test_styles(recorded):
    arrays, meta = recorded
    cfg = meta["cfg"]
    mapping = TemporalStyle(motion_of(cfg), style_of(cfg), cfg["content_dim"])
    filled(mapping, "mapping", arrays, meta)
    w0, motion_z, ts = (torch.tensor(arrays[f"in/{name}"]) for name in ("w0", "motion_z", "Ts"))
    styles = mapping(w0, ts[..., 0] * (cfg["sampling"]["max_num_frames"] - 1), motion_z)
    want = rearrange(arrays["out/styles_tb"], "(t b) s -> b t s", b=len(w0))
    assert_close("styles_tb", styles, want, GRADIENT, ZERO)


@torch.no_grad()
def test_encoder(recorded):
    arrays, meta = recorded
    x, styles = (torch.tensor(arrays[name]) for name in ("in/x", "out/styles_tb"))
    sizes = (styles.shape[1], arrays["out/enc_tb"].shape[1], x.shape[1])
    encoder = ModulatedEncoder(BackboneSize(), modulation_of(meta), *sizes)
    filled(encoder, "encoder", arrays, meta)
    w = encoder.modulated(x, rearrange(styles, "(t b) s -> b t s", b=len(x)))
    want = rearrange(arrays["out/enc_tb"], "(t b) d -> b t d", b=len(x))
    assert_close("enc_tb", w, want, GRADIENT, ZERO)
    assert_close("enc_ignore_adain", encoder(x), arrays["out/enc_ignore_adain"], GRADIENT, ZERO)
