"""What commands share: folders, the console, and reading the common options."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

    from vgbench.registry import Registry

Command = TypeVar("Command", bound=Callable[..., Any] | click.Command)

MAX_SIZE = click.option(
    "--max-size",
    type=click.FloatRange(min=0, min_open=True),
    default=20.0,
    show_default=True,
    help="MB of an HTML page; beyond, its videos lie in a folder assets beside it.",
)


def output(text: str, default: str | None = None) -> Callable[[Command], Command]:
    """Returns the option `-o`, a path.

    Args:
        text: What is written there.
        default: Where it is written if the option is not given; None if the command decides.
    """
    given: dict[str, Any] = {} if default is None else {"default": Path(default)}
    kind = click.Path(path_type=Path)
    return click.option("-o", "--output", type=kind, show_default=True, help=text, **given)


def data_dir(given: str | None = None) -> Path:
    """Returns the folder of prepared data sets: option, environment, or the default."""
    default = Path.home() / ".cache" / "vgbench" / "data"
    return Path(given or os.environ.get("VGBENCH_DATA_DIR") or default).expanduser()


def weights_dir(given: str | None = None) -> Path | None:
    """Returns the folder of installed weights from option or environment; None for the default."""
    chosen = given or os.environ.get("VGBENCH_WEIGHTS_DIR")
    return Path(chosen).expanduser() if chosen else None


def features_dir(given: str | None = None) -> Path | None:
    """Returns the folder that features are kept in: option, environment, or the default.

    None where the option or the environment says `none`: nothing is kept.
    """
    default = Path.home() / ".cache" / "vgbench" / "features"
    chosen = str(given or os.environ.get("VGBENCH_FEATURES_DIR") or default)
    return None if chosen == "none" else Path(chosen).expanduser()


def runs_dir() -> Path:
    """Returns the folder that run folders are made in."""
    return Path(os.environ.get("VGBENCH_RUNS_DIR") or "runs")


def artefacts_dir() -> Path:
    """Returns the folder that finished stages are kept in, shared by all runs."""
    return runs_dir() / "artefacts"


def registries() -> "list[Registry[Any]]":
    """Returns what packages may add to: models, data sets, extractors, protocols, launchers."""
    from vgbench.metrics.protocol import PROTOCOLS
    from vgbench.registry import DATASETS, EXTRACTORS, LAUNCHERS, MODELS

    return [MODELS, DATASETS, EXTRACTORS, PROTOCOLS, LAUNCHERS]


def is_launched() -> bool:
    """Returns whether this process is one of several, started by `vgbench run` or torchrun."""
    return "LOCAL_RANK" in os.environ


def is_first() -> bool:
    """Returns whether this process speaks for all; true for a single one."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0) == 0


def option(name: str) -> Any:
    """Returns a common option (`quiet`, `as_json`, ...) of the current command."""
    context = click.get_current_context(silent=True)
    root = context.find_root().obj if context else None
    return (root or {}).get(name, False)


def video_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds `--fps` and `--scale`, of commands that write videos."""
    scale = click.option(
        "--scale",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Repeat every pixel this often.",
    )
    fps = click.option(
        "--fps",
        type=click.FloatRange(0, min_open=True),
        help="Frames per second (default: the data set's).",
    )
    return fps(scale(command))


def console() -> "Console":
    """Returns the console for people: stdout, or stderr when stdout carries a result."""
    from rich.console import Console

    no_color = bool(option("no_color")) or None
    return Console(
        stderr=bool(option("as_json")),
        no_color=no_color,
        quiet=bool(option("quiet")) or not is_first(),
        highlight=False,
        soft_wrap=not sys.stdout.isatty(),
    )


def emit_json(result: Any) -> None:
    """Writes a machine-readable result to stdout."""
    import json

    click.echo(json.dumps(result, indent=2, default=str))
