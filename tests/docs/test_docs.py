"""Every link, command, option and module that the documentation names exists; needs no mkdocs."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml

from vgbench.cli.main import cli
from vgbench.config.compose import compose
from vgbench.config.sweep import expand, split_group
from vgbench.data.config import CACHE_VERSION, MANIFEST
from vgbench.metrics.protocol import get_protocol

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        *DOCS.rglob("*.md"),
        *(ROOT / "experiments").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
        *ROOT.glob("*.md"),
    ]
)
# Stand for a value of the reader's; such words cannot be looked up.
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\b|\.\.\.|…|my-|ripple|fade|pulses|brightness16")


def page_id(path):
    return str(path.relative_to(ROOT))


def commands(path):
    """Returns the words of each vgbench command in a page's code, without `vgbench` itself."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|bash)?\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(r"`(vgbench [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines += [" ".join(span.split()) for span in spans]
    found = [line.strip() for line in lines if line.strip().startswith("vgbench ")]
    return [shlex.split(line, comments=True)[1:] for line in found]


def command_of(words):
    """Returns the click command that the words name, and the words behind its name."""
    command, rest, context = cli, list(words), click.Context(cli)
    while isinstance(command, click.Group):
        common = {name for p in cli.params for name in (*p.opts, *p.secondary_opts)}
        rest = rest[next((i for i, w in enumerate(rest) if w not in common), len(rest)) :]
        if not rest:
            return command, rest
        found = command.get_command(context, rest[0])
        assert found is not None, f"no command '{' '.join(words)}'"
        command, rest = found, rest[1:]
    return command, rest


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder where the data sets of the pages are prepared, as far as composing looks."""
    folder = tmp_path_factory.mktemp("data")
    names = {"mine_64": 64, "clips_64": 64, "sky_timelapse_256": 256, "sky_64": 64, "faces_64": 64}
    for name, side in {**names, "cartoons_64": 64}.items():
        facts = {"resolution": side, "videos": 1000, "longest": 512, "fps": 25.0, "key": "c" * 64}
        (folder / name).mkdir()
        text = json.dumps({"version": CACHE_VERSION, "name": name, **facts})
        (folder / name / MANIFEST).write_text(text)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_are_accepted(page, data_dir):
    for words in commands(page):
        command, rest = command_of(words)
        if isinstance(command, click.Group) or not rest:
            continue
        line = f"vgbench {' '.join(words)}"
        known = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
        common = {name for p in cli.params for name in p.opts}
        assert used <= known | common | {"-h", "--help"}, line
        for word, value in pairwise(rest):
            if word == "--protocol" and not PLACEHOLDER.search(value):
                for name in value.split(","):
                    get_protocol(name)
        if words[0] == "run" and not PLACEHOLDER.search(line):
            check_run(rest, data_dir)


def check_run(words, data_dir):
    """Composes every point of a `vgbench run`."""
    overrides = [word for word in words if re.match(r"[a-z][\w.]*=", word)]
    if not any(word.startswith("model=") for word in overrides):
        return  # it goes on with a run
    if not any(word.startswith("dataset=") for word in overrides):
        overrides.append("dataset=shapes")
    overrides = split_group(overrides, "launcher")[1]
    points = [list(point.words) for point in expand(overrides)] if "-m" in words else [overrides]
    for point in points:
        compose(point, data_dir)


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page_id(page)}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, f"{page_id(page)}: {target}"


def nav_files(entry):
    """Returns the files of a part of the navigation."""
    if isinstance(entry, str):
        return [entry]
    values = entry.values() if isinstance(entry, dict) else entry
    return [file for value in values for file in nav_files(value)]


def test_the_site_has_every_page():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = nav_files(site["nav"])
    assert len(set(listed)) == len(listed)
    assert set(listed) == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}


def test_the_reference_names_modules_that_exist():
    named = [
        module
        for page in (DOCS / "reference").glob("*.md")
        for module in re.findall(r"^::: (\S+)$", page.read_text(), flags=re.MULTILINE)
    ]
    assert len(named) > 10
    for module in named:  # not imported, which takes seconds
        place = ROOT.joinpath(*module.split("."))
        assert place.with_suffix(".py").is_file() or (place / "__init__.py").is_file(), module


def test_a_wrong_command_is_noticed(tmp_path, data_dir):
    page = tmp_path / "page.md"
    page.write_text("```\nvgbench run model=g3an dataset=shapes --resumee X\n```\n`vgbench evil`\n")
    first, second = commands(page)
    assert command_of(first)[0].name == "run"
    with pytest.raises(AssertionError, match="no command"):
        command_of(second)
    with pytest.raises(Exception, match="no such option"):
        check_run(["model=g3an", "dataset=shapes", "model.chanels=3"], data_dir)
