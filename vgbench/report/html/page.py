"""Pages as files: template, style and script in one, pictures inside or in a folder beside it."""

import base64
import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vgbench.report.html.pictures import Picture

MAX_BYTES = 20_000_000  # of one file; a page above it keeps its pictures in a folder
_ASSETS = "assets"


def write_page(template: str, values: dict[str, Any], path: Path, max_bytes: int) -> None:
    """Writes a page; it appears whole or not at all.

    Args:
        template: Name of the template.
        values: What it shows.
        path: File to write.
        max_bytes: A page larger than this keeps its pictures in the folder `assets` beside it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _render(template, values, _inline, "data:").encode()
    if len(page) > max_bytes:
        beside = _beside(path.parent)
        page = _render(template, values, beside, "data: 'self' file:").encode()
    _write(path, page)


def _render(
    template: str, values: dict[str, Any], source_of: Callable[[Picture], str], media: str
) -> str:
    style, script = _part("style.css"), _part("script.js")
    environment = _environment()
    environment.globals["src"] = source_of
    return environment.get_template(template).render(
        **values,
        policy=_policy(style, script, media),
        style=Markup(style),
        script=Markup(script),
        version=version("vgbench"),
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vgbench.report.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["count"] = count
    return environment


def count(number: int, noun: str) -> str:
    """Returns `1 row`, `2 rows`, ..."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}".replace(
        ",", "\N{NARROW NO-BREAK SPACE}"
    )


@cache
def _part(name: str) -> str:
    return (files("vgbench.report.html") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str, media: str) -> str:
    """Returns a content security policy: this style, this script, these pictures, nothing else."""

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; img-src {media}; media-src {media}; "
        f"style-src 'sha256-{digest(style)}'; script-src 'sha256-{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _inline(picture: Picture) -> str:
    return f"data:{picture.type};base64,{base64.b64encode(picture.data).decode()}"


def _beside(folder: Path) -> Callable[[Picture], str]:
    """Returns a function that writes a picture, called after its content, and returns its link."""
    assets = folder / _ASSETS

    def source_of(picture: Picture) -> str:
        name = hashlib.sha256(picture.data).hexdigest()[:16] + picture.suffix
        assets.mkdir(exist_ok=True)
        _write(assets / name, picture.data)
        return f"{_ASSETS}/{name}"

    return source_of


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
