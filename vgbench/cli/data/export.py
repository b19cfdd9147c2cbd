"""`vgbench data export`: clips of a data set as shards for WebDataset."""

from pathlib import Path

import click

from vgbench.cli import common
from vgbench.cli.data.bar import Bar, byte_size, data_dir_option


@click.command()
@click.argument("name")
@click.option("--to", "layout", required=True, type=click.Choice(["wds"]), help="What to write.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="New folder of the shards.",
)
@click.option("--frames", type=click.IntRange(min=1), help="Frames per clip [whole videos].")
@click.option("--stride", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--shard-size", default="256MiB", show_default=True, help="Size of a shard.")
@click.option("--split", default="train", show_default=True, help="train, val or test.")
@data_dir_option
def export(
    name: str,
    layout: str,
    output: Path,
    frames: int | None,
    stride: int,
    shard_size: str,
    split: str,
    data_dir: str | None,
) -> None:
    """Write clips of a data set to tar shards for training on many machines (extra: wds).

    With --frames each video is cut into clips of so many frames, one after the other.

    \b
    Examples:
      vgbench data export sky_64 --to wds -o sky_shards
      vgbench data export sky_64 --to wds -o sky_shards --frames 128 --shard-size 1GiB
    """
    from vgbench.cli.data.find import open_named
    from vgbench.data.wds import export as write

    source = open_named(name, split, data_dir)
    with Bar() as bar:
        done = write(
            source,
            output.expanduser(),
            frames=frames,
            stride=stride,
            shard_bytes=byte_size("--shard-size", shard_size),
            progress=lambda written, total: bar.update("clips", written, total),
        )
    if common.option("as_json"):
        facts = {"clips": done.clips, "shards": len(done.shards), "key": done.key}
        common.emit_json({"folder": str(output), **facts})
        return
    common.console().print(
        f"exported {done.clips} clips of {len(source)} videos in {len(done.shards)} shards "
        f"-> {output}",
        markup=False,
    )
