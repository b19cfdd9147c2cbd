"""The page about the leaderboard names every column and says what the code says of it."""

import inspect
import re
from pathlib import Path

import vgbench
from vgbench.report.row_files import FaultKind
from vgbench.report.rows import RANKING_KEY, LeaderboardRow, schema
from vgbench.types import Score

PAGE = Path(vgbench.__file__).parents[1] / "docs" / "leaderboard.md"
KINDS = {str: "text", int: "integer", float: "number", bool: "true or false"}


def meanings(kind):
    """Returns the meaning of each attribute by the docstring of a record."""
    text = inspect.getdoc(kind).partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*(?:\n     +.*)*)", text, flags=re.MULTILINE)
    return {name: " ".join(meaning.split()) for name, meaning in found}


def expected_table():
    told = meanings(Score) | meanings(LeaderboardRow)
    told["row_sha256"] = "Hash of all other values; a row that no longer has it was changed."
    lines = []
    for name, column in schema().items():
        kind = KINDS[column.kind] + (" or empty" if column.optional else "")
        lines.append(f"| `{name}` | {kind} | {told[name]} |")
    return "\n".join(lines)


def test_every_column_is_explained():
    table = PAGE.read_text(encoding="utf-8").partition(
        "| column | type | meaning |\n|---|---|---|\n"
    )
    assert table[2].strip() == expected_table(), "copy the table that was expected into the page"


def test_the_ranking_key_is_named():
    text = PAGE.read_text(encoding="utf-8")
    named = text.partition("agree in all of these columns:")[2].partition(".\n")[0]
    assert tuple(re.findall(r"`(\w+)`", named)) == RANKING_KEY


def test_every_fault_is_explained():
    text = PAGE.read_text(encoding="utf-8").partition("| fault | meaning |")[2]
    rows = re.findall(r"^\| `(\w+)` \|", text.partition("## Columns")[0], flags=re.MULTILINE)
    assert tuple(rows) == FaultKind.__args__
