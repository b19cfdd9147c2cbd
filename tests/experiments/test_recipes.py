"""Every recipe composes: its commands are caught as the shell makes them, and then dry-run."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from vgbench.data.config import CACHE_VERSION, MANIFEST

pytestmark = pytest.mark.slow  # each script starts a process per run

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "experiments").rglob("*.sh"))
PREPARED = {
    **{f"{name}_64": 64 for name in ("uva_nemo", "mug", "weizmann", "ucf101")},
    **{f"{name}_256": 256 for name in ("sky_timelapse", "ffs", "ucf101", "rainbow_jelly")},
    **{f"{name}_256": 256 for name in ("taichi_hd", "youtube_driving", "deeperforensics")},
    "subject_256": 256,
}
# Writes its words, one JSON list per call, instead of running anything.
SPY = """#!/usr/bin/env python3
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
"""


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder where every data set of the papers is prepared, as far as composing looks."""
    folder = tmp_path_factory.mktemp("data")
    for name, side in PREPARED.items():
        facts = {"resolution": side, "videos": 1000, "longest": 512, "fps": 25.0, "key": "c" * 64}
        (folder / name).mkdir()
        text = json.dumps({"version": CACHE_VERSION, "name": name, **facts})
        (folder / name / MANIFEST).write_text(text)
    return folder


def calls(script, folder, *words, **settings):
    """Returns the words of each `vgbench` that the script calls."""
    spy = folder / "vgbench"
    spy.write_text(SPY)
    spy.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **settings}
    environment["CALLS"] = str(folder / "calls")
    subprocess.run(["sh", str(script), *words], check=True, env=environment, cwd=folder)
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_run_composes(script, tmp_path, vgbench, data_dir):
    found = calls(script, tmp_path, "--dry-run")
    assert found
    folders = set()
    for words in found:
        assert words[0] == "run"
        assert "--eval" in words
        code, out, error = vgbench(*words, "--data-dir", str(data_dir))
        assert code == 0, error
        runs = out.strip().splitlines()
        assert runs
        assert all(line.startswith("vgbench run ") for line in runs)
        folders.add(words[words.index("--run-dir") + 1])
    assert len(folders) == len(found)  # no two sweeps share a folder


def test_the_boards_hold_every_video_method(tmp_path, vgbench, data_dir):
    for name in ("cpu_board", "gpu_board"):
        folder = tmp_path / name
        folder.mkdir()
        found = calls(ROOT / f"experiments/{name}/run.sh", folder, "--dry-run", DATASET="digits")
        told = "".join(vgbench(*words, "--data-dir", str(data_dir))[1] for words in found)
        for model in ("g3an", "styleganv", "stylesv", "styleinv", "stylevideogan"):
            assert f"model={model}" in told
        assert "dataset=digits" in told


def test_every_recipe_is_explained():
    text = (ROOT / "experiments" / "README.md").read_text()
    for script in SCRIPTS:
        assert str(script.relative_to(ROOT / "experiments")) in text
