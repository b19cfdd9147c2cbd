"""What the parity tests of StyleInV have in common: our networks for recorded options."""

from tests.parity.conftest import assert_known
from tests.parity.video_discriminators import assert_close, load
from vgbench.models.styleinv.motion import TemporalStyle
from vgbench.models.styleinv.options import EncoderOptions, MotionOptions, StyleOptions
from vgbench.nn.encoder.options import BackboneSize, Modulation

ENCODER = {"base_width", "units", "style_dim", "adain_mode", "use_modulation", "normalize_adain",
           "lr_multiplier", "se_reduction"}  # fmt: skip
VALUE, GRADIENT, ZERO = 1e-5, 1e-4, 1e-9
AFTER = {"block": "stage", "bottleneck": "unit"}
# Published names of the two motion encoders: whether they are first-frame-aware.
STRATEGIES = {"conv": True, "abl_no_ffa": False}
REBUILT = ("freqs", "phase_scales")
PERIODS = ("min_period_len", "max_period_len")
MOTION = {"type", "z_dim", "v_dim", "motion_z_distance", "gen_strategy", "kernel_size",
          "use_fractional_t", "fourier", "time_enc"}  # fmt: skip
MAPPING = {"c_dim", "content_dim", "w_dim", "layers_after_fuse", "concat_content",
           "lr_multiplier", "sampling", "motion"}  # fmt: skip


def backbone_of(options):
    """Sizes of the recorded encoder."""
    reduction = options.get("se_reduction", 16)
    return BackboneSize(options["base_width"], tuple(options["units"]), reduction)


def modulation_of(options):
    """How styles change the maps of the recorded encoder."""
    assert options["adain_mode"] in AFTER, f"adain_mode: unknown case {options['adain_mode']}"
    assert options.get("lr_multiplier", 1) == 1, "lr_multiplier: unknown case"
    kind = "modconv" if options.get("use_modulation") else "adain"
    return Modulation(kind, AFTER[options["adain_mode"]], options["normalize_adain"])


def check(arrays, name, got, tolerance=VALUE):
    """Compares with an entry below `out/`."""
    assert_close(f"out/{name}", got, arrays[f"out/{name}"], tolerance, ZERO)


def motion_of(cfg):
    """Options of the recorded motion encoder."""
    motion, waves = cfg["motion"], cfg["motion"]["time_enc"]
    assert motion["type"] == "acyclic_pe", f"motion.type: unknown case {motion['type']}"
    assert motion["fourier"], "motion.fourier: unknown case without waves"
    strategy = motion["gen_strategy"]
    assert strategy in STRATEGIES, f"motion.gen_strategy: unknown case {strategy}"
    assert_known(motion, MOTION, "motion")
    assert_known(waves, {"cond_type", "dim", *PERIODS, "phase_dropout_std"}, "time_enc")
    periods = [waves[name] for name in PERIODS]
    sizes = (motion["z_dim"], motion["v_dim"], motion["motion_z_distance"], waves["dim"])
    return MotionOptions(*sizes, *periods, motion["kernel_size"], "conv", STRATEGIES[strategy])


def style_of(cfg):
    """Options of the recorded network behind the motion encoder."""
    assert_known(cfg, MAPPING, "cfg")
    assert not cfg["c_dim"], "c_dim: unknown case with labels"
    names = ("w_dim", "layers_after_fuse", "concat_content", "lr_multiplier")
    return StyleOptions(*(cfg[name] for name in names))


def encoder_of(meta):
    """Options of the recorded modulated encoder within the whole model."""
    options = meta["encoder"]
    modulation = modulation_of(options)
    return EncoderOptions(
        base_width=options["base_width"],
        units=tuple(options["units"]),
        modulation=modulation.kind,
        modulate_after=modulation.after,
        normalize_adain=modulation.normalize,
        base="w0" if meta.get("input_residual", True) else "w_avg",
    )


def temporal_style(cfg, state):
    """Our network for a recorded `MappingFuse`, with its weights."""
    network = TemporalStyle(motion_of(cfg), style_of(cfg), cfg["content_dim"])
    for name, value in network.state_dict().items():
        if name.endswith(REBUILT) and name in state:
            assert_close(name, value, state[name], VALUE)
    return load(network, state).eval()
