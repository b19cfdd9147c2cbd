"""What the parity tests of StyleSV's and StyleGAN-V's generators have in common."""

from vgbench.models.stylegan_v import generator as stylegan_v
from vgbench.models.stylesv import generator as stylesv
from vgbench.models.stylesv.options import MotionFusion
from vgbench.nn.motion import MotionConfig
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.nn.stylegan3.options import LayerSchedule

# Options of the published code that decide nothing about these networks.
IDLE = {"source", "fmaps", "sampling", "fr_t_k", "basef", "always_lr"}
# What was never released with another value, and has no counterpart here.
FIXED = {"freezesyn": 0, "freezemap": False, "offset": 0}
USED = {"use_noise", "c_dim", "input", "w_dim", "z_dim", "fuse_w", "bspline", "bs_emb",
        "low_rank", "learnable_motion_mask", "init_motion_mask", "motion", "time_enc"}  # fmt: skip
SYNTHESIS = {"channel_base", "channel_max", "num_fp16_res", "conv_clamp", "num_layers"}
MASKS = {"zeros": 0.0, "ones": 1.0}


def is_alias_free(state_keys):
    """Whether a state dict is one of StyleSV, not StyleGAN-V."""
    return not any(key.startswith("synthesis.b4.") for key in state_keys)


def motion_of(cfg, alias_free):
    motion, time = cfg["motion"], cfg["time_enc"]
    blended = "bspline-time" if cfg["bs_emb"] else "bspline"
    return MotionConfig(
        z_dim=motion["z_dim"],
        v_dim=motion["v_dim"],
        distance=motion["motion_z_distance"],
        frequencies=time["dim"],
        min_period=time["min_period_len"],
        max_period=time["max_period_len"],
        kernel=motion["kernel_size"],
        trajectory={"conv": "conv", "autoregressive": "lstm"}[motion["gen_strategy"]],
        curve=blended if alias_free and cfg["bspline"] else "linear",
        fourier=motion["fourier"],
    )


def build(case, meta, resolution, state_keys):
    """Our network for the recorded constructor arguments."""
    cfg, sizes = meta["cfg"], meta["synthesis_kwargs"]
    unknown = set(cfg) - IDLE - USED - set(FIXED) | set(sizes) - SYNTHESIS
    assert not unknown, f"{case}: unknown options {sorted(unknown)}"
    changed = {name: cfg[name] for name, value in FIXED.items() if cfg.get(name, value) != value}
    assert not changed, f"{case}: unknown values {changed}"
    alias_free = is_alias_free(state_keys)
    motion = motion_of(cfg, alias_free)
    dims = (cfg["z_dim"], cfg["c_dim"], cfg["w_dim"])
    widths = {name: value for name, value in sizes.items() if name != "num_fp16_res"}
    widths["conv_clamp"] = float(sizes["conv_clamp"])
    if not alias_free:
        conditioning = cfg["time_enc"]["cond_type"]
        pyramid = Pyramid(resolution, **widths)
        return stylegan_v.Generator(pyramid, motion, conditioning, *dims, cfg["use_noise"])
    fusion = MotionFusion(
        fuse=cfg["fuse_w"],
        mask_init=MASKS[cfg["init_motion_mask"]],
        learn_mask=cfg["learnable_motion_mask"],
        low_rank=max(cfg["low_rank"], 0),
        reference_compat=True,
    )
    return stylesv.Generator(LayerSchedule(resolution, **widths), motion, fusion, *dims)
