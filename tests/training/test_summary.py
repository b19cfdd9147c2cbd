"""What a run folder tells about its run, in whatever state it was left."""

import json

import pytest

from vgbench.training.summary import is_done, summarise

METRICS = "clips_seen,d,hed16/demo@1,clips_per_second\n8,1.0,,4\n24,1.0,0.5,8\n"


def made(path, state="done", clips=24, metrics=METRICS):
    (path / "checkpoints").mkdir(parents=True)
    (path / "checkpoints" / "last.ckpt").touch()
    (path / "metrics.csv").write_text(metrics)
    (path / "status.json").write_text(json.dumps({"state": state, "clips_seen": clips}))
    return path


def test_a_finished_run(tmp_path):
    path = made(tmp_path / "run")
    made(path / "stages" / "01-image", metrics=METRICS.replace("hed16", "hed1"))
    found = summarise(path, "hed16/demo@1")
    assert (found.state, found.kclips, found.watched) == ("done", 0.024, 0.5)
    # 8 clips at 4 and 16 at 8 per second; the stage took as long
    assert (found.clips_per_second, found.seconds) == (pytest.approx(6), pytest.approx(8))
    assert found.checkpoint == path / "checkpoints" / "last.ckpt"
    assert is_done(path)


def test_several_stages_add_up(tmp_path):
    for name in ("01-image", "02-inversion"):
        made(tmp_path / "run" / "stages" / name)
    assert summarise(tmp_path / "run", "x").seconds == pytest.approx(8)


def test_a_folder_that_is_not_there(tmp_path):
    found = summarise(tmp_path / "run", "hed16/demo@1")
    assert (found.state, found.kclips, found.seconds, found.checkpoint) == ("new", 0, 0, None)
    assert not is_done(tmp_path / "run")


def test_half_a_row_and_half_a_status(tmp_path):
    path = made(tmp_path / "run", metrics=METRICS + "32,1.")
    (path / "status.json").write_text('{"state": "do')
    found = summarise(path, "hed16/demo@1")
    assert (found.state, found.seconds) == ("new", pytest.approx(4))
