"""`vgbench eval`: measure a checkpoint or a folder of videos."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from vgbench.data.sources import VideoSource
    from vgbench.report.rows import LeaderboardRow


@click.command("eval")
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.option("--protocol", "protocols", help="Protocol names, separated by commas.")
@click.option("--dataset", help="Reference videos (default: what the checkpoint trained on).")
@click.option("--from-videos", type=click.Path(path_type=Path), help="Folder of generated videos.")
@click.option("--name", default="", help="Model name of the row.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of generated videos.")
@click.option("--batch", default="auto", show_default=True, help="Clips at a time, or auto.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--precision", default="fp32", show_default=True, help="fp32, tf32 or bf16.")
@click.option("--features-dir", help="Folder that features are kept in, or none.")
@click.option("--explain", is_flag=True, help="Print the whole protocols and evaluate nothing.")
@click.option("--data-dir", help="Folder of prepared data sets.")
@common.output("JSON file of the rows (default: the run's eval/ folder).")
def evaluate(checkpoint: Path | None, **options: Any) -> None:
    """Measure CHECKPOINT, a run folder, or anybody's videos; prints and stores the rows.

    Under torchrun the clips are shared between the processes; the numbers stay the same.

    \b
    Examples:
      vgbench eval runs/g3an-shapes-20260101-1a2b
      vgbench eval --from-videos generated/ --dataset clips --protocol hed16
      vgbench eval --explain --protocol fvd16/styleganv
    """
    from vgbench.errors import UsageError
    from vgbench.report.rows import as_record

    if options["explain"]:
        _explain(checkpoint, options)
        return
    if (checkpoint is None) == (options["from_videos"] is None):
        raise UsageError(
            "give a checkpoint or run folder, or --from-videos DIR, not both\n"
            "  e.g. vgbench eval runs/g3an-shapes-20260101-1a2b"
        )
    with _processes() as rank:
        rows, output = measured(checkpoint, options)
        if rank == 0:
            store(rows, output)
            if common.option("as_json"):
                common.emit_json([as_record(row) for row in rows])


def measured(
    checkpoint: Path | None, options: dict[str, Any]
) -> "tuple[list[LeaderboardRow], Path]":
    """Returns the rows of a checkpoint or of a folder of videos, and the file that they belong in.

    Args:
        checkpoint: What is measured, unless the options name a folder of videos.
        options: Those of the command, by the names of its parameters.
    """
    from vgbench.cli.progress import stage_listener
    from vgbench.evaluation import evaluate as measure
    from vgbench.models.checkpoint import find_checkpoint, read_checkpoint
    from vgbench.runtime import keep_memory

    keep_memory()
    about: dict[str, Any] = {}
    fake = options["from_videos"]
    if checkpoint is not None:
        fake = find_checkpoint(checkpoint)
        about = read_checkpoint(fake)["vgbench"]
    source = _source(about, options)
    console = common.console()
    protocols = _protocols(options["protocols"], about)
    console.print(f"{fake} against '{source.name}' under {', '.join(protocols)}")
    rows = measure(
        source,
        fake,
        protocols,
        seed=options["seed"],
        device=options["device"],
        batch_size=_batch(options["batch"]),
        precision=options["precision"],
        weights_dir=common.weights_dir(),
        feature_cache=common.features_dir(options["features_dir"]),
        on_progress=stage_listener(console),
    )
    if options["name"]:
        rows = [replace(row, model=options["name"]) for row in rows]
    trained_on = about.get("dataset_fingerprint", source.fingerprint)
    if trained_on != source.fingerprint:
        rows = [_noted(row, "not the data set the checkpoint trained on") for row in rows]
    return rows, options["output"] or _default_output(fake, protocols, options["seed"])


def _explain(checkpoint: Path | None, options: dict[str, Any]) -> None:
    """Prints protocols, and the counts if it is known what they would be evaluated on."""
    from vgbench.cli.explain import explain
    from vgbench.models.checkpoint import find_checkpoint, read_checkpoint

    about: dict[str, Any] = {}
    if checkpoint is not None:
        about = read_checkpoint(find_checkpoint(checkpoint))["vgbench"]
    source = _source(about, options) if about or options["dataset"] else None
    explain(_protocols(options["protocols"], about), source)


def _source(about: dict[str, Any], options: dict[str, Any]) -> "VideoSource":
    from vgbench.config.catalog import dataset_schema, dataset_values
    from vgbench.data.sources import open_dataset
    from vgbench.errors import UsageError
    from vgbench.types import record

    name = options["dataset"]
    if name is None and not about:
        raise UsageError("--from-videos needs --dataset NAME, the videos to compare with")
    if name is None:
        schema = dataset_schema(about["dataset"])
        return open_dataset(record(schema, about["dataset_config"]))
    values = dataset_values(name, common.data_dir(options["data_dir"]))
    return open_dataset(record(dataset_schema(name), values))


def _protocols(given: str | None, about: dict[str, Any]) -> list[str]:
    if given:
        return [name.strip() for name in given.split(",")]
    if about.get("protocols"):
        return [str(name) for name in about["protocols"]]
    from vgbench.weights.store import WeightStore

    installed = {
        entry.name for entry, found in WeightStore(common.weights_dir()).list_weights() if found
    }
    if about.get("max_frames") == 1:
        return (["fid"] if "inception-2015" in installed else []) + ["hed1", "hfd1"]
    return (["fvd16"] if "i3d-k400" in installed else []) + ["hed16", "hfd16"]


def _batch(given: str) -> 'int | Literal["auto"]':
    from vgbench.errors import UsageError

    if given == "auto":
        return "auto"
    if not given.isdecimal() or int(given) < 1:
        raise UsageError(f"--batch {given}: expected auto or an integer >= 1")
    return int(given)


def _noted(row: "LeaderboardRow", note: str) -> "LeaderboardRow":
    return replace(row, note="; ".join(filter(None, (row.note, note))))


def _default_output(fake: Path, protocols: list[str], seed: int) -> Path:
    from vgbench.metrics.protocol import get_protocol

    ids = "+".join(get_protocol(name).id.replace("/", "-") for name in protocols)
    in_run = fake.parent.name == "checkpoints"
    folder = fake.parent.parent if in_run else common.runs_dir() / "videos"
    name = fake.stem if fake.is_file() else fake.resolve().name
    return folder / "eval" / f"{ids}-{name}-s{seed}.json"


def store(rows: "list[LeaderboardRow]", output: Path) -> None:
    """Writes the rows of one evaluation and shows them."""
    from vgbench.report.row_files import to_json
    from vgbench.training.checkpoint_io import write_atomically

    write_atomically(output, lambda file: file.write(to_json(rows).encode()))
    console = common.console()
    for row in rows:
        floor = "" if row.floor is None else f"   floor {row.floor:.4f} (real against real)"
        null = "" if row.null_mean is None else f"   null {row.null_mean:.4f} ± {row.null_sd:.4f}"
        sure = "" if row.ci_lo is None else f"   95 % [{row.ci_lo:.4f}, {row.ci_hi:.4f}]"
        sure = _escape(sure)
        console.print(f"[bold]{_escape(row.metric)} {row.value:.4f}[/bold]{sure}{floor}{null}")
        if row.note:
            console.print(f"  note: {_escape(row.note)}")
    console.print(f"stored in {output}")


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)


@contextmanager
def _processes() -> Iterator[int]:
    """Joins the other processes of torchrun for the duration; yields this one's number."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield 0
        return
    import torch

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield torch.distributed.get_rank()
    finally:
        torch.distributed.destroy_process_group()
