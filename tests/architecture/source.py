"""The package as files and syntax trees, of which rules are checked."""

import ast
from functools import cache
from pathlib import Path

import vgbench

PACKAGE = Path(vgbench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def offences(found_in):
    """Returns what a function from a file of the package finds wrong in it, by file."""
    found = {str(path.relative_to(PACKAGE)): found_in(path) for path in FILES}
    return {name: wrong for name, wrong in found.items() if wrong}
