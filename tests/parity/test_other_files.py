"""The parity tests take everything from their files: others pass, spoiled ones fail by name."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.parity.made import FAMILIES, write_all

ROOT = Path(__file__).resolve().parents[2]

# What the small files leave out, so that a test has nothing to look at.
EMPTY = {
    "test_factorized_self_attention_in_both_layouts[g3an_small16]": "the file has no attention",
    "test_other_modes[g3an_small16]": "the file has no other modes",
    "test_running_averages[stylesv_sgv_G_small]": "the file has no running averages",
    "test_spline_weights_agree_inside_the_knot_vector[stylesv_motion_small]": (
        "the file has no spline bases"
    ),
}

# One expected number per test: (file, entry, the test that must name it).
SPOILED = [
    ("g3an_small16", "G_eval/block2_t", "test_generator_in_evaluation"),
    ("g3an_small16", "G_eval/out_long4", "test_longer_videos"),
    ("g3an_small16", "G_train/after/block3.conv_v.1.running_var", "test_generator_in_training"),
    ("g3an_small16", "VD_train/fake", "test_logits"),
    ("g3an_small16", "ID_eval/dsum_dx_sub", "test_activations_and_input_gradient"),
    ("g3an_small16", "step/0/grad/VD/net.2.bias", "test_training_steps"),
    ("i3d_small", "t1/ep/Mixed_4e/chmean", "test_endpoints_and_logits"),
    ("inception_small", "n1_17x40/768", "test_taps_and_logits"),
    ("frechet_small", "tall/trace_sqrt", "test_every_term_agrees"),
    ("frechet_small", "thin/y", "test_redrawn_sets_are_the_recorded_ones"),
    ("jet_small", "t11_45x70/motion", "test_features_agree"),
    ("jet_small", "set/hed", "test_set_distances_agree"),
    ("stylesv_primitives_small", "bias_act/20/gx", "test_values_and_gradients"),
    ("stylesv_motion_small", "linear_lstm/grad/rnn.weight_hh_l0", "test_codes_and_gradients_agree"),
    ("stylesv_G_small", "add/feat/L2_16_4", "test_images_maps_and_gradients"),
    ("stylesv_sgv_G_small", "sum/out/motion_v", "test_styles_and_motion_codes"),
    (
        "stylesv_D_small",
        "frozen5_labels/out/loss_softplus_fake_plus_r1",
        "test_logits_and_gradients_of_two_orders",
    ),
    ("stylesv_sgv_D_small", "dummy/out/image_logits", "test_logits_and_gradients_of_two_orders"),
    ("stylesv_full256_small", "d/out/image_logits", "test_discriminators"),
    ("styleinv_video_d_small", "out/logits_ffc", "test_first_frame_as_a_condition"),
    ("styleinv_sg2_small", "out/pl_lengths", "test_path_lengths"),
    ("styleinv_encoder_small", "out/w", "test_styles_with_and_without_modulation"),
    ("styleinv_encoder_small", "out/h_body4_before", "test_maps_around_each_block"),
    ("styleinv_encoder_small_units", "out/w_train_mode", "test_statistics_of_the_batch"),
    ("styleinv_encoder_small_modulated", "out/w", "test_styles_with_and_without_modulation"),
    ("styleinv_motion_small", "out/motion_v", "test_codes"),
    ("styleinv_motion_small_noffa", "out/styles_tb", "test_temporal_styles"),
    ("stylevideogan_small", "dL_dH0", "test_gradients_of_the_gradient_angle"),
    ("stylevideogan_deep", "gp_grad_norm", "test_gradient_penalty"),
]


SPOILED_FILES = sorted({file for file, _, _ in SPOILED})


def outcomes(folder, families):
    """Runs the parity tests on `folder`; returns (outcome, text) by test id."""
    report = folder / "report.xml"
    tests = [f"tests/parity/test_{family}.py" for family in families]
    # Without the project's options: shapes are checked where these tests run for themselves.
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", *tests]
    command += [f"--parity-dir={folder}", f"--junitxml={report}"]
    subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=False)
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        outcome, text = "passed", ""
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                outcome, text = child.tag, child.get("message", "")
        found[case.get("name")] = outcome, text
    return found


def rewritten(source, target, change):
    with np.load(source) as archive:
        arrays = {key: archive[key] for key in archive.files}
    change(arrays)
    np.savez(target, **arrays)


def spoil(arrays, file):
    """Moves one number of each listed entry by a hundredth of the largest."""
    for key in [key for other, key, _ in SPOILED if other == file]:
        values = arrays[key].copy()
        values.reshape(-1)[-1] += 0.01 * np.abs(values).max()
        arrays[key] = values


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Outcomes for good files, for ones with wrong numbers, and for ones with a foreign entry."""
    folder = tmp_path_factory.mktemp("made")
    write_all(folder, small=True)
    for file in SPOILED_FILES:
        source = folder / f"{file}.npz"
        rewritten(source, folder / f"{file}_spoiled.npz", lambda a, file=file: spoil(a, file))
        rewritten(
            source,
            folder / f"{file}_unknown.npz",
            lambda arrays: arrays.update({"nobody_knows/this": np.zeros(3)}),
        )
    return outcomes(folder, FAMILIES)


@pytest.mark.slow
def test_files_of_other_sizes_and_options_pass(found):
    good = {
        name: result
        for name, result in found.items()
        if "_spoiled" not in name and "_unknown" not in name
    }
    for file in (*SPOILED_FILES, "g3an_small32"):
        assert any(f"[{file}" in name for name in good), f"no test looked at {file}"
    assert {name: result for name, result in good.items() if result[0] != "passed"} == {
        name: ("skipped", reason) for name, reason in EMPTY.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("file", "key", "test"), SPOILED)
def test_a_wrong_number_fails_by_name(found, file, key, test):
    texts = [
        text
        for name, (outcome, text) in found.items()
        if outcome == "failure" and name.startswith(f"{test}[{file}_spoiled")
    ]
    assert any(key in text for text in texts), texts


@pytest.mark.slow
@pytest.mark.parametrize("file", SPOILED_FILES)
def test_an_unknown_entry_fails_by_name(found, file):
    texts = [text for name, (_, text) in found.items() if f"{file}_unknown" in name]
    assert any("nobody_knows" in text for text in texts), texts


@pytest.mark.slow
def test_a_folder_without_files_skips_with_the_reason(tmp_path):
    reason = f"no file frechet_*.npz in {tmp_path}; give --parity-dir DIR"
    assert set(outcomes(tmp_path, ["frechet"]).values()) == {("skipped", reason)}
