"""`vgbench data inspect`: what files claim and what decoding finds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common
from vgbench.cli.data.bar import Bar, echo_lengths
from vgbench.cli.data.prepare import KINDS

if TYPE_CHECKING:
    from vgbench.data.inspect import FileReport

_COLUMNS = (
    *("file", "codec", "size", "pixels", "colour", "rotation", "SAR"),
    *("fps", "header", "VFR", "frames", "header", "seconds", "notes"),
)
_NUMBERS = ("size", "rotation", "SAR", "fps", "header", "frames", "seconds")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--full", is_flag=True, help="Decode every frame, not just both ends.")
@click.option("--kind", type=click.Choice(KINDS), help="How to read PATH [found out].")
@click.option("--stride", default=1, type=click.IntRange(min=1), help="Frame step of training.")
def inspect(path: Path, full: bool, kind: str | None, stride: int) -> None:
    """Show what video files claim and what decoding finds, or what a cache holds.

    Only --full sees damage in between and counts all frames; a '+' after the number of decoded
    frames means that there are more. Next to each measured value is that of the header.

    \b
    Examples:
      vgbench data inspect ~/videos
      vgbench data inspect clip.mp4 --full --json
    """
    from dataclasses import asdict

    from vgbench.data.config import MANIFEST, read_manifest
    from vgbench.data.inspect import inspect_files

    path = path.expanduser()
    if (path / MANIFEST).is_file():
        _echo_cache(read_manifest(path))
        return
    reports = []
    with Bar() as bar:
        for report in inspect_files(path, full, kind):
            reports.append(report)
            bar.update("decoding", len(reports), None)
    if common.option("as_json"):
        common.emit_json([asdict(report) for report in reports])
    else:
        _echo_reports(reports, stride)


def _echo_cache(manifest: dict[str, Any]) -> None:
    if common.option("as_json"):
        common.emit_json(manifest)
        return
    for name in ("name", "resolution", "videos", "frames", "longest", "fps", "refused", "key"):
        common.console().print(f"{name:12} {manifest[name]}", markup=False)


def _echo_reports(reports: "list[FileReport]", stride: int) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in _COLUMNS:
        right = column in _NUMBERS
        table.add_column(column, justify="right" if right else "left", no_wrap=column != "notes")
    for report in reports:
        table.add_row(*map(escape, _row(report)))
    out = common.console()
    if not out.is_terminal:
        out.width = 300  # a pipe has no width: nothing may be cut there
    out.print(table)
    good = [report for report in reports if not report.reason]
    lengths = [report.frames for report in good if report.complete]
    if lengths and len(lengths) == len(good):
        echo_lengths(lengths)
        needs = sorted({16, 128, 128 * stride})
        counts = [f"{sum(n >= need for n in lengths)} with >= {need} frames" for need in needs]
        usable = "; usable: " + ", ".join(counts)
    else:
        usable = "; lengths need --full"
    out.print(f"{len(good)} of {len(reports)} readable{usable}")


def _row(report: "FileReport") -> list[str]:
    header, more = report.header, "" if report.complete or report.reason else "+"
    notes = [f"{report.reason}: {report.detail}"] if report.reason else []
    notes += [flag for flag in report.flags if flag != "vfr"]
    if header is None:
        return [report.path, *[""] * (len(_COLUMNS) - 2), ", ".join(notes)]
    colour = " ".join(part for part in (header.matrix, header.value_range) if part)
    return [
        report.path,
        header.codec,
        f"{header.width}x{header.height}",
        header.pix_fmt,
        colour or "?",
        str(report.rotation or ""),
        "" if header.pixel_aspect == 1 else str(header.pixel_aspect),
        f"{report.fps:.2f}" if report.fps else "",
        f"{header.fps:.2f}",
        "yes" if "vfr" in report.flags else "",
        f"{report.frames}{more}",
        f"{header.frames or '?'}",
        "?" if header.duration_s is None else f"{header.duration_s:.2f}",
        ", ".join(notes),
    ]
