"""The report page without a browser: what is in it, its size, and its time."""

import base64
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.report.made import NASTY
from tests.report.made_runs import (
    HOSTILE,
    PROTOCOL,
    ROW,
    make_run,
    many_rows,
    moving_squares,
    write_rows,
)
from vgbench import media
from vgbench.errors import DataError
from vgbench.report.html import write_html
from vgbench.report.html.pictures import frames_of, picture_of
from vgbench.report.html.runs import History, named, run_of
from vgbench.report.html.tables import decimals_for, fixed

VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """The page as a list of (tag, attributes) and of texts; fails where tags do not match."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts, self._open = [], [], []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        if not self._open or self._open[-1] not in ("script", "style"):
            self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    other = replace(ROW, model="other", value=1.1, ci_lo=1.0, ci_hi=1.2, note="not <b>standard</b>")
    earlier = replace(ROW, value=2.5, ci_lo=2.4, ci_hi=2.6, clips_seen=4000)
    make_run(folder / "first", rows=[ROW, earlier])
    make_run(folder / "second", ["seed=3", "model.channels=4"], rows=[other])
    return folder


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(sorted(runs.glob("*/eval/*.json")), path)
    return Page(path)


def test_every_part_is_there(page):
    text = " ".join(page.texts)
    assert "vgbench run model=g3an dataset=shapes seed=3 model.channels=4" in text
    assert "hED16 against kclips" in text
    assert "hED16 against minutes of training" in text
    assert "loss against kclips" in text
    assert "pytorch-lightning" in text
    assert f"#{PROTOCOL.hash}" in text
    assert "real_start" in text  # a field that only the protocol's record has
    assert "1.100" in text
    assert "1.000 to 1.200" in text
    assert "not <b>standard</b>" in text


def test_each_run_has_its_video_and_slice(page):
    videos = page.all("video")
    assert len(videos) == 2
    assert all(v.keys() >= {"autoplay", "muted", "loop", "playsinline", "controls"} for v in videos)
    frames = frames_of(_content(videos[0]["src"], "video/mp4"))
    assert frames.shape == moving_squares().shape
    assert np.abs(frames.astype(int) - moving_squares()).mean() < 8
    slices = [one for one in page.all("img") if one["class"] == "slice"]
    assert [(one["width"], one["height"]) for one in slices] == [("536", "96")] * 2


def _content(source, kind):
    prefix = f"data:{kind};base64,"
    assert source.startswith(prefix)
    return base64.b64decode(source.removeprefix(prefix))


def test_nothing_is_loaded_from_elsewhere(page):
    sources = [v for _, tag in page.tags for k, v in tag.items() if k in ("src", "href", "poster")]
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    (policy,) = [one["content"] for one in page.all("meta") if "http-equiv" in one]
    assert policy.startswith(
        "default-src 'none'; img-src data:; media-src data:; style-src 'sha256-"
    )
    assert "unsafe" not in policy
    assert not re.search(r"url\(|@import", page.source)
    assert not [name for _, tag in page.tags for name in tag if name.startswith("on")]


def test_links_within_the_page_lead_somewhere(page):
    targets = [one["href"][1:] for one in page.all("a")]
    places = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert {"results", "samples", "runs", "protocols"} < set(targets) <= set(places)
    assert len(set(places)) == len(places)


def test_the_chart_has_all_that_was_measured(page):
    charts = [one for one in page.all("svg") if one.get("role") == "img"]
    assert len(charts) == 2 + 2  # distances over kclips and time; losses of two runs
    dots = len(page.all("circle"))
    assert dots == 2 * 3  # three rows, in both charts of distances


def test_above_its_size_the_videos_lie_beside_it(runs, page, tmp_path):
    files = sorted(runs.glob("*/eval/*.json"))
    size = len(page.source.encode())
    write_html(files, tmp_path / "report.html", max_bytes=size)
    assert not (tmp_path / "assets").exists()
    write_html(files, tmp_path / "report.html", max_bytes=size - 1)
    page = Page(tmp_path / "report.html")
    assert len(page.source) < size - 10_000
    for video in page.all("video"):
        content = (tmp_path / video["src"]).read_bytes()
        assert frames_of(content).shape == moving_squares().shape
    assert {path.suffix for path in (tmp_path / "assets").iterdir()} == {".mp4", ".png"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["assets", "report.html"]


@pytest.mark.parametrize("text", [HOSTILE, *NASTY], ids=lambda text: ascii(text[:16]))
def test_hostile_text_is_shown_literally(tmp_path, text):
    rows = [replace(ROW, model=text, note=text, dataset=text, split=text, selection=text)]
    write_html([write_rows(tmp_path / "a.json", rows)], tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    plain = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    if "\x00" not in text:  # which no page may hold; browsers show it as a replacement character
        assert plain in "".join(page.texts).replace("\r\n", "\n").replace("\r", "\n")
    assert len(page.all("script")) == 1
    assert not page.all("video")
    assert not page.all("b")


def test_a_hostile_run_name_and_option(tmp_path):
    folder = tmp_path / "<img src=x onerror=alert(1)> 🎬 `$(id)`"
    make_run(folder, samples=False, history=0)
    (folder / "overrides.txt").write_text("model=g3an\ndata_dir='$(id)'\n")
    write_html([folder / "eval" / "a.json"], tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert folder.name in page.texts
    assert not page.all("img")
    words = ["vgbench", "run", "model=g3an", "data_dir='$(id)'"]
    (command,) = [text for text in page.texts if text.startswith("vgbench run model")]
    assert shlex.split(command) == words
    text = " ".join(page.texts)
    assert "No curves" in text
    assert "No samples" in text


@pytest.mark.parametrize(("count", "tables"), [(0, 0), (1, 1), (200, 3)])
def test_boards_of_any_size(tmp_path, count, tables):
    files = [write_rows(tmp_path / "a.json", many_rows(count, max(tables, 1)))] if count else []
    write_html(files, tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert len(page.all("table")) == tables
    assert len(page.all("tr")) == count + tables
    assert ("No rows yet" in " ".join(page.texts)) == (count == 0)


# In a process of its own, where types are not checked at every call.
EXPORT = """
import sys, time
from pathlib import Path
from vgbench.report.html import write_html
write_html([Path(sys.argv[1])], Path(sys.argv[2]))
print(time.process_time())
"""


@pytest.mark.slow
def test_twenty_thousand_rows(tmp_path):
    file = write_rows(tmp_path / "a.json", many_rows(20_000, 20))
    command = [sys.executable, "-c", EXPORT, file, tmp_path / "report.html"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 10
    page = Page(tmp_path / "report.html")
    assert len(page.all("tr")) == 20_020
    assert len(page.source) < 20_000_000


def test_the_same_files_give_the_same_page(runs, page, tmp_path):
    write_html(sorted(runs.glob("*/eval/*.json")), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page.source


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(DataError, match=r"a\.json"):
        write_html([tmp_path / "a.json"], tmp_path / "report.html")
    folder = make_run(tmp_path / "run", samples=False)
    (folder / "environment.json").write_text("{")
    with pytest.raises(DataError, match=r"environment\.json is not JSON"):
        write_html([folder / "eval" / "a.json"], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_protocol_that_is_not_installed_says_so(tmp_path):
    rows = [replace(ROW, protocol_hash="000000000000"), replace(ROW, protocol_id="own16/x@1")]
    write_html([write_rows(tmp_path / "a.json", rows)], tmp_path / "report.html")
    text = Page(tmp_path / "report.html").source
    assert text.count("No protocol of this id and hash is installed here") == 2


def test_samples_in_another_codec_are_encoded_anew(tmp_path):
    media.write_clip(tmp_path / "kclip-00001.000.webm", moving_squares(), 25.0)
    (tmp_path / "kclip-00001.000.webm").rename(tmp_path / "kclip-00001.000.mp4")
    picture = picture_of(tmp_path)
    assert b"ftyp" in picture.data[:32]
    assert frames_of(picture.data).shape == moving_squares().shape


def test_the_newest_sample_stands_for_a_run(tmp_path):
    assert picture_of(tmp_path) is None
    for kclips in (9, 10):
        frames = moving_squares(2)[..., :-2, :, :] if kclips == 9 else moving_squares(3)
        media.write_clip(tmp_path / f"kclip-{kclips:09.3f}.mp4", frames, 25.0)
    assert picture_of(tmp_path).source == "kclip-00010.000.mp4"


def test_images_stay_images(tmp_path):
    media.write_clip(tmp_path / "kclip-00001.000.png", moving_squares(1), 25.0)
    picture = picture_of(tmp_path)
    assert (picture.is_video, picture.width, picture.height) == (False, 536, 536)


def test_hours_follow_the_logged_speed(tmp_path):
    text = "clips_seen,d,clips_per_second\n1000,1,10\n3000,,5\n"
    (tmp_path / "metrics.csv").write_text(text)
    history = History.read(tmp_path / "metrics.csv")
    assert history.hours(1000.0) * 3600 == pytest.approx(100)
    assert history.hours(2000.0) * 3600 == pytest.approx(300)
    assert history.hours(3000.0) * 3600 == pytest.approx(500)
    assert np.isnan(history.hours(3001.0))
    assert [len(series.line) for series in history.losses()] == [1]


def test_an_evaluation_counts_when_its_value_is_new(tmp_path):
    column = PROTOCOL.id
    text = f"clips_seen,{column},best\n1,,\n2,3.5,3.5\n3,3.5,3.5\n4,3.0,3.0\n"
    (tmp_path / "metrics.csv").write_text(text)
    history = History.read(tmp_path / "metrics.csv")
    assert [(p.x, p.y) for p in history.evaluations(column)] == [(2, 3.5), (4, 3.0)]
    assert history.losses() == []


def test_only_evaluations_of_a_run_belong_to_one(runs, tmp_path):
    assert run_of(runs / "first" / "eval" / "a.json") == (runs / "first").resolve()
    assert run_of(runs / "first" / "a.json") is None
    assert run_of(tmp_path / "eval" / "a.json") is None


def test_runs_of_one_name_are_told_apart_by_their_path(tmp_path):
    paths = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "c"]
    assert list(named(paths).values()) == [str(paths[0]), str(paths[1]), "c"]


@pytest.mark.parametrize(
    ("values", "decimals"), [([203.1, 1500.0], 1), ([1.25, 900.0], 3), ([0.002], 4), ([], 3)]
)
def test_decimals(values, decimals):
    assert decimals_for([*values, None, float("nan"), 0.0]) == decimals
    assert fixed(-1.0, 1) == "\N{MINUS SIGN}1.0"
    assert fixed(float("nan"), 1) == "not a number"
