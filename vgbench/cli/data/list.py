"""`vgbench data list`: which data sets there are."""

import click

from vgbench.cli import common
from vgbench.cli.data.bar import data_dir_option


@click.command("list")
@data_dir_option
def list_(data_dir: str | None) -> None:
    """List the built-in, the prepared and the known data sets.

    A preset is a data set of the literature: `vgbench data info NAME` says where it comes from
    and how to prepare an own copy.

    \b
    Examples:
      vgbench data list
      vgbench data list --data-dir /data/vgbench --json
    """
    from vgbench.config.listing import dataset_rows

    rows = dataset_rows(common.data_dir(data_dir))
    if common.option("as_json"):
        common.emit_json(rows)
        return
    for row in rows:
        line = f"{row['dataset']:24} {row['kind']:9}  {row['about']}"
        common.console().print(line, markup=False)
