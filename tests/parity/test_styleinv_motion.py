"""StyleInV's motion codes and temporal styles against recorded ones."""

import torch
from einops import rearrange

from tests.parity.conftest import assert_known, under
from tests.parity.styleinv import VALUE, check, motion_of, temporal_style
from tests.parity.video_discriminators import assert_close

FILES = "styleinv_motion*.npz"
# Sines of large arguments, which the reference computes in float32.
LATE, LATE_ERROR = 128, 5e-5
INPUTS = {"t", "Ts", "motion_z", "motion_z_other", "wc"}
OUTPUTS = {"motion_u_left", "motion_u_right", "t_left", "t_right", "interp_weights", "motion_v",
           "motion_v_other_noise", "styles_tb"}  # fmt: skip


def given(arrays, name):
    return torch.tensor(arrays[f"in/{name}"])


def build(arrays, meta):
    return temporal_style(meta["cfg"], under(arrays, "sd/"))


def codes_agree(name, got, arrays):
    """Compares codes at early and at late times, each with its own tolerance."""
    entry = f"out/{name}"
    want, late = arrays[entry], arrays["in/t"] > LATE
    assert_close(entry, got[~late], want[~late], VALUE, 1e-9)
    error = float((got - torch.tensor(want)).abs().max())
    assert error <= LATE_ERROR + VALUE * abs(want).max(), f"{entry}: {error:.2e} at late times"


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    known = {f"in/{name}" for name in INPUTS} | {f"out/{name}" for name in OUTPUTS}
    assert_known([k for k in arrays if not k.startswith("sd/")], known)
    assert_known(meta, {"cls", "cfg", "traj_len", "note"}, "meta")


def test_noise_length_is_what_the_reference_draws(recorded):
    arrays, meta = recorded
    last = max(meta["cfg"]["sampling"]["max_num_frames"] - 1, float(arrays["in/t"].max()))
    length = motion_of(meta["cfg"]).encoder.noise_length(last)
    assert length == meta["traj_len"] == arrays["in/motion_z"].shape[1]


@torch.no_grad()
def test_control_points(recorded):
    arrays, meta = recorded
    encoder, t = build(arrays, meta).motion_encoder, given(arrays, "t")
    points = encoder.trajectory(given(arrays, "motion_z"))
    distance = encoder.config.distance
    first = (t / distance).floor()
    for i, name in enumerate(("motion_u_left", "motion_u_right")):
        index = (first.long() + i)[..., None].expand(-1, -1, points.shape[2])
        check(arrays, name, points.gather(1, index))
    check(arrays, "t_left", first * distance)
    check(arrays, "t_right", (first + 1) * distance)
    check(arrays, "interp_weights", (t / distance - first)[..., None])


@torch.no_grad()
def test_codes(recorded):
    arrays, meta = recorded
    encoder, t = build(arrays, meta).motion_encoder, given(arrays, "t")
    codes = encoder(t, given(arrays, "motion_z"))
    others = encoder(t, given(arrays, "motion_z_other"))
    codes_agree("motion_v", codes, arrays)
    codes_agree("motion_v_other_noise", others, arrays)
    at_zero = t == 0
    assert at_zero.any()
    same = bool((codes[at_zero] == others[at_zero]).all())
    assert same == motion_of(meta["cfg"]).first_frame_aware


@torch.no_grad()
def test_temporal_styles(recorded):
    arrays, meta = recorded
    t = given(arrays, "Ts")[..., 0] * (meta["cfg"]["sampling"]["max_num_frames"] - 1)
    styles = build(arrays, meta)(given(arrays, "wc"), t, given(arrays, "motion_z"))
    want = rearrange(arrays["out/styles_tb"], "(t b) s -> b t s", b=len(t))
    codes_agree("styles_tb", styles, arrays | {"out/styles_tb": want})
