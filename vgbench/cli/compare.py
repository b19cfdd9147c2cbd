"""`vgbench compare`: two runs against each other."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.report.compare import MetricComparison, OptionDifference


@click.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@common.output("HTML page with samples side by side.")
@common.MAX_SIZE
def compare(run_a: Path, run_b: Path, output: Path | None, max_size: float) -> None:
    """Print what differs between two run folders: options, and numbers that were measured alike.

    The interval of a difference comes from the stored intervals of both numbers, taken as
    independent; it covers the draw of videos, not a repeated training.

    \b
    Examples:
      vgbench compare runs/g3an-shapes-20260101-1a2b runs/g3an-shapes-20260102-3c4d
      vgbench compare runs/a runs/b -o compare.html
    """
    from vgbench.report.compare import metric_differences, option_differences
    from vgbench.report.html.comparison import write_comparison
    from vgbench.report.html.runs import read_run

    a, b = read_run(run_a, 0), read_run(run_b, 1)
    options = option_differences(a.config, b.config)
    metrics = metric_differences(a.rows, b.rows)
    _print_metrics(metrics)
    print_options(options)
    if output is not None:
        write_comparison(run_a, run_b, output, max_bytes=round(max_size * 1e6))
        common.console().print(f"wrote {output}", markup=False)
    if common.option("as_json"):
        common.emit_json(_json(options, metrics))


def _print_metrics(metrics: "MetricComparison") -> None:
    from rich.markup import escape
    from rich.table import Table

    console = common.console()
    names = ("metric", "data", "a", "b", "b - a", "95 %", "verdict")
    table = Table(*names, box=None, padding=(0, 2, 0, 0), header_style="bold")
    for one in metrics.differences:
        sure = "" if one.lo is None else f"{one.lo:.4f}..{one.hi:.4f}"
        numbers = (f"{one.a.value:.4f}", f"{one.b.value:.4f}", f"{one.value:+.4f}")
        data = f"{one.a.dataset} {one.a.resolution}"
        table.add_row(*map(escape, (one.a.metric, data, *numbers, sure, one.verdict)))
    if metrics.differences:
        console.print(table)
    else:
        console.print("no number was measured of both runs alike")
    for refused in metrics.refused:
        console.print(f"not subtracted: {refused.metric}: {refused.reason}", markup=False)


def print_options(options: "list[OptionDifference]") -> None:
    """Prints the options that differ, or that none does."""
    from rich.markup import escape
    from rich.table import Table

    console = common.console()
    if not options:
        console.print("the options of both runs are the same")
        return
    table = Table("option", "a", "b", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for one in options:
        table.add_row(*(escape("-" if text is None else text) for text in (one.name, one.a, one.b)))
    console.print(table)


def _json(options: "list[OptionDifference]", metrics: "MetricComparison") -> dict[str, Any]:
    from dataclasses import asdict

    differences = [
        {
            "metric": one.a.metric,
            "protocol_id": one.a.protocol_id,
            "dataset": one.a.dataset,
            "a": one.a.value,
            "b": one.b.value,
            "difference": one.value,
            "lo": one.lo,
            "hi": one.hi,
            "verdict": one.verdict,
        }
        for one in metrics.differences
    ]
    return {
        "options": [asdict(one) for one in options],
        "metrics": differences,
        "refused": [asdict(one) for one in metrics.refused],
    }
