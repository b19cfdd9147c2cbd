"""StyleInV's video discriminators against tensors recorded from the published ones."""

import torch
from einops import rearrange

from tests.parity.conftest import assert_known, under
from tests.parity.video_discriminators import assert_close, load
from vgbench.losses.regularizers import r1_penalty
from vgbench.nn.stylegan2.first_frame_discriminator import FirstFrameDiscriminator
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator

FILES = "styleinv_video_d*.npz"
VALUE, GRADIENT, ZERO = 1e-5, 1e-4, 1e-9
OUTPUTS = {"time_emb", "cmap", "logits", "logits_ffc", "r1_penalty"}


def build(kind, prefix, arrays, meta):
    args, cfg = meta["args"], meta["cfg"]
    assert_known(cfg, {"sampling", "concat_res", "num_frames_div_factor", "dummy_c", "pe"}, "cfg")
    assert cfg["pe"]["use_const_embed"], "pe.use_const_embed: unknown variant without embedding"
    sampling = cfg["sampling"]
    assert sampling["type"] in ("random", "uniform"), sampling["type"]
    fusion = FrameFusion(
        frames=sampling["num_frames_per_video"],
        resolution=cfg["concat_res"],
        divisor=cfg["num_frames_div_factor"],
        max_frames=sampling["max_num_frames"],
        uniform=sampling["type"] == "uniform",
        use_time=not cfg["dummy_c"],
    )
    sizes = [args[name] for name in ("img_resolution", "img_channels", "channel_base")]
    pyramid = Pyramid(*sizes, args["channel_max"], args.get("conv_clamp"))
    layers, group = args["mapping_num_layers"], args["mbstd_group_size"]
    return load(kind(pyramid, fusion, args["c_dim"], layers, group), under(arrays, f"sd/{prefix}."))


def clips(arrays, meta):
    frames = meta["cfg"]["sampling"]["num_frames_per_video"]
    return rearrange(torch.tensor(arrays["in/x"]), "(b t) c h w -> b c t h w", t=frames)


def frame_index(arrays, meta):
    cfg, t = meta["cfg"], torch.tensor(arrays["in/t"])
    return t if cfg["pe"]["t_is_frame_idx"] else t * (cfg["sampling"]["max_num_frames"] - 1)


def label(arrays):
    return torch.tensor(arrays["in/c"]) if "in/c" in arrays else None


def check(arrays, name, got, tolerance=VALUE):
    assert_close(f"out/{name}", got, arrays[f"out/{name}"], tolerance, ZERO)


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    known = {"in/x", "in/t", "in/c"} | {f"out/{name}" for name in OUTPUTS}
    assert_known([k for k in arrays if not k.startswith(("sd/D.", "sd/DF."))], known)
    assert_known(meta, {"cls", "args", "cfg", "note"}, "meta")


def test_time_code_condition_and_logits(recorded):
    arrays, meta = recorded
    network, t, c = (
        build(VideoDiscriminator, "D", arrays, meta),
        frame_index(*recorded),
        label(arrays),
    )
    x = clips(arrays, meta).requires_grad_()
    logits = network(x, t, c)
    check(arrays, "time_emb", network.time_encoder(t))
    check(arrays, "cmap", network.condition(t, c))
    check(arrays, "logits", logits)
    check(arrays, "r1_penalty", r1_penalty(x, logits), GRADIENT)


@torch.no_grad()
def test_first_frame_as_a_condition(recorded):
    arrays, meta = recorded
    network = build(FirstFrameDiscriminator, "DF", arrays, meta)
    logits = network(clips(arrays, meta), frame_index(arrays, meta), label(arrays))
    check(arrays, "logits_ffc", logits)
