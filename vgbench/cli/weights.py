"""`vgbench weights`: pretrained weights of feature networks and of image GANs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common
from vgbench.errors import UnknownNameError, UsageError, WeightsError

if TYPE_CHECKING:
    from vgbench.weights.catalog import CatalogEntry
    from vgbench.weights.fetch import Transfer
    from vgbench.weights.store import Installed, WeightStore
    from vgbench.weights.stylegan_convert import Converted

_weights_dir = click.option(
    "--weights-dir",
    type=click.Path(file_okay=False),
    help="Folder of installed weights (or VGBENCH_WEIGHTS_DIR; default ~/.cache/vgbench/weights).",
)


@click.group()
def weights() -> None:
    """Download, import, check, list and convert pretrained weights.

    \b
    Examples:
      vgbench weights list
      vgbench weights import i3d-k400 ~/Downloads/i3d_torchscript.pt
    """


@weights.command()
@click.argument("name")
@click.option("--url", default="", help="Another address of one file, e.g. a mirror.")
@_weights_dir
def fetch(name: str, url: str, weights_dir: str | None) -> None:
    """Download NAME from its makers, check it and install it.

    Shows the address and the size first. An interrupted download is continued by the same
    command. Nothing is ever downloaded by any other command.

    \b
    Examples:
      vgbench weights fetch i3d-k400
      vgbench weights fetch inception-2015 --url https://mirror.example/inception.pth
    """
    from vgbench.weights.catalog import find_entry
    from vgbench.weights.fetch import fetch_weights

    store = _store(weights_dir)
    entry = find_entry(store.catalog, name)
    console = common.console()
    console.print(f"{entry.name}: {entry.title}\n  from {entry.home}; licence: {entry.licence}")
    _report(store, fetch_weights(store, name, url=url, on_progress=_transfer_listener()))


@weights.command("import")
@click.argument("name")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@_weights_dir
def import_(name: str, files: tuple[Path, ...], weights_dir: str | None) -> None:
    """Check FILE, convert it and install it as NAME. Nothing in FILE is executed.

    FILE is a PyTorch state dict, a TorchScript archive, a safetensors file, or the .index file
    of a TensorFlow checkpoint (its data file beside it). Where the parts of a network are
    published in several files, name all of them.

    \b
    Examples:
      vgbench weights import i3d-k400 ~/kinetics-i3d/data/checkpoints/rgb_scratch/model.ckpt.index
      vgbench weights import lpips-vgg vgg16-397923af.pth vgg.pth
    """
    store = _store(weights_dir)
    _report(store, store.import_weights(name, *files))


@weights.command()
@click.argument("names", nargs=-1)
@_weights_dir
def verify(names: tuple[str, ...], weights_dir: str | None) -> None:
    """Read all bytes of what is installed and say what it is; all of it without NAMES.

    \b
    Examples:
      vgbench weights verify
      vgbench weights verify i3d-k400
    """
    store = _store(weights_dir)
    found, errors = [], []
    for name in names or [entry.name for entry, installed in store.list_weights() if installed]:
        try:
            found.append(store.verify(name))
        except WeightsError as error:
            errors.append(str(error))
    if common.option("as_json"):
        common.emit_json([_row(store.catalog[one.name], one) for one in found])
    else:
        for one in found:
            click.echo(f"{one.name}: intact, {one.identity} ({one.matched})")
        if not found and not errors:
            click.echo("no weights are installed")
    if errors:
        raise WeightsError("\n".join(errors))


@weights.command()
@click.argument("name")
@click.argument(
    "sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.argument("target", type=click.Path(path_type=Path))
def convert(name: str, sources: tuple[Path, ...], target: Path) -> None:
    """Write what SOURCE holds, under vgbench's names, to TARGET. Nothing in SOURCE is executed.

    NAME is one of `vgbench weights list`, SOURCE is as for `import`, and TARGET becomes a
    safetensors file. Or NAME is stylegan2-frames, stylegan3-frames or inversion, SOURCE is a .pkl
    of StyleGAN2-ADA-PyTorch or StyleGAN3, or a .pt of rosinality/stylegan2-pytorch or
    pixel2style2pixel, and TARGET becomes a folder that `model.init.image=TARGET` accepts, or
    `model.init.inversion=TARGET`.

    \b
    Examples:
      vgbench weights convert i3d-k400 i3d_torchscript.pt i3d.safetensors
      vgbench weights convert stylegan2-frames ffhq.pkl ffhq
    """
    from vgbench.weights.stylegan_convert import MODELS_OF_FILES

    if name in MODELS_OF_FILES:
        if len(sources) > 1:
            raise UsageError(f"'{name}' comes in one file, {len(sources)} were given")
        _convert_networks(name, sources[0], target)
        return
    from vgbench.registry import unknown_name_text
    from vgbench.weights.catalog import read_catalog
    from vgbench.weights.store import convert as convert_file

    catalog = read_catalog()
    known = [*catalog, *MODELS_OF_FILES]
    if name not in (*known, *(alias for entry in catalog.values() for alias in entry.aliases)):
        text = unknown_name_text("weight", name, known)
        raise UnknownNameError(text.replace("vgbench ls weights", "vgbench weights convert -h"))
    layout = convert_file(name, sources, target)
    if common.option("as_json"):
        common.emit_json({"target": str(target), "layout": layout})
    else:
        click.echo(f"wrote {target} from layout {layout}")


def _convert_networks(name: str, source: Path, target: Path) -> None:
    from vgbench.training.artefacts import foreign_record, write_artefact
    from vgbench.weights.stylegan_convert import convert_networks

    if target.exists() or not target.parent.is_dir():
        raise UsageError(f"{target}: expected the name of a new folder, in a folder that exists")
    made = convert_networks(name, source)
    record = foreign_record(made.model, made.options, made.spec, made.source)
    about = write_artefact(target, made.weights, record).about
    options, height, width = _changed_options(made), made.spec.height, made.spec.width
    if common.option("as_json"):
        shown = {key: about[key] for key in ("model", "spec", "sha256")}
        common.emit_json({"target": str(target), **shown, "options": options, **made.source})
        return
    click.echo(f"wrote {target}: {name}, {height}x{width}, from layout {made.source['layout']}")
    click.echo(f"  options  {' '.join(f'{k}={v}' for k, v in options.items()) or 'the defaults'}")
    for note in made.source["notes"]:
        click.echo(f"  note     {note}")
    stage = "inversion" if name == "inversion" else "image"
    click.echo(f"  use      model.init.{stage}={target}")


def _changed_options(made: "Converted") -> dict[str, Any]:
    """Returns the options that are not the defaults of their model."""
    from vgbench.models.identity import changed_options
    from vgbench.registry import MODELS
    from vgbench.types import record

    return changed_options(record(MODELS.get(made.model), made.options))


@weights.command("list")
@_weights_dir
def list_(weights_dir: str | None) -> None:
    """Show which weights exist and which are installed.

    \b
    Examples:
      vgbench weights list
      vgbench weights list --json
    """
    rows = _store(weights_dir).list_weights()
    if common.option("as_json"):
        common.emit_json([_row(entry, installed) for entry, installed in rows])
    else:
        _print_table(rows)


def _store(weights_dir: str | None) -> "WeightStore":
    from vgbench.weights.store import WeightStore

    return WeightStore(common.weights_dir(weights_dir))


def _report(store: "WeightStore", installed: "Installed") -> None:
    if common.option("as_json"):
        common.emit_json(_row(store.catalog[installed.name], installed))
        return
    click.echo(f"installed {installed.name} in {store.folder}")
    click.echo(f"  identity  {installed.identity} ({installed.matched})")
    click.echo(f"  layout    {installed.layout}")
    for file in installed.files:
        click.echo(f"  file      {file.name}, {file.size} bytes")
        click.echo(f"  git blob  {file.git_blob_sha1}")
        click.echo(f"  sha256    {file.sha256}")
    click.echo(f"  tensors   {installed.tensors_sha256}")


def _transfer_listener() -> "Callable[[Transfer], None]":
    """Returns a function that shows address and size of each file, and on a terminal its share."""
    console = common.console()
    last: tuple[str, int] | None = None

    def tell(transfer: "Transfer") -> None:
        nonlocal last
        share = 100 * transfer.done // transfer.total if transfer.total else 0
        if last is None or last[0] != transfer.url:
            size = f"{transfer.total / 1e6:.1f} MB" if transfer.total else "size unknown"
            there = f", {transfer.done / 1e6:.1f} MB of it here" if transfer.done else ""
            console.print(f"  {transfer.url} ({size}{there})", soft_wrap=True)
        elif console.is_terminal and transfer.total and share != last[1]:
            console.print(f"  {share} %", end="\r")
        last = transfer.url, share

    return tell


def _row(entry: "CatalogEntry", installed: "Installed | None") -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": entry.name,
        "aliases": list(entry.aliases),
        "title": entry.title,
        "home": entry.home,
        "licence": entry.licence,
        "installed": asdict(installed) if installed else None,
        "files": [asdict(file) for file in entry.files],
    }


def _print_table(rows: "list[tuple[CatalogEntry, Installed | None]]") -> None:
    from rich.table import Table

    table = Table("name", "installed", "tensors", "what it is", "home")
    for entry, installed in rows:
        state = f"{installed.identity}, from {installed.source}" if installed else "no"
        digest = installed.tensors_sha256[:8] if installed else ""
        table.add_row(entry.name, state, digest, entry.title, entry.home)
    common.console().print(table)
