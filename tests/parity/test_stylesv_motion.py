"""Motion encoders of StyleSV and StyleGAN-V against recorded trajectories and codes."""

import numpy as np
import torch

from tests.parity.conftest import assert_known, some, under
from tests.parity.video_generators import motion_of
from vgbench.nn.motion import MotionEncoder, bspline_weights, log_spaced_frequencies
from vgbench.nn.motion_options import MotionConfig

FILES = "stylesv_*motion*.npz"
# Groups of the file that are no motion encoders; those of the frame sampler have their own test.
OTHERS = ("bspline_basis", "linspaced_freqs", "logspaced_freqs", "sample_frames")


def encoders(meta):
    """Returns the options of every recorded encoder by case name."""
    names = [name for name in meta if name.split("/")[0] not in OTHERS and "cls" in meta[name]]
    return {name: meta[name] for name in names}


def build(case):
    config = motion_of(case["cfg"], alias_free="BSpline" in case["cls"])
    return MotionEncoder(config, case["cfg"]["c_dim"])


def loaded(arrays, meta, name):
    case = under(arrays, f"{name}/")
    encoder = build(meta[name])
    encoder.load_state_dict({k: torch.from_numpy(v) for k, v in under(case, "state/").items()})
    return encoder, {k: torch.from_numpy(v) for k, v in under(case, "in/").items()}, case


def close(got, want, tolerance, name):
    error = np.abs(got.detach().numpy().reshape(want.shape) - want).max()
    assert error <= tolerance * max(1, np.abs(want).max()), f"{name}: {error}"


def test_codes_and_gradients_agree(recorded):
    arrays, meta = recorded
    for name in some(encoders(meta), "motion encoders"):
        encoder, given, case = loaded(arrays, meta, name)
        assert_known(given, {"t", "c", "motion_z", "cot"}, name)
        codes = encoder(given["t"], given["motion_z"], given["c"])
        close(codes, case["out/motion_v"], 5e-4, name)
        (codes.flatten(0, 1) * given["cot"]).sum().backward()
        for key, parameter in encoder.named_parameters():
            close(parameter.grad, case[f"grad/{key}"], 1e-3, f"{name}/grad/{key}")


def test_control_points_agree(recorded):
    arrays, meta = recorded
    for name in some(encoders(meta), "motion encoders"):
        encoder, given, case = loaded(arrays, meta, name)
        points = encoder.trajectory(given["motion_z"], given["c"])
        first = (given["t"].double() / encoder.config.distance).floor().long()
        is_linear = encoder.config.curve == "linear"
        keys = ("u_left", "u_right") if is_linear else ("u0", "u1", "u2")
        for i, key in enumerate(keys):
            index = (first + i)[..., None].expand(-1, -1, points.shape[2])
            close(points.gather(1, index), case[f"mid/motion_{key}"], 1e-4, f"{name}/{key}")


def test_noise_length_is_what_the_reference_draws(recorded):
    _, meta = recorded
    for name, case in some(encoders(meta), "motion encoders").items():
        encoder = build(case)
        longest = case["cfg"]["sampling"]["max_num_frames"] - 1
        arrays = recorded[0]
        last = max(longest, float(arrays[f"{name}/in/t"].max()))
        assert encoder.config.noise_length(last) == case["traj_len"], name


def test_frequencies_agree(recorded):
    arrays, meta = recorded
    for name in some([n for n in meta if n.startswith("linspaced_freqs/")], "frequencies"):
        options = meta[name]
        config = MotionConfig(
            frequencies=options["num"],
            min_period=options["min_period"],
            max_period=options["max_period"],
        )
        got = log_spaced_frequencies(config).numpy()
        np.testing.assert_allclose(got, arrays[f"{name}/y"], rtol=2e-5, err_msg=name)


def test_spline_weights_agree_inside_the_knot_vector(recorded):
    basis = some(under(recorded[0], "bspline_basis/"), "spline bases")
    x, wanted = basis["in/x"], basis["out/collmat"]
    segments = wanted.shape[1] - 2
    inside = (x >= 2) & (x < segments - 2)  # clamped ends are never used
    segment = np.floor(x[inside]).astype(int)
    weights = bspline_weights(torch.from_numpy(x[inside].astype(np.float64) - segment))
    for i, weight in enumerate(weights):
        error = np.abs(weight.numpy() - wanted[inside, segment + i]).max()
        assert error <= 1e-6, f"weight {i}: {error}"


def test_every_group_is_known(recorded):
    arrays, meta = recorded
    assert_known({key.split("/")[0] for key in arrays}, {*OTHERS, *encoders(meta)})
