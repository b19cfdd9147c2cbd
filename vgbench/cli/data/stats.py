"""`vgbench data stats`: what a protocol can use of a data set."""

from typing import Any

import click

from vgbench.cli import common
from vgbench.cli.data.bar import data_dir_option, echo_lengths


@click.command()
@click.argument("name")
@click.option("--protocol", multiple=True, help="Protocol, e.g. fvd16 [every protocol].")
@click.option("--split", default="train", show_default=True, help="train, val or test.")
@data_dir_option
def stats(name: str, protocol: tuple[str, ...], split: str, data_dir: str | None) -> None:
    """Count the videos that a protocol can use, their lengths, and the spread of their pixels.

    \b
    Examples:
      vgbench data stats mine_64 --protocol fvd16
      vgbench data stats shapes --json
    """
    from vgbench.cli.data.find import open_named
    from vgbench.data.statistics import length_histogram, pixel_statistics

    source = open_named(name, split, data_dir)
    lengths = [source.meta(i).n_frames for i in range(len(source))]
    mean, deviation = pixel_statistics(source)
    result = {
        "dataset": name,
        "split": split,
        "videos": len(lengths),
        "frames": sum(lengths),
        "shortest": min(lengths),
        "longest": max(lengths),
        "lengths": length_histogram(lengths),
        "pixel_mean": mean,
        "pixel_deviation": deviation,
        "protocols": [_usable(name, lengths) for name in protocol or _all_protocols()],
    }
    if common.option("as_json"):
        common.emit_json(result)
    else:
        _echo(result, lengths)


def _all_protocols() -> list[str]:
    from vgbench.metrics.protocol import PROTOCOLS

    return PROTOCOLS.names()


def _usable(name: str, lengths: list[int]) -> dict[str, Any]:
    from vgbench.metrics.protocol import get_protocol

    protocol = get_protocol(name)
    videos = sum(length >= protocol.min_frames for length in lengths)
    most, clips = protocol.n_real, videos
    if protocol.real_clips == "all-frames":
        clips = sum(lengths)
    elif protocol.real_clips != "one-per-video" and videos:
        clips = most or videos  # videos are used again and again
    return {
        "protocol": protocol.name,
        "min_frames": protocol.min_frames,
        "videos": videos,
        "clips": clips if most is None else min(clips, most),
        "wanted": most,
    }


def _echo(result: dict[str, Any], lengths: list[int]) -> None:
    out = common.console()
    for key in ("videos", "frames", "shortest", "longest"):
        out.print(f"{key:10} {result[key]}")
    mean, deviation = (
        " ".join(f"{value:.1f}" for value in result[key])
        for key in ("pixel_mean", "pixel_deviation")
    )
    out.print(f"pixels     mean {mean}, deviation {deviation} (red green blue, 0..255)")
    echo_lengths(lengths)
    for row in result["protocols"]:
        wanted = f" of {row['wanted']}" if row["wanted"] else ""
        out.print(
            f"{row['protocol']:24} {row['videos']} videos with >= {row['min_frames']} frames, "
            f"{row['clips']}{wanted} clips",
            markup=False,
        )
