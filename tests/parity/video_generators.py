"""What the parity tests of StyleSV's and StyleGAN-V's generators have in common."""

from dataclasses import fields

from vgbench.models.stylegan_v import generator as stylegan_v
from vgbench.models.stylesv import generator as stylesv
from vgbench.models.stylesv.options import MotionFusion
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.nn.stylegan3.options import LayerSchedule

# Options of the published code that decide nothing about these networks.
IDLE = {"source", "fmaps", "sampling", "fr_t_k", "basef", "always_lr"}
# What was never released with another value, and has no counterpart here.
FIXED = {"freezesyn": 0, "freezemap": False, "offset": 0}
USED = {"use_noise", "c_dim", "input", "w_dim", "z_dim", "fuse_w", "bspline", "bs_emb",
        "low_rank", "learnable_motion_mask", "init_motion_mask", "motion", "time_enc"}  # fmt: skip
# Where the published code has another name for a field of our options; None: decides nothing here.
RENAMED = {"conv_kernel": "kernel", "use_radial_filters": "radial_filters", "num_fp16_res": None}
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


def sized(case, kind, resolution, options):
    """Our record of sizes for the recorded options of a synthesis network."""
    named = {RENAMED.get(name, name): value for name, value in options.items()}
    named.pop(None, None)
    types = {field.name: field.type for field in fields(kind)}
    unknown = set(named) - set(types)
    assert not unknown, f"{case}: unknown options {sorted(unknown)}"
    whole = {name: value for name, value in named.items() if types[name] in (int, bool)}
    reals = {name: value if value is None else float(value) for name, value in named.items()}
    return kind(resolution, **(reals | whole))


def build(case, meta, resolution, state_keys):
    """Our network for the recorded constructor arguments."""
    cfg, sizes = meta["cfg"], meta["synthesis_kwargs"]
    unknown = set(cfg) - IDLE - USED - set(FIXED)
    assert not unknown, f"{case}: unknown options {sorted(unknown)}"
    changed = {name: cfg[name] for name, value in FIXED.items() if cfg.get(name, value) != value}
    assert not changed, f"{case}: unknown values {changed}"
    alias_free = is_alias_free(state_keys)
    motion = motion_of(cfg, alias_free)
    dims = (cfg["z_dim"], cfg["c_dim"], cfg["w_dim"])
    if alias_free:
        schedule = sized(case, LayerSchedule, resolution, sizes)
        return stylesv.Generator(schedule, motion, fusion_of(cfg), *dims)
    conditioning = cfg["time_enc"]["cond_type"]
    moving = cfg["input"]["type"] == "temporal"
    assert moving == (conditioning == "concat_const"), f"{case}: unknown input {cfg['input']}"
    pyramid = sized(case, Pyramid, resolution, sizes)
    return stylegan_v.Generator(pyramid, motion, conditioning, *dims, cfg["use_noise"])


def fusion_of(cfg):
    return MotionFusion(
        fuse=cfg["fuse_w"],
        mask_init=MASKS[cfg["init_motion_mask"]],
        learn_mask=cfg["learnable_motion_mask"],
        low_rank=max(cfg["low_rank"], 0),
        reference_compat=True,
    )
