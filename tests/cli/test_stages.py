"""Stages on the command line: first screen, progress, listing, evaluating, and how to go on."""

import json
import re

import pytest

from tests.staged.config import registered
from vgbench.training.artefacts import ABOUT, WEIGHTS

WORDS = [
    "model=coloured",
    "dataset=shapes",
    "dataset.videos=20",
    "dataset.resolution=16",
    "trainer.accelerator=cpu",
    "budget.kclips=0.004",
    "stages.base.kclips=0.004",
    "stages.base.batch_size=4",
]


@pytest.fixture(autouse=True, scope="module")
def _registered():
    with registered():
        yield


def test_one_view_of_all_stages(vgbench, tmp_path):
    runs = tmp_path / "runs"
    code, out, err = vgbench("run", *WORDS, "--run-dir", runs / "one")
    assert (code, err) == (0, "")
    assert "stage 1  base  g3an  to train 0.004 kclips" in out
    (artefact,) = (runs / "artefacts").iterdir()
    lines = [line.split("  ")[0] for line in out.splitlines() if line.startswith("stage 1/2")]
    assert lines == [
        "stage 1/2 base: g3an, 0.004 kclips, batch 4",
        "stage 1/2 base 0.00/0.004 kclips",
        f"stage 1/2 base: done, kept as {artefact.name}",
    ]
    assert "\nstage 2/2 coloured 0.00/0.004 kclips" in out
    assert f"repeat   vgbench run {' '.join(WORDS)}\n" in out

    code, out, _ = vgbench("run", *WORDS, "seed=1", "--run-dir", runs / "two")
    assert f"stage 1  base  g3an  reused {artefact.name}" in out
    code, out, _ = vgbench("run", "--resume", runs / "two")
    assert (code, "stage 1  base  g3an  done" in out) == (0, True)

    stage = runs / "one" / "stages" / "01-base"
    code, _, err = vgbench("run", "--resume", stage)
    assert (code, err) == (
        2,
        f"error: {stage} is a stage of a run; continue the run with\n"
        f"  vgbench run --resume {runs / 'one'}\n",
    )

    code, out, _ = vgbench("ls", "artefacts")
    assert re.search(rf"{artefact.name} │ 16x16 │ 0.004 +│ 0 +│ \d", out)
    (row,) = json.loads(vgbench("--json", "ls", "artefacts")[1])
    assert (row["model"], row["dataset"], row["run"]) == ("g3an", "shapes", "one")
    (artefact / ABOUT).write_text("{}")
    (row,) = json.loads(vgbench("--json", "ls", "artefacts")[1])
    assert row["note"] == f"damaged: {artefact / ABOUT} is not readable ('format')"
    code, _, err = vgbench("run", *WORDS, "seed=2", "--run-dir", runs / "three")
    assert (code, err) == (
        5,
        f"error: {artefact / ABOUT} is not readable ('format')\n"
        f"  remove the folder, and the stage is trained again: rm -r {artefact}\n",
    )
    assert (artefact / WEIGHTS).is_file()


@pytest.mark.slow
def test_rows_name_the_artefacts_and_stages_have_rows_of_their_own(vgbench, tmp_path):
    words = [*WORDS, "dataset.resolution=32", "--run-dir", tmp_path / "run"]
    assert vgbench("run", *words)[0] == 0
    (artefact,) = (tmp_path / "runs" / "artefacts").iterdir()
    notes = []
    for path in (tmp_path / "run", tmp_path / "run" / "stages" / "01-base"):
        code, out, err = vgbench("--json", "eval", path, "--protocol", "hed16/demo")
        assert code == 0, err
        notes.append(json.loads(out)[0]["note"])
    assert notes[0].endswith(f"stage base from {artefact.name}")
    assert "stage" not in notes[1]
    board = json.loads(vgbench("--json", "leaderboard", "show", tmp_path / "run")[1])
    assert {row["model"] for row in board} == {"coloured", "g3an"}


def test_no_artefacts(vgbench):
    assert vgbench("ls", "artefacts")[:2] == (0, "no artefacts\n")


def test_options_of_nested_records_presets_and_stages_are_listed(vgbench):
    rows = json.loads(vgbench("--json", "config", "options", "model=coloured")[1])
    by_name = {row["option"]: row for row in rows}
    assert by_name["model.colour.width"]["default"] == "3"
    assert by_name["model.colour.width"]["meaning"] == "Hidden channels."
    assert by_name["model.preset"]["meaning"] == "Values to start from: default, wide, strong."
    assert "instead of training it" in by_name["model.init.base"]["meaning"]
    rows = json.loads(vgbench("--json", "config", "options", "stages")[1])
    assert [row["option"] for row in rows] == [
        "stages.seed",
        "stages.NAME.kclips",
        "stages.NAME.batch_size",
    ]


def test_config_show_is_what_words_would_set(vgbench):
    shown = json.loads(vgbench("--json", "config", "show", *WORDS, "model.init.base=x")[1])
    assert shown["stages"]["base"]["kclips"] == 0.004
    assert shown["model"]["init"] == {"base": "x"}
    assert shown["model"]["colour"]["width"] == 3
