import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from tests.data.conftest import film_folder, moving_square, write_video  # noqa: F401
from vgbench.cli.data import bar
from vgbench.cli.data.group import _VERBS
from vgbench.data.cache import CacheSource
from vgbench.data.prepare import build
from vgbench.errors import UsageError

UNREADABLE = "not a readable video (Invalid data found when processing input)"


def prepare(vgbench, source, *words, name="films", resolution=32):
    size = ("--resolution", resolution) if resolution else ()
    return vgbench("data", "prepare", name, "--from", source, *size, "--workers", 1, *words)


def test_prepare_then_up_to_date_then_list(vgbench, film_folder, tmp_path):  # noqa: F811
    (film_folder / "bad.mp4").write_text("text")
    code, out, err = prepare(vgbench, film_folder, resolution=40)
    folder = tmp_path / "data" / "films_40"
    assert code == 0
    lines = out.splitlines()
    assert re.match(r"kind: videos \(.*4 video files.*ignored 1 other files\)", lines[0])
    assert re.match(
        r"plan: 4 videos, about \d+ frames by their headers, .* \(raw\) of .* free -> ", lines[1]
    )
    assert lines[2:] == [
        f"prepared 3 videos, 84 frames, 40x40, 403.20 kB -> {folder} ; "
        f"refused 1 (see {folder / 'quarantine.csv'})"
    ]
    assert err.splitlines() == [
        f"refused bad.mp4: {UNREADABLE}",
        f"notes on accepted videos: upscaled 1 (see {folder / 'vgcache.json'})",
    ]
    assert prepare(vgbench, film_folder, resolution=40) == (0, f"up to date: {folder}\n", "")
    code, out, _ = vgbench("data", "list")
    assert code == 0
    assert re.search(r"^films_40 +prepared +3 videos, 40x40, 25 fps$", out, re.MULTILINE)
    assert re.search(r"^shapes +built in", out, re.MULTILINE)
    assert re.search(r"^sky_timelapse_256 +preset", out, re.MULTILINE)


def test_prepare_as_json(vgbench, film_folder, tmp_path):  # noqa: F811
    (film_folder / "bad.mp4").write_text("text")
    folder = str(tmp_path / "data" / "films_32")
    code, out, _ = prepare(vgbench, film_folder, "--dry-run", "--json")
    plan = json.loads(out)
    assert (code, plan["state"], plan["folder"], plan["sources"]) == (0, "planned", folder, 4)
    assert not (tmp_path / "data").exists()
    code, out, _ = prepare(vgbench, film_folder, "--json", "--split", "1:0:0")
    result = json.loads(out)
    assert (result["state"], result["videos"], result["frames"]) == ("prepared", 3, 84)
    assert result["bytes"] == 84 * 32 * 32 * 3
    assert result["refused"] == [{"path": "bad.mp4", "reason": "unreadable", "detail": UNREADABLE}]
    code, out, _ = prepare(vgbench, film_folder, "--json", "--split", "1:0:0")
    assert json.loads(out) == {"state": "up to date", "folder": folder, "key": result["key"]}


def test_options_reach_the_pixels(vgbench, film_folder, tmp_path):  # noqa: F811
    words = ("--stride", 2, "--min-frames", 8, "--max-frames", 9, "--codec", "jpeg:80")
    code, out, _ = prepare(vgbench, film_folder, *words, "--crop", "center", "--resize", "area")
    assert code == 0
    options = json.loads((tmp_path / "data" / "films_32" / "vgcache.json").read_text())["options"]
    expected = {"stride": 2, "min_frames": 8, "max_frames": 9, "codec": "jpeg:80"}
    expected |= {"resize": "area", "upscale": True, "kind": "videos", "fps": 0.0}
    assert expected.items() <= options.items()
    assert "prepared 3 videos, 27 frames" in out
    code, _, err = prepare(vgbench, film_folder, "--no-upscale", resolution=40)
    assert code == 0
    assert "refused sub/clip1.mkv: " in err


def test_presets_decide_what_is_not_given(vgbench, film_folder, tmp_path):  # noqa: F811
    code, out, err = prepare(vgbench, film_folder, name="uva_nemo_64", resolution=None)
    assert code == 3  # none of the films has the 48 frames
    assert "licence: see the home page (https://www.uva-nemo.org" in out
    assert "refused clip2.mkv: 20 frames after fps/stride, at least 48 needed" in err
    words = {"name": "uva_nemo_64", "resolution": None}
    code, out, _ = prepare(vgbench, film_folder, "--min-frames", 16, **words)
    assert code == 0
    manifest = json.loads((tmp_path / "data" / "uva_nemo_64" / "vgcache.json").read_text())
    assert manifest["options"]["recipe"] == "g3an"
    assert manifest["licence"].startswith("see the home page")
    assert (manifest["name"], manifest["resolution"]) == ("uva_nemo_64", 64)
    code, out, _ = vgbench("data", "info", "uva_nemo_64", "--json")
    facts = json.loads(out)
    assert facts["prepare"] == ("vgbench data prepare uva_nemo_64 --from /path/to/uva_nemo_faces")
    assert (facts["prepared"], facts["videos"]) == (str(tmp_path / "data" / "uva_nemo_64"), 3)


def test_ctrl_c_says_how_to_go_on(vgbench, film_folder, tmp_path, monkeypatch):  # noqa: F811
    append = build.Journal.append

    def interrupt(self, entry):
        append(self, entry)
        raise KeyboardInterrupt

    monkeypatch.setattr(build.Journal, "append", interrupt)
    code, _, err = prepare(vgbench, film_folder)
    (folder,) = (tmp_path / "data").glob("films_32.tmp-*")
    assert code == 130
    assert err == (
        f"interrupted; what is finished is kept in {folder}\n"
        "  continue: the same command with --resume\n"
    )
    assert len((folder / "journal.jsonl").read_text().splitlines()) == 1
    monkeypatch.setattr(build.Journal, "append", append)
    code, out, _ = prepare(vgbench, film_folder, "--resume")
    assert code == 0
    assert "prepared 3 videos, 84 frames" in out
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["films_32"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("x", "--from", "absent"), 3, "error: absent does not exist\n"),
        (("no/name", "--from", "."), 2, "error: 'no/name' is not a data set name"),
        (("x", "--from", ".", "--max-bad", "2"), 2, "Error: Invalid value for '--max-bad'"),
        (("x", "--form", "."), 2, "Error: No such option '--form'"),
        (("x", "--from", ".", "--split", "9:1"), 2, "error: --split 9:1: expected shares "),
        (("x", "--from", ".", "--codec", "png"), 2, "error: --codec png: expected raw, auto or "),
        (("x", "--from", ".", "--budget", "9 apples"), 2, "error: --budget 9 apples: expected "),
        (
            ("x", "--from", ".", "--recipe", "dvd"),
            2,
            "error: --recipe dvd: choose from default, styleganv, stylesv, styleinv, g3an\n",
        ),
    ],
)
def test_errors_have_codes_and_no_traceback(vgbench, tmp_path, monkeypatch, words, code, text):
    monkeypatch.chdir(tmp_path)
    got, out, err = vgbench("data", "prepare", *words, "--resolution", 64)
    assert (got, out) == (code, "")
    assert text in err
    assert "Traceback" not in err


def test_a_name_that_is_no_preset_needs_a_resolution(vgbench, film_folder):  # noqa: F811
    code, _, err = prepare(vgbench, film_folder, resolution=None)
    expected = "error: --resolution is missing: 'films' is no preset; e.g. --resolution 64\n"
    assert (code, err) == (2, expected)


def test_all_refused_and_full_disk(vgbench, tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    write_video(tmp_path / "source" / "short.mkv", moving_square(3))
    code, _, err = prepare(vgbench, tmp_path / "source")
    (folder,) = (tmp_path / "data").glob("films_32.tmp-*")
    assert code == 3
    assert err.splitlines() == [
        "refused short.mkv: 3 frames after fps/stride, at least 16 needed",
        f"error: all 1 videos were refused; see {folder / 'quarantine.csv'}",
    ]
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    code, _, err = prepare(vgbench, tmp_path / "source")
    assert (code, err) == (3, f"error: needs 9.22 kB, only 1.00 kB free at {tmp_path / 'data'}\n")


def test_verify(vgbench, film_folder, tmp_path):  # noqa: F811
    prepare(vgbench, film_folder)
    folder = tmp_path / "data" / "films_32"
    code, out, err = vgbench("data", "verify", "films", "--source", film_folder)
    assert (code, err) == (0, "")
    assert out == f"verified {folder}: 2 files, 3 videos ; decoded 1 again, bit for bit\n"
    code, out, _ = vgbench("data", "verify", folder, "--json")
    assert json.loads(out)["videos"] == 3
    shard = folder / "shard-00000.npy"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\7")
    code, _, err = vgbench("data", "verify", "films_32")
    assert (code, err) == (
        3,
        f"error: cache {folder} is incomplete or damaged (shard-00000.npy: hash mismatch); "
        "run: vgbench data prepare … --resume\n",
    )
    code, out, _ = prepare(vgbench, film_folder, "--resume")
    assert code == 0
    assert vgbench("data", "verify", "films_32")[0] == 0
    assert vgbench("data", "verify", "shapes")[0] == 3


def test_info(vgbench, film_folder, tmp_path):  # noqa: F811
    code, out, _ = vgbench("data", "info", "sky")
    assert code == 0
    assert re.search(
        r"^prepare +vgbench data prepare sky --from /path/to/sky_timelapse$", out, re.M
    )
    assert re.search(r"^home +https://github.com/weixiong-ur/mdgan", out, re.M)
    assert re.search(r"^licence +none stated", out, re.M)
    assert re.search(r"^prepared +no$", out, re.M)
    assert not (tmp_path / "data").exists()
    assert "moving shapes" in vgbench("data", "info", "shapes")[1]
    prepare(vgbench, film_folder)
    facts = json.loads(vgbench("data", "info", "films", "--json")[1])
    assert (facts["videos"], facts["longest"], facts["options"]["codec"]) == (3, 40, "raw")
    code, _, err = vgbench("data", "info", "film")
    assert code == 2
    assert "unknown dataset 'film'. Did you mean 'films_32'?" in err


def test_stats(vgbench, film_folder, tmp_path):  # noqa: F811
    prepare(vgbench, film_folder)
    words = ("data", "stats", "films", "--protocol", "fvd16/vgbench@1")
    code, out, _ = vgbench(*words)
    assert code == 0
    assert re.search(r"^ +16 - 31 +2 #+$", out, re.M)
    assert re.search(r"^ +32 - 63 +1 #+$", out, re.M)
    assert "3 videos with >= 16 frames, 3 of 2048 clips" in out
    result = json.loads(vgbench(*words, "--json")[1])
    assert (result["shortest"], result["longest"], result["frames"]) == (20, 40, 84)
    assert result["lengths"] == [
        {"from": 16, "to": 31, "videos": 2},
        {"from": 32, "to": 63, "videos": 1},
    ]
    source = CacheSource(tmp_path / "data" / "films_32")
    frames = [source.read(i, np.arange(source.meta(i).n_frames)) for i in range(3)]
    pixels = np.concatenate(frames).reshape(-1, 3).astype(float)
    assert result["pixel_mean"] == pytest.approx(pixels.mean(axis=0))
    assert result["pixel_deviation"] == pytest.approx(pixels.std(axis=0))
    code, _, err = vgbench(*words, "--split", "val")
    assert code == 3
    assert "has no split 'val', only train" in err
    assert vgbench("data", "stats", "films", "--protocol", "fdv16")[0] == 2


def test_inspect_as_table_and_json(vgbench, film_folder):  # noqa: F811
    write_video(film_folder / "long [1].mkv", moving_square(500, 16, 16))
    (film_folder / "bad.mp4").write_text("text")
    code, out, _ = vgbench("data", "inspect", film_folder)
    assert code == 0
    assert re.search(r"clip2.mkv +ffv1 +64x48 +\S+ .* 25.00 +25.00 +\d+\+? +\? +0.80", out)
    assert re.search(r"long \[1\].mkv .* \d+\+ ", out)
    assert f"unreadable: {UNREADABLE}" in out
    assert out.splitlines()[-1] == "4 of 5 readable; lengths need --full"
    code, out, _ = vgbench("data", "inspect", film_folder, "--full", "--stride", 2)
    assert re.search(r"^ +16 - 31 +2 #+$", out, re.M)
    assert out.splitlines()[-1] == (
        "4 of 5 readable; usable: 4 with >= 16 frames, 1 with >= 128 frames, 1 with >= 256 frames"
    )
    code, out, _ = vgbench("data", "inspect", film_folder, "--full", "--json")
    rows = {row["path"]: row for row in json.loads(out)}
    assert rows["long [1].mkv"]["frames"] == 500
    assert rows["bad.mp4"]["reason"] == "unreadable"


def test_inspect_of_a_cache(vgbench, film_folder, tmp_path):  # noqa: F811
    prepare(vgbench, film_folder)
    code, out, _ = vgbench("data", "inspect", tmp_path / "data" / "films_32")
    assert code == 0
    assert re.search(r"^videos +3$", out, re.M)


def test_run_says_how_to_prepare(vgbench, tmp_path):
    code, _, err = vgbench("run", "model=g3an", "dataset=sky")
    assert (code, err) == (
        3,
        f"error: dataset 'sky' is not prepared: {tmp_path / 'data' / 'sky'} does not exist\n"
        "  vgbench data prepare sky --from /path/to/sky_timelapse\n",
    )


def test_ls_and_list_agree(vgbench, film_folder):  # noqa: F811
    prepare(vgbench, film_folder)
    rows = [json.loads(vgbench(*words, "--json")[1]) for words in LISTS]
    assert rows[0] == rows[1]
    assert {row["kind"] for row in rows[0]} == {"built in", "prepared", "preset"}


LISTS = [("data", "list"), ("ls", "datasets")]


@pytest.mark.parametrize("verb", _VERBS)
def test_help_has_examples(vgbench, verb):
    code, out, _ = vgbench("data", verb, "--help")
    assert code == 0
    assert "Examples:\n" in out
    assert len(re.findall(rf"^ +vgbench data {verb}", out, re.MULTILINE)) >= 2


def test_a_misspelt_verb(vgbench):
    code, _, err = vgbench("data", "prepair", "x")
    assert code == 2
    assert "No such command 'prepair'. Did you mean 'prepare'?" in err


def test_budget():
    sizes = {"64GiB": 64 * 2**30, "1.5 MB": 1_500_000, "10B": 10, "2TiB": 2 * 2**40}
    assert {text: bar.byte_size("--budget", text) for text in sizes} == sizes
    for text in ("64", "GiB", "-1GB", "1e3GB"):
        with pytest.raises(UsageError):
            bar.byte_size("--budget", text)


@pytest.mark.slow
def test_real_clips(vgbench, clips_dir):
    code, out, err = vgbench("data", "prepare", "clips", "--from", clips_dir, "--resolution", 64)
    assert code == 0
    assert "prepared 17 videos, 1 896 frames, 64x64, 23.30 MB" in out
    assert err.count("refused ") == 12


def test_progress_away_from_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(bar, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    with bar.Bar() as shown:
        for done in (5, 10, 20, 30, 40):
            shown.update("decoding", done, 50)
            now.seconds += 16
    # 15 took 32 seconds, so 30 take 64; 35 took 64 seconds, so 10 take 18
    assert capsys.readouterr().err == "decoding 20/50  left 01:04\ndecoding 40/50  left 00:18\n"
