"""The board as Markdown, read back by a Markdown parser."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from tests.report.made import NASTY, made, many
from vgbench.report.board import board
from vgbench.report.markdown import escaped, markdown
from vgbench.report.text import one_line

OURS = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "sup", "br"}
OURS |= {"ol", "li"}


class Page(HTMLParser):
    """The tags of a page and the text of every cell and list item."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = set(), {"td": [], "th": [], "li": [], "h2": []}
        self._open = None
        self.bold = []
        self.feed(MarkdownIt("commonmark").enable("table").render(text))

    def handle_starttag(self, tag, attributes):
        assert not set(dict(attributes)) - {"style", "start"}
        self.tags.add(tag)
        if tag in self.texts:
            self._open = tag
            self.texts[tag].append("")
        if tag == "strong":
            self.bold.append("")

    def handle_endtag(self, tag):
        self._open = None if tag == self._open else self._open

    def handle_data(self, data):
        if self._open:
            self.texts[self._open][-1] += data
        if self.bold and self.bold[-1] == "":
            self.bold[-1] = data

    @property
    def rows(self):
        width = len(self.texts["th"])
        cells = self.texts["td"]
        return [cells[i : i + width] for i in range(0, len(cells), width)]


OTHER = {"metric": "hFD16", "protocol_id": "hfd16/demo@1", "higher_is_better": True}


def test_methods_down_and_protocols_across():
    rows = [made(value=v, seed_train=i) for i, v in enumerate((0.5, 0.7))]
    rows += [
        made(model="other", value=9.0, ci_lo=8.0, ci_hi=9.5, note="few clips", clips_seen=None)
    ]
    rows += [made(model="other", value=3.0, note="few clips", clips_seen=None, **OTHER)]
    page = Page(markdown(board(rows)))
    assert page.texts["h2"] == ["shapes, train #ffffffff"]
    assert page.texts["th"] == ["model", "kclips", "hED16 ↓hed16/demo@1", "hFD16 ↑hfd16/demo@1"]
    assert page.rows == [
        ["g3an", "8", "0.6 ± 0.14 (n = 2)", ""],
        ["other", "", "9 [8, 9.5] 1", "3 1"],
    ]
    assert page.bold == ["0.6 ± 0.14 (n = 2)", "3"]
    assert page.texts["li"] == ["few clips"]
    assert page.tags <= OURS


def test_sets_of_videos_of_one_training_say_so():
    page = Page(markdown(board([made(value=float(i), seed_gen=i) for i in range(2)])))
    assert page.rows[0][2] == "0.5 ± 0.71 (n = 2 sets of one training)"


def test_equal_titles_are_told_apart():
    page = Page(markdown(board([made(), made(n_real=128), made(n_real=64, precision="bf16")])))
    assert [title.partition("@1")[2] for title in page.texts["th"][2:]] == [
        "n_real 128precision fp32",
        "n_real 256precision fp32",
        "n_real 64precision bf16",
    ]


def test_a_table_per_data_set():
    rows = [made(), made(dataset="digits"), made(dataset_fingerprint="e" * 64)]
    page = Page(markdown(board(rows)))
    assert sorted(page.texts["h2"]) == [
        "digits, train #ffffffff",
        "shapes, train #eeeeeeee",
        "shapes, train #ffffffff",
    ]


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
def test_texts_are_shown_literally(text):
    page = Page(markdown(board([made(model=text, note=text, dataset=f"d {text}")])))
    assert page.tags <= OURS
    ((name, _, value),) = page.rows
    assert name == one_line(text).strip()
    assert page.texts["h2"] == [f"d {one_line(text)}".strip() + ", train #ffffffff"]
    assert page.texts["li"] == ([one_line(text).strip()] if text else [])
    assert value == ("0.3 1" if text else "0.3")


def test_numbers_and_protocols_stay_readable():
    for text in ("-0.25 ± 1.5 (n = 3)", "0.5", "hed16/demo@1", "a: b"):
        assert escaped(text) == text


def test_other_dialects_see_no_html_and_no_cell_ends():
    for text in NASTY:
        assert not set(escaped(text)) & set("<>|~$@\n\r\x1b\u202e\u2028")


def test_published_figures_stand_apart_with_their_citation():
    shared = {"dataset": "sky_timelapse_256", "metric": "FVD16", "resolution": "256x256"}
    shared |= {"protocol_id": "fvd16/styleganv@1"}
    rows = [made(model="styleganv", value=80.0, **shared), made(value=500.0, **shared)]
    page = Page(markdown(board(rows)))
    assert page.texts["th"][-1] == "reported in papers"
    by_name = {row[0]: row for row in page.rows}
    assert list(by_name)[:2] == ["styleganv", "g3an"], "measured rows come first"
    assert "FVD16 62.55" in by_name["styleganv"][-1], "the same method stands in one line"
    assert "StyleGAN-V" not in by_name
    assert by_name["StyleSV w/ TSM"][1:3] == ["", ""], "nothing measured, nothing ranked"
    assert by_name["StyleSV w/ TSM"][-1].startswith("FVD16 49")
    assert page.bold == ["80"]
    note = int(by_name["StyleSV w/ TSM"][-1].split()[-1])
    assert "Towards Smooth Video Composition (StyleSV), ICLR 2023" in page.texts["li"][note - 1]
    assert "genforce/StyleSV" in page.texts["li"][note - 1]


def test_an_empty_board():
    assert markdown([]) == "# Leaderboard\n\nNo rows yet.\n"


def test_two_hundred_rows():
    page = Page(markdown(board(many(200))))
    assert len(page.rows) == 10
    assert all("(n = " in cell for row in page.rows for cell in row[2:])
