"""Pages in a real browser: sorting, playing, no request, no complaint, readable without script."""

import shutil
from dataclasses import replace

import pytest

from tests.report.browser import NAMES, Browser, find_chromium
from tests.report.made_runs import HOSTILE, ROW, make_run, many_rows, write_rows
from vgbench.report.html import write_comparison, write_html

pytestmark = pytest.mark.slow

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MODELS = "[...document.querySelector('tbody').rows].map((row) => row.cells[1].textContent)"


@pytest.fixture(scope="module")
def browser():
    executable = find_chromium()
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    browser = Browser(executable)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    nan = replace(ROW, model="broken", value=float("nan"), ci_lo=None, ci_hi=None)
    make_run(folder / "first", rows=[replace(ROW, value=10.0, ci_lo=9.5, ci_hi=10.5), nan])
    make_run(folder / "second", ["seed=3"], rows=[replace(ROW, model="other", value=9.0)])
    # One file, as encoding it twice does not always give the same bytes.
    (sample,) = folder.glob("first/samples/*.mp4")
    shutil.copyfile(sample, folder / "second" / "samples" / sample.name)
    return folder


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(sorted(runs.glob("*/eval/*.json")), path)
    return path


def assert_all_play(browser):
    """Browsers start muted videos when they come into view."""
    for i in range(browser.value("document.querySelectorAll('video').length")):
        video = f"document.querySelectorAll('video')[{i}]"
        browser.value(f"{video}.scrollIntoView({{block: 'center'}})")
        browser.wait_for(f"{video}.readyState >= 3 && {video}.currentTime > 0")


def assert_quiet(browser):
    assert browser.complaints == []
    assert [url[:60] for url in browser.requests if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in browser.requests) == 1


def test_sorting_by_mouse_and_keyboard(browser, page):
    browser.open(page)
    assert browser.value(MODELS) == ["other", "g3an", "broken"]
    heading = "th:nth-child(3)"
    browser.click(f"{heading} button")
    assert browser.value(MODELS) == ["other", "g3an", "broken"]
    assert browser.value(f"document.querySelector('{heading}').ariaSort") == "ascending"
    browser.click(f"{heading} button")
    assert browser.value(MODELS) == ["g3an", "other", "broken"]  # no number is last either way
    assert browser.value(f"document.querySelector('{heading}').ariaSort") == "descending"
    browser.value("document.querySelector('th:nth-child(2) button').focus()")
    browser.press("Enter", 13)
    assert browser.value(MODELS) == ["broken", "g3an", "other"]
    sorted_by = "[...document.querySelectorAll('th')].map((th) => th.ariaSort)"
    assert browser.value(sorted_by).count("ascending") == 1
    assert_quiet(browser)


def test_videos_play_stop_and_start_together(browser, page):
    browser.open(page)
    assert_all_play(browser)
    browser.click("#play")
    paused = "[...document.querySelectorAll('video')].every((v) => v.paused)"
    assert browser.value(paused)
    browser.click("#play")
    browser.wait_for(f"!{paused}")
    times = browser.value("[...document.querySelectorAll('video')].map((v) => v.currentTime)")
    assert abs(times[0] - times[1]) < 0.2
    assert_quiet(browser)


def test_colours_follow_the_system_and_the_button(browser, page):
    light = "getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)'"
    browser.open(page, scheme="light")
    assert browser.value(light)
    browser.click("#theme")
    assert not browser.value(light)
    browser.open(page, scheme="dark")
    assert not browser.value(light)
    browser.click("#theme")
    assert browser.value(light)


def test_the_command_is_copied_or_selected(browser, page):
    browser.open(page)
    browser.click("button.copy")
    said = "document.querySelector('button.copy').textContent"
    answer = browser.wait_for(f"{said} !== 'Copy' && {said}")
    if answer != "Copied":
        assert browser.value("String(getSelection())") == "vgbench run model=g3an dataset=shapes"


def test_readable_without_script(browser, page):
    browser.open(page, scripts=False)
    # What the emulation stops is the page's script; these questions still get answers.
    hidden = "[...document.querySelectorAll('button')].every((b) => b.offsetParent === null)"
    assert browser.value(hidden)
    assert browser.value("document.querySelectorAll('th button').length") == 0
    assert browser.value("document.querySelector('video').controls")
    text = browser.value("document.body.innerText")
    assert "g3an" in text
    assert "vgbench run model=g3an dataset=shapes" in text
    assert_all_play(browser)
    assert_quiet(browser)


def test_videos_beside_the_page_play_too(browser, runs, tmp_path):
    write_html(sorted(runs.glob("*/eval/*.json")), tmp_path / "report.html", max_bytes=1)
    assert len(list((tmp_path / "assets").iterdir())) == 2  # both runs show the same video
    browser.open(tmp_path / "report.html")
    assert_all_play(browser)
    assert browser.complaints == []
    outside = [url for url in browser.requests if not url.startswith((tmp_path.as_uri(), "data:"))]
    assert outside == []


@pytest.mark.parametrize("width", [400, 1200])
def test_hostile_text_breaks_no_layout(browser, tmp_path, width):
    rows = [replace(ROW, model=HOSTILE, note=HOSTILE), replace(ROW, dataset=HOSTILE, note="b")]
    run = make_run(tmp_path / ("<i>" + "n" * 200), ["seed=1"], rows=rows, samples=False)
    write_html([run / "eval" / "a.json"], tmp_path / "report.html")
    browser.open(tmp_path / "report.html", width=width)
    assert browser.value(OVERFLOW) <= 0
    heights = "[...document.querySelectorAll('h3, tr, .notes li')].map((e) => e.offsetHeight)"
    assert max(browser.value(heights)) < 250
    assert "<script>alert(1)</script>" in browser.value("document.body.innerText")
    assert_quiet(browser)


@pytest.mark.parametrize("count", [0, 1, 200])
@pytest.mark.parametrize("width", [400, 1200])
def test_boards_of_any_size_fit(browser, tmp_path, count, width):
    files = [write_rows(tmp_path / "a.json", many_rows(count))] if count else []
    write_html(files, tmp_path / "report.html")
    browser.open(tmp_path / "report.html", width=width)
    assert browser.value(OVERFLOW) <= 0
    assert browser.value("document.documentElement.scrollHeight") < 3000
    assert_quiet(browser)


def test_a_policy_that_forbids_is_noticed(browser, page, tmp_path):
    text = page.read_text(encoding="utf-8")
    bad = text.replace(
        "</main>", "<img src='https://example.invalid/a.png'><script>1</script></main>"
    )
    (tmp_path / "bad.html").write_text(bad, encoding="utf-8")
    browser.open(tmp_path / "bad.html")
    assert len(browser.complaints) == 2
    assert all("Content Security Policy" in text for text in browser.complaints)


def test_the_page_of_two_runs(browser, runs, tmp_path):
    write_comparison(runs / "first", runs / "second", tmp_path / "compare.html")
    for width in (400, 1200):
        browser.open(tmp_path / "compare.html", width=width)
        assert browser.value(OVERFLOW) <= 0
        assert_all_play(browser)
        assert_quiet(browser)
    text = browser.value("document.body.innerText")
    assert "seed" in text
    assert "a: first" in text
