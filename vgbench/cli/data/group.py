"""`vgbench data`: prepare, inspect and list data sets."""

import click

from vgbench.cli.lazy import LazyGroup

_VERBS = {
    "list": ("vgbench.cli.data.list:list_", "List the known and the prepared data sets."),
    "info": ("vgbench.cli.data.info:info", "Show what is known of a data set."),
    "prepare": ("vgbench.cli.data.prepare:prepare", "Decode videos once into a cache."),
    "inspect": ("vgbench.cli.data.inspect:inspect", "Show what is in files or in a cache."),
    "verify": ("vgbench.cli.data.verify:verify", "Check the files of a cache."),
    "bench": ("vgbench.cli.data.bench:bench", "Measure how fast clips are read."),
    "export": ("vgbench.cli.data.export:export", "Write clips as WebDataset shards."),
    "latents": ("vgbench.cli.data.latents:latents", "Encode frames for runs on latents."),
    "stats": ("vgbench.cli.data.stats:stats", "Count what a protocol can use, and lengths."),
}


@click.group(cls=LazyGroup, lazy=_VERBS, context_settings={"help_option_names": ["-h", "--help"]})
def data() -> None:
    """Prepare, inspect and list data sets.

    \b
    Examples:
      vgbench data inspect ~/videos
      vgbench data prepare sky --from ~/videos --resolution 64
    """
