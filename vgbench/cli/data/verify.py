"""`vgbench data verify`: is a cache what it claims to be?"""

from pathlib import Path

import click

from vgbench.cli import common
from vgbench.cli.data.bar import Bar, data_dir_option


@click.command()
@click.argument("cache")
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    help="What it was prepared from: decode a random 1 % again and compare.",
)
@click.option("--seed", default=0, show_default=True, help="Chooses the videos of --source.")
@data_dir_option
def verify(cache: str, source: Path | None, seed: int, data_dir: str | None) -> None:
    """Recompute every hash of CACHE, a folder or the name of a prepared data set.

    With --source, decoded frames must be the same bit for bit, or within one level on average
    where another version of FFmpeg or Pillow decodes. Exit code 3 if anything is wrong.

    \b
    Examples:
      vgbench data verify mine_64
      vgbench data verify mine_64 --source ~/videos
    """
    from dataclasses import asdict

    from vgbench.cli.data.find import cache_folder
    from vgbench.data.prepare.worker import Pool
    from vgbench.data.verify import verify_cache

    folder = cache_folder(cache, data_dir)
    source = source.expanduser() if source else None
    with Pool(1) as pool, Bar() as bar:
        found = verify_cache(folder, pool, bar.update, source, seed)
    if common.option("as_json"):
        common.emit_json({"folder": str(folder), **asdict(found)})
        return
    text = f"verified {folder}: {found.files} files, {found.videos} videos"
    if source:
        same = "bit for bit" if found.difference == 0 else f"within {found.difference:.3f} levels"
        text += f" ; decoded {len(found.compared)} again, {same}"
    common.console().print(text, markup=False)
