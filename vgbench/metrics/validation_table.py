"""Tables of how metrics respond to damage."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from vgbench.metrics.validation import Ladder, Response

_COLUMNS = (
    *("ladder", "held_out", "gated", "statistic", "n", "level", "response"),
    *("distance", "undamaged", "null_sd", "rho"),
)


def markdown_table(responses: Sequence[Response]) -> str:
    """Returns a row per ladder with the responses of every statistic, mildest level first.

    The last column says whether the first statistic passes the ladders it is asked to pass: `yes`
    with a strongest response of 6, `at this n` with the part of it that few clips are asked for.
    """
    names = list(dict.fromkeys(response.statistic for response in responses))
    heads = ["ladder", "levels", *(head for name in names for head in (name, "rho"))]
    lines = [f"| {' | '.join(heads)} | {names[0]} passes |", "|---" * (len(heads) + 1) + "|"]
    for ladder in dict.fromkeys(response.ladder for response in responses):
        ours = [response for response in responses if response.ladder is ladder]
        lines.append(f"| {' | '.join(_cells(ladder, ours))} |")
    return "\n".join(lines)


def write_csv(path: Path, responses: Sequence[Response], about: Mapping[str, object]) -> None:
    """Writes a row per ladder, statistic and level.

    Args:
        path: File to be written.
        responses: What was measured.
        about: Columns that are the same in every row, e.g. the name of the core.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*about, *_COLUMNS])
        for one in responses:
            ladder = one.ladder
            fixed = (ladder.name, ladder.held_out, ladder.gated, one.statistic, one.n)
            levels = zip(ladder.levels, one.values, one.distances[1:], strict=True)
            writer.writerows(
                (*about.values(), *fixed, *level, one.distances[0], one.null_sd, one.rho)
                for level in levels
            )


def _cells(ladder: Ladder, responses: Sequence[Response]) -> list[str]:
    name = ladder.name + (" (held out)" if ladder.held_out else "")
    found = [
        cell
        for one in responses
        for cell in (" / ".join(f"{value:.1f}" for value in one.values), f"{one.rho:.2f}")
    ]
    levels = " / ".join(f"{level:g}" for level in ladder.levels)
    return [name, levels, *found, _verdict(responses[0])]


def _verdict(response: Response) -> str:
    if not response.ladder.gated:
        return "not asked"
    if response.passes_unscaled:
        return "yes"
    return "at this n" if response.passes else "**no**"
