"""The example plugin, installed by pip into a folder of its own and used from the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).resolve().parents[2] / "examples" / "plugin_model"
BRIEF = ("budget.kclips=0.096", "budget.checkpoint_kclips=0.096", "budget.sample_kclips=0.096")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Returns a function that runs vgbench where the plugin is installed; nothing is fetched."""
    folder = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    how = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(folder / "site")]
    subprocess.run([*pip, *how, str(PLUGIN)], check=True)
    places = {"PYTHONPATH": str(folder / "site"), "VGBENCH_FEATURES_DIR": "none"}
    environment = {**os.environ, **places, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def call(*words):
        command = [sys.executable, "-m", "vgbench", *words]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


@pytest.mark.slow
def test_it_is_listed_and_keeps_the_contracts(run):
    listed = json.loads(run("--json", "ls", "plugins"))
    assert {(row["kind"], row["name"], row["distribution"]) for row in listed} == {
        ("model", "ripple", "vgbench-ripple"),
        ("dataset", "ripples", "vgbench-ripple"),
        ("extractor", "rhythm", "vgbench-ripple"),
        ("protocol", "rhythm16/ripple@1", "vgbench-ripple"),
    }
    found = json.loads(run("--json", "plugin", "check", "vgbench-ripple"))
    assert {finding["kind"] for finding in found} == {"model", "dataset", "extractor", "protocol"}
    assert not any(finding["broken"] for finding in found)


@pytest.mark.slow
def test_it_is_trained_evaluated_and_ranked(run):
    run("run", "model=ripple", "dataset=ripples", "--run-dir=runs/ripple", *BRIEF)
    for checkpoint in ("runs/ripple", "runs/ripple/checkpoints/kclip-00000.000.ckpt"):
        run("eval", checkpoint, "--protocol=rhythm16/ripple@1")
    board = run("leaderboard", "show", "--all-checkpoints", "runs/ripple")
    assert board.count("rhythm16/ripple@1") == 1  # one table: both were measured alike
    assert "RHYTHM16 (lower is better)  ripples 32x32" in board
    rows = json.loads(run("--json", "leaderboard", "show", "runs/ripple"))
    assert {(row["model"], row["dataset"], row["metric"]) for row in rows} == {
        ("ripple", "ripples", "RHYTHM16")
    }
    assert {row["clips_seen"] for row in rows} == {0, 96}
