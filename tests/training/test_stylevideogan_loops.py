"""The recipe that compares long videos with and without the gradient angle penalty."""

import csv
import json
import runpy
from pathlib import Path

import pytest

import vgbench
from tests.training.test_latents import NARROW
from vgbench.errors import CheckpointError

RECIPE = Path(vgbench.__file__).parents[1] / "experiments" / "stylevideogan_loops" / "run.py"
# What the recipe chooses itself, or a run of two batches has no use for.
_OWN = ("model=", "model.backend=", "dataset=", "model.report_kclips=")
WORDS = [word for word in NARROW if not word.startswith(_OWN)]
SHARES = "repeating 0.1 | repeating 0.2 | repeating 0.3"


@pytest.fixture(scope="module")
def recipe():
    return runpy.run_path(str(RECIPE))


def rows_of(folder):
    with (folder / "loops.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_every_weight_and_seed_is_measured_and_found_again(recipe, tmp_path, capsys):
    options = ["--seeds", "0,1", "--clips", "2", "--frames", "48", "--out", str(tmp_path)]
    own = ["--words", *WORDS, "model.report_kclips=0", "budget.kclips=0.012"]
    assert recipe["main"]([*options, *own]) == 0
    rows = rows_of(tmp_path)
    models = [("100", "0"), ("100", "1"), ("0", "0"), ("0", "1")]
    assert [(row["weight"], row["seed"]) for row in rows] == [("data", ""), *models]
    assert {rows[0]["phi"], rows[0]["spread"]} == {""}
    for row in rows[1:]:
        shares = [float(row[f"repeating {text}"]) for text in ("0.1", "0.2", "0.3")]
        assert 0 <= shares[0] <= shares[1] <= shares[2] <= 1
        assert 0 < float(row["phi"]) < 1.6
        assert float(row["spread"]) > 0
    for weight, seed in models:
        words = (tmp_path / f"weight-{weight}-seed-{seed}" / "overrides.txt").read_text()
        assert f"model.training.angle_weight={weight}\nseed={seed}" in words
    table = (tmp_path / "loops.md").read_text().splitlines()
    assert table[0] == f"| weight | seed | {SHARES} | roughness | phi | spread |"
    assert len(table) == 7
    assert len(list((tmp_path / "artefacts").glob("latents-*"))) == 1

    printed = capsys.readouterr().out
    assert recipe["main"]([*options, *own]) == 0
    again = capsys.readouterr()
    assert again.out == printed
    assert "encod" not in again.err


def test_the_toy_needs_no_run(recipe, tmp_path, capsys):
    words = ["--toy", "4", "--toy-steps", "1", "--clips", "2", "--frames", "48"]
    own = [*words, "--seeds", "3", "--tolerances", "0.2,2"]
    assert recipe["main"]([*own, "--out", str(tmp_path / "a")]) == 0
    data, penalty, none = rows_of(tmp_path / "a")
    assert (data["weight"], penalty["weight"], none["weight"]) == ("data", "100", "0")
    assert (data["repeating 0.2"], data["repeating 2"]) == ("0.000", "1.000")
    assert (data["phi"], data["spread"]) == ("", "")
    assert float(data["roughness"]) > 10 * float(penalty["roughness"])  # untrained: stands still
    assert penalty["repeating 0.2"] == "1.000"
    assert penalty["phi"] != none["phi"]
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["loops.csv", "loops.md"]
    assert recipe["main"](["--toy", "1"]) == 2
    assert "model.training.frames=1" in capsys.readouterr().err


def test_bad_words_are_said(recipe, tmp_path, capsys):
    assert recipe["main"](["--out", str(tmp_path), "--words", "model.no=1"]) == 2
    assert "model.no: 'stylevideogan' has no such option" in capsys.readouterr().err


def test_stages_of_an_earlier_run(recipe, tmp_path):
    earlier, artefact = tmp_path / "runs" / "one", tmp_path / "runs" / "artefacts" / "image-1"
    stages = {"image": {"artefact": "image-1"}, "inversion": {"given": str(tmp_path)}}
    earlier.mkdir(parents=True)
    (earlier / "stages.json").write_text(json.dumps(stages))
    with pytest.raises(CheckpointError, match=r"the stage 'image' of .* is gone"):
        recipe["stage_words"](earlier)
    artefact.mkdir(parents=True)
    assert recipe["stage_words"](earlier) == [
        f"model.init.image={artefact}",
        f"model.init.inversion={tmp_path}",
    ]
    with pytest.raises(CheckpointError, match="has no finished stages"):
        recipe["stage_words"](tmp_path)
