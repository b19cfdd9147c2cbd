"""`vgbench compare`: text, JSON and page of two runs."""

import json
from dataclasses import replace

import pytest

from tests.report.made_runs import HOSTILE, ROW, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    hfd = replace(ROW, metric="hFD16", protocol_id="hfd16/demo@1", n_fake=128)
    make_run(folder / "a", rows=[ROW, hfd], samples=False)
    better = replace(ROW, value=1.0, ci_lo=0.9, ci_hi=1.1)
    changed = ["seed=3", "model.channels=4"]
    make_run(folder / "b", changed, rows=[better, replace(hfd, n_fake=256)])
    return folder


def test_text(vgbench, runs):
    code, out, err = vgbench("compare", runs / "a", runs / "b")
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert ["hED16", "shapes", "32x32", "1.5000", "1.0000", "-0.5000"] in [x[:6] for x in lines]
    assert "-0.6414..-0.3586" in out
    assert "b is better" in out
    assert "not subtracted: hFD16: n_fake 128 against 256\n" in out
    assert ["seed", "0", "3"] in lines
    assert ["model.channels", "8", "4"] in lines
    assert "model.frames" not in out


def test_json(vgbench, runs):
    code, out, _ = vgbench("--json", "compare", runs / "a", runs / "b")
    found = json.loads(out)
    assert code == 0
    assert {"name": "seed", "a": "0", "b": "3"} in found["options"]
    (metric,) = found["metrics"]
    assert (metric["a"], metric["b"], metric["difference"]) == (1.5, 1.0, -0.5)
    assert metric["lo"] < metric["difference"] < metric["hi"]
    assert metric["verdict"] == "b is better"
    assert found["refused"][0]["reason"] == "n_fake 128 against 256"


def test_page(vgbench, runs, tmp_path):
    code, out, _ = vgbench("compare", runs / "a", runs / "b", "-o", tmp_path / "page.html")
    assert code == 0
    assert out.endswith(f"wrote {tmp_path / 'page.html'}\n")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    for part in ("b is better", "n_fake 128 against 256", "model.channels", "No samples"):
        assert part in text
    assert text.count("<video") == 1
    assert text.count("data:video/mp4;base64,") == 1
    assert not (tmp_path / "assets").exists()


def test_a_small_page_has_its_videos_beside_it(vgbench, runs, tmp_path):
    words = ("-o", tmp_path / "page.html", "--max-size", "0.01")
    assert vgbench("compare", runs / "a", runs / "b", *words)[0] == 0
    assert "data:video" not in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "assets").glob("*.mp4"))) == 1


def test_a_run_is_itself(vgbench, runs):
    code, out, _ = vgbench("compare", runs / "a", runs / "a")
    assert code == 0
    assert "the options of both runs are the same" in out
    assert out.count("not told apart") == 2


def test_runs_without_numbers(vgbench, tmp_path):
    make_run(tmp_path / "a", rows=[], samples=False, history=0)
    code, out, _ = vgbench("compare", tmp_path / "a", tmp_path / "a")
    assert code == 0
    assert "no number was measured of both runs alike" in out


def test_what_is_no_run_is_refused(vgbench, runs, tmp_path):
    code, out, err = vgbench("compare", runs / "a", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"error: {tmp_path} is not a run folder: it holds no config.yaml\n"


def test_hostile_texts_stay_texts(vgbench, runs, tmp_path):
    rows = [replace(ROW, dataset=HOSTILE, note=HOSTILE)]
    run = make_run(tmp_path / "[bold]x", rows=rows, samples=False, history=0)
    code, out, _ = vgbench("compare", run, runs / "a", "-o", tmp_path / "page.html")
    assert code == 0
    assert "<script>alert(1)" in out
    assert "<script>alert(1)" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_config_diff_is_its_part_about_options(vgbench, runs):
    code, out, err = vgbench("config", "diff", runs / "a", runs / "b")
    lines = [line.split() for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert ["seed", "0", "3"] in lines
    assert "hED16" not in out
    found = json.loads(vgbench("--json", "config", "diff", runs / "a", runs / "b")[1])
    assert {"name": "model.channels", "a": "8", "b": "4"} in found
    assert (
        "the options of both runs are the same"
        in vgbench("config", "diff", runs / "a", runs / "a")[1]
    )
    assert vgbench("config", "diff", runs / "a", runs / "none")[0] == 2
