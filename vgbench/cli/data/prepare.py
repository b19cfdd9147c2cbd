"""`vgbench data prepare`: decode once into a cache."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common
from vgbench.cli.data.bar import Bar, byte_size, data_dir_option

if TYPE_CHECKING:
    from vgbench.config.presets import Preset
    from vgbench.data.prepare.build import Prepared
    from vgbench.data.prepare.plan import Plan, Request
    from vgbench.data.prepare.worker import Pool

KINDS = ("videos", "frames", "zip", "long", "array", "images")
_count = click.IntRange(min=1)


@click.command(context_settings={"max_content_width": 100})
@click.argument("name")
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder (searched recursively) or file: videos, frames, a zip, an array.",
)
@click.option("--resolution", type=_count, help="Height and width in pixels (presets know theirs).")
@click.option("--kind", type=click.Choice(KINDS), help="How to read the source [found out].")
@click.option("--fps", type=float, help="Resample to this rate by sample-and-hold [off].")
@click.option("--allow-duplicate", is_flag=True, help="Let --fps exceed a source's rate.")
@click.option("--stride", type=_count, help="Keep every S-th frame, after --fps [1].")
@click.option("--chunk", type=_count, help="Cut into pieces of N frames; the tail is dropped.")
@click.option("--min-frames", type=_count, help="Refuse shorter videos [16].")
@click.option("--max-frames", type=_count, help="Cut longer videos.")
@click.option("--recipe", metavar="NAME", help="default, styleganv, stylesv, styleinv or g3an.")
@click.option("--crop", type=click.Choice(("center", "none")), help="Centre square, or as is.")
@click.option("--resize", type=click.Choice(("lanczos", "area", "bilinear")), help="[lanczos]")
@click.option("--no-upscale", is_flag=True, help="Refuse videos smaller than the resolution.")
@click.option("--ignore-sar", is_flag=True, help="Ignore the pixel aspect, as reference code does.")
@click.option("--keep-partial", is_flag=True, help="Keep the frames before a decoding error.")
@click.option("--scene-cuts", type=click.Choice(("off", "report", "split")), help="[off]")
@click.option("--codec", metavar="raw|jpeg:Q|auto", help="How frames are stored [raw].")
@click.option("--budget", default="64GiB", show_default=True, help="Largest raw cache of auto.")
@click.option("--split", default="", metavar="A:B:C", help="Shares train:val:test, e.g. 80:10:10.")
@click.option("--follow-links", is_flag=True, help="Follow links out of the source.")
@click.option("--workers", type=_count, help="Processes; the result is the same [cores].")
@click.option(
    "--max-bad",
    default=0.5,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Fail if a larger share of the files is damaged; too short is not damaged.",
)
@click.option("--strict", is_flag=True, help="Fail if any file is refused, for whatever reason.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("--resume", is_flag=True, help="Go on after an interruption; mend a damaged cache.")
@data_dir_option
def prepare(name: str, source: Path, **given: Any) -> None:
    """Decode videos once into the cache NAME_R that training reads.

    By default each frame is cropped to its centre square and resized with Lanczos. Damaged files
    are left out and listed, with the reason, in quarantine.csv. Running it again does nothing.
    A preset (vgbench data list) decides options that are not given.

    \b
    Examples:
      vgbench data prepare mine --from ~/videos --resolution 64
      vgbench data prepare sky_timelapse_256 --from ~/sky_timelapse --dry-run
    """
    from vgbench.data.prepare.plan import make_plan
    from vgbench.data.prepare.worker import Pool

    request = _request(name, source.expanduser(), given)
    with Pool(given["workers"] or os.cpu_count() or 1) as pool:
        with Bar() as bar:
            plan = make_plan(request, pool, bar.update)
        if plan.up_to_date:
            _tell_up_to_date(plan)
            return
        _echo_plan(plan)
        plan.check_space()
        if given["dry_run"]:
            _result({"state": "planned", **_planned(plan)})
            return
        _echo_prepared(plan, _build(plan, pool, given))


def _request(name: str, source: Path, given: dict[str, Any]) -> "Request":
    from vgbench.config.presets import cache_folder, find_preset
    from vgbench.data.prepare.plan import Request
    from vgbench.errors import UsageError

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"'{name}' is not a data set name; use letters, digits, '-', '_' and '.'")
    preset = find_preset(name)
    if preset is None and given["resolution"] is None:
        raise UsageError(f"--resolution is missing: '{name}' is no preset; e.g. --resolution 64")
    folder = cache_folder(name, given["resolution"])
    return Request(
        name=name,
        source=source,
        target=common.data_dir(given["data_dir"]) / folder,
        options=_options(preset, given),
        kind=given["kind"],
        follow_links=given["follow_links"],
        split=given["split"],
        budget=byte_size("--budget", given["budget"]),
        licence=f"{preset.licence} ({preset.home})" if preset else "",
        resume=given["resume"],
    )


def _options(preset: "Preset | None", given: dict[str, Any]) -> Any:
    from dataclasses import fields

    from vgbench.data.prepare.options import Options

    names = {field.name for field in fields(Options)} - {"kind"}
    chosen = {key: value for key, value in given.items() if key in names and value is not None}
    values = {**(preset.prepare_options if preset else {}), **chosen}
    return Options(**values, upscale=not given["no_upscale"])


def _build(plan: "Plan", pool: "Pool", given: dict[str, Any]) -> "Prepared":
    from vgbench.data.prepare.build import Tolerance
    from vgbench.data.prepare.build import prepare as build
    from vgbench.errors import InterruptedRunError

    total = len(plan.sources)
    tolerance = Tolerance(given["max_bad"], given["strict"])

    def tell(message: str) -> None:
        click.echo(message, err=True)

    try:
        with Bar() as bar:

            def progress(done: int, refusal: Exception | None) -> None:
                bar.update("decoding", done, total)
                if refusal is not None:
                    tell(str(refusal))

            return build(plan, tolerance, pool, progress, tell)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            f"interrupted; what is finished is kept in {plan.work_folder}\n"
            "  continue: the same command with --resume"
        ) from None


def _echo_plan(plan: "Plan") -> None:
    from vgbench.data.prepare.plan import size_text

    frames = f"about {plan.estimated_frames} frames by their headers"
    ignored = f", ignored {plan.ignored} other files" if plan.ignored else ""
    common.console().print(
        f"kind: {plan.options.kind} ({plan.reason}{ignored})\n"
        f"plan: {len(plan.sources)} videos, {frames}, {size_text(plan.estimated_bytes)} "
        f"({plan.options.codec}) of {size_text(plan.free_bytes)} free -> {plan.target}",
        markup=False,
    )
    for warning in plan.warnings:
        click.echo(f"warning: {warning}", err=True)
    if plan.request.licence:
        common.console().print(f"licence: {plan.request.licence}", markup=False)


def _planned(plan: "Plan") -> dict[str, Any]:
    return {
        "folder": str(plan.target),
        "kind": plan.options.kind,
        "codec": plan.options.codec,
        "sources": len(plan.sources),
        "ignored": plan.ignored,
        "estimated_frames": plan.estimated_frames,
        "estimated_bytes": plan.estimated_bytes,
        "free_bytes": plan.free_bytes,
        "key": plan.key,
    }


def _tell_up_to_date(plan: "Plan") -> None:
    common.console().print(f"up to date: {plan.target}", markup=False)
    _result({"state": "up to date", "folder": str(plan.target), "key": plan.key})


def _echo_prepared(plan: "Plan", result: "Prepared") -> None:
    from vgbench.data.cache import QUARANTINE
    from vgbench.data.config import MANIFEST
    from vgbench.data.prepare.plan import size_text

    if result.flags:
        notes = ", ".join(f"{flag} {n}" for flag, n in sorted(result.flags.items()))
        click.echo(f"notes on accepted videos: {notes} (see {result.folder / MANIFEST})", err=True)
    side, stored = plan.options.resolution, _stored_bytes(plan, result)
    refused = f" ; refused {len(result.refused)}" if result.refused else ""
    where = f" (see {result.folder / QUARANTINE})" if result.refused else ""
    frames = f"{result.frames:,}".replace(",", " ")
    common.console().print(
        f"prepared {len(result.videos)} videos, {frames} frames, {side}x{side}, "
        f"{size_text(stored)} -> {result.folder}{refused}{where}",
        markup=False,
    )
    _result(
        {
            "state": "prepared",
            "folder": str(result.folder),
            "key": plan.key,
            "videos": len(result.videos),
            "frames": result.frames,
            "bytes": stored,
            "refused": [
                {"path": e.path, "reason": e.reason, "detail": e.detail} for e in result.refused
            ],
            "notes": dict(result.flags),
        }
    )


def _stored_bytes(plan: "Plan", result: "Prepared") -> int:
    if plan.options.codec == "raw":
        return result.frames * plan.options.resolution**2 * 3
    return sum(path.stat().st_size for path in result.folder.glob("*.jpgs"))


def _result(result: dict[str, Any]) -> None:
    if common.option("as_json"):
        common.emit_json(result)
