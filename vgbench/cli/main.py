"""The entry point: names the commands, turns errors into messages and exit codes."""

import errno
import logging
import sys
import traceback
from typing import Any

import click

from vgbench.cli.lazy import LazyGroup
from vgbench.errors import VGBenchError

_COMMANDS = {
    "run": ("vgbench.cli.run:run", "Train a method on a data set."),
    "eval": ("vgbench.cli.evaluate:evaluate", "Measure a checkpoint or a folder of videos."),
    "sample": ("vgbench.cli.sample:sample", "Write videos, strips or grids from a checkpoint."),
    "animate": ("vgbench.cli.animate:animate", "Make a photograph the start of a video."),
    "leaderboard": ("vgbench.cli.leaderboard:leaderboard", "Show or export measured rows."),
    "compare": ("vgbench.cli.compare:compare", "Show what differs between two runs."),
    "data": ("vgbench.cli.data.group:data", "Prepare, inspect and list data sets."),
    "weights": ("vgbench.cli.weights:weights", "Fetch, import and verify pretrained weights."),
    "config": ("vgbench.cli.config:config", "Show options and their values."),
    "ls": ("vgbench.cli.ls:ls", "List models, datasets, metrics, protocols, plugins."),
    "plugin": ("vgbench.cli.plugin:plugin", "Check what installed packages add."),
    "doctor": ("vgbench.cli.doctor:doctor", "Show what vgbench finds on this machine."),
}
_BUG_HINT = "this is a bug in vgbench; please report it with the lines above"
# What a disk refuses is no bug: no permission, full, read-only, file and folder mixed up.
_DISK_ERRORS = (
    *(errno.EACCES, errno.ENOSPC, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
)


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("-q", "--quiet", is_flag=True, help="Only results and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Log what is going on.")
@click.option("--json", "as_json", is_flag=True, help="Machine result on stdout, rest on stderr.")
@click.option("--no-color", is_flag=True, help="No colours (also: NO_COLOR=1).")
@click.option("--traceback", "show_traceback", is_flag=True, help="Show tracebacks of errors.")
@click.version_option(package_name="vgbench", prog_name="vgbench")
@click.pass_context
def cli(ctx: click.Context, /, **options: Any) -> None:
    """Make video GANs comparable: train, evaluate and rank them under one protocol.

    \b
    Examples:
      vgbench run model=g3an dataset=shapes
      vgbench eval runs/g3an-shapes-20260101-1a2b
    """
    ctx.obj = options
    level = logging.INFO if options["verbose"] else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def main(args: list[str] | None = None) -> None:
    """Runs the command line and exits with the codes of `vgbench.errors`."""
    words = sys.argv[1:] if args is None else args
    show_traceback = "--traceback" in words
    # The common options may stand anywhere, as users expect of `--json`.
    words = [*(w for w in words if w in _COMMON), *(w for w in words if w not in _COMMON)]
    try:
        code = cli.main(args=words, prog_name="vgbench", standalone_mode=False)
    except click.exceptions.Abort:  # click's word for Ctrl-C; the new line is written
        click.echo("interrupted", err=True)
        code = 130
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except VGBenchError as error:
        if show_traceback:
            traceback.print_exc()
        # A run that was asked to stop did nothing wrong.
        prefix = "" if error.exit_code in (75, 130) else "error: "
        click.echo(f"{prefix}{error}", err=True)
        code = error.exit_code
    except Exception as error:
        code = _unforeseen(error, show_traceback)
    sys.exit(code if isinstance(code, int) else 0)


def _unforeseen(error: Exception, show_traceback: bool) -> int:
    """Shows what the disk refuses as a message, and a bug in full; returns the exit code."""
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS and not show_traceback:
        click.echo(f"error: {error.filename or 'disk'}: {error.strerror}", err=True)
        return 2
    traceback.print_exc()
    click.echo(_BUG_HINT, err=True)
    return 1


_COMMON = ("-q", "--quiet", "-v", "--verbose", "--json", "--no-color", "--traceback")
