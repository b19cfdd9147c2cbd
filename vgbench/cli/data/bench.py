"""`vgbench data bench`: how fast a data set is read."""

from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common
from vgbench.cli.data.bar import data_dir_option

if TYPE_CHECKING:
    from vgbench.sampling import SamplingPolicy


@click.command()
@click.argument("name")
@click.option("--frames", default=16, show_default=True, type=click.IntRange(min=1))
@click.option("--stride", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--sparse", is_flag=True, help="Sparse frames instead (3 unless --frames is given).")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(min=0.01))
@click.option("--flip", is_flag=True, help="Mirror half of the clips.")
@data_dir_option
def bench(name: str, data_dir: str | None, **options: Any) -> None:
    """Measure the clips per second that training would get, against the memory of this machine.

    \b
    Examples:
      vgbench data bench sky_64
      vgbench data bench sky_64 --sparse --json
    """
    from dataclasses import asdict

    from vgbench.cli.data.find import open_named
    from vgbench.data.bench import measure
    from vgbench.data.clips import ClipDataset
    from vgbench.data.loader import ClipLoader
    from vgbench.runtime import keep_memory
    from vgbench.types import SampleRequest

    keep_memory()
    request = SampleRequest(_policy(options), flip=options["flip"])
    clips = ClipDataset(open_named(name, "train", data_dir), request, seed=0)
    speed = measure(ClipLoader(clips, options["batch_size"]), options["seconds"])
    if common.option("as_json"):
        common.emit_json({"dataset": name, **options, **asdict(speed), "ratio": speed.ratio})
        return
    common.console().print(
        f"{name}: {request}, batch {options['batch_size']}\n"
        f"loader   {speed.clips_per_s:10,.0f} clips/s  {speed.bytes_per_s / 1e9:6.2f} GB/s\n"
        f"memcpy   {'':10}          {speed.memcpy_per_s / 1e9:6.2f} GB/s  (one thread, touched)\n"
        f"ratio    {speed.ratio:10.0%}",
        markup=False,
    )


def _policy(options: dict[str, Any]) -> "SamplingPolicy":
    from click.core import ParameterSource

    from vgbench.sampling import Contiguous, Sparse

    if not options["sparse"]:
        return Contiguous(options["frames"], (options["stride"],))
    given = click.get_current_context().get_parameter_source("frames") != ParameterSource.DEFAULT
    return Sparse(options["frames"]) if given else Sparse()
