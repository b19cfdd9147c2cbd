"""`vgbench sample`: write what a checkpoint generates."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common
from vgbench.cli.animate import animator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vgbench.models.base import VideoGAN

# Pictures of motion over time show few videos, but long ones.
_FEW_VIDEOS, _MANY_FRAMES = 4, 64
_TIMES_PER_FRAME = 8  # at which the codes of a trajectory are computed


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1),
    help="Number of videos (default: 16; 4 with --slice or --trajectory).",
)
@click.option(
    "--frames",
    type=click.IntRange(1),
    help="Frames per video (default: as trained, at least 16; 64 with --slice or --trajectory).",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the latents.")
@click.option("--grid", metavar="RxC", help="Appearance down, motion across, e.g. 4x4.")
@click.option("--slice", "as_slice", is_flag=True, help="One row of pixels over time, downwards.")
@click.option("--slice-row", type=click.IntRange(0), help="That row (default: the middle one).")
@click.option("--trajectory", is_flag=True, help="Plot speed and path of the motion codes.")
@click.option(
    "--style",
    type=click.Path(path_type=Path),
    help="Render by this image GAN, which was finetuned from the model's own (style-transfer).",
)
@common.video_options
@common.output(
    "File (.mp4 .webm .gif .png) for a grid of all, or a folder for single MP4s; .png with "
    "--slice or --trajectory (default: sample.mp4, or .png of images; slice.png, trajectory.png)."
)
def sample(checkpoint: Path, **options: Any) -> None:
    """Write videos from a checkpoint or run folder, or pictures of their motion.

    One file holds all videos as a grid; .png shows their frames side by side. Where a model draws
    single frames, it is a grid of them. Video i depends on the seed and i alone.

    \b
    Examples:
      vgbench sample runs/g3an-shapes-20260101-1a2b -n 16 -o sample.mp4
      vgbench sample runs/g3an-shapes-20260101-1a2b --grid 4x6 -o swap.gif
      vgbench sample runs/stylesv-shapes-20260101-1a2b --slice -n 4
      vgbench sample runs/styleinv-faces-20260101-1a2b --style runs/style-transfer-cartoons-1a2b
      vgbench sample runs/stylesv-shapes-20260101-1a2b --trajectory --frames 128
    """
    kind = _kind(options)
    output: Path = options["output"] or Path(_DEFAULT_OUTPUT[kind])
    _check_output(output, kind)
    from vgbench.models.checkpoint import load_model
    from vgbench.runtime import keep_memory

    keep_memory()
    model = load_model(checkpoint)
    if options["style"]:
        animator(model, "--style").restyle(load_model(options["style"]).sampler)
    if model.max_frames == 1 and options["output"] is None and kind == "clips":
        output = output.with_suffix(".png")
    options = {**options, **_sizes(model, options, kind)}
    write = {"trajectory": _trajectory, "slice": _slice}.get(kind, _clips)
    text, count = write(model, output, options)
    frames = f"{options['frames']} frame{'s' if options['frames'] > 1 else ''}"
    common.console().print(f"wrote {text} of {frames} to {output}")
    if common.option("as_json"):
        result = {"output": str(output), "videos": count, "frames": options["frames"]}
        common.emit_json(result)


_DEFAULT_OUTPUT = {"clips": "sample.mp4", "slice": "slice.png", "trajectory": "trajectory.png"}


def _kind(options: dict[str, Any]) -> str:
    """Returns `clips`, `slice` or `trajectory`, whichever is to be written."""
    from vgbench.errors import UsageError

    wanted = {"--grid": options["grid"], "--slice": options["as_slice"]}
    wanted["--trajectory"] = options["trajectory"]
    given = [name for name, value in wanted.items() if value]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} make different pictures; give one of them")
    if options["slice_row"] is not None and not options["as_slice"]:
        raise UsageError("--slice-row is the row of --slice; give both or neither")
    kind = given[0].removeprefix("--") if given else "clips"
    return kind if kind in _DEFAULT_OUTPUT else "clips"


def _check_output(output: Path, kind: str) -> None:
    from vgbench.errors import UsageError

    suffixes = (".mp4", ".webm", ".gif", ".png") if kind == "clips" else (".png",)
    is_folder = kind == "clips" and not output.suffix
    if not is_folder and output.suffix.lower() not in suffixes:
        raise UsageError(f"cannot write '{output.name}': expected one of {', '.join(suffixes)}")


def _sizes(model: "VideoGAN", options: dict[str, Any], kind: str) -> dict[str, int]:
    """Returns how many videos of how many frames there will be."""
    from vgbench.errors import UsageError

    over_time = kind != "clips"
    # Methods that train on three frames of a video make videos all the same.
    usual = max(model.clips.frames, _MANY_FRAMES if over_time else 16)
    frames = options["frames"] or min(usual, model.max_frames or usual)
    if over_time and frames < 2:
        raise UsageError(f"{frames} frame shows no motion; --{kind} needs --frames 2 or more")
    return {"count": options["count"] or (_FEW_VIDEOS if over_time else 16), "frames": frames}


def _clips(model: "VideoGAN", output: Path, options: dict[str, Any]) -> tuple[str, int]:
    """Writes the videos; returns a text about them and their number."""
    fps = options["fps"] or float(model.provenance.get("fps", 25.0))
    if options["grid"]:
        videos, columns = _swap_grid(model, options["grid"], options["frames"], options["seed"])
    else:
        videos = _videos(model, options)
        columns = max(1, round(len(videos) ** 0.5))
    _write(output, videos, columns, fps, options["scale"])
    return f"{len(videos)} videos", len(videos)


def _slice(model: "VideoGAN", output: Path, options: dict[str, Any]) -> tuple[str, int]:
    """Writes one row of every video over time, the videos one below another."""
    from vgbench import media

    row = options["slice_row"]
    row = model.spec.height // 2 if row is None else row
    pictures = media.slices(_videos(model, options), row)
    stacked = media.grid(pictures[:, None], columns=1)
    media.write_clip(output, media.enlarge(stacked, options["scale"]), fps=1.0)
    return f"row {row} of {len(pictures)} videos", len(pictures)


def _trajectory(model: "VideoGAN", output: Path, options: dict[str, Any]) -> tuple[str, int]:
    """Plots the motion codes of the videos."""
    import torch

    from vgbench.nn.noise import seeded_generator
    from vgbench.report.trajectory import draw_trajectories

    count, last = options["count"], options["frames"] - 1
    times = torch.linspace(0.0, float(last), last * _TIMES_PER_FRAME + 1)
    generators = [seeded_generator(options["seed"], "eval", i) for i in range(count)]
    codes = model.motion_trajectory(count, times, generators).double().cpu().numpy()
    draw_trajectories(output, codes, times.double().numpy(), model.anchor_distance)
    return f"motion codes of {count} videos", count


def _videos(model: "VideoGAN", options: dict[str, Any]) -> "NDArray[np.uint8]":
    from vgbench.nn.noise import seeded_generator
    from vgbench.video import to_uint8

    count, frames = options["count"], options["frames"]
    generators = [seeded_generator(options["seed"], "eval", i) for i in range(count)]
    result: NDArray[np.uint8] = to_uint8(model.sample(count, frames, generators)).cpu().numpy()
    return result


def _swap_grid(
    model: "VideoGAN", size: str, frames: int, seed: int
) -> "tuple[NDArray[np.uint8], int]":
    """Returns videos in row-major order: appearance differs by row, motion by column."""
    import re

    from vgbench.errors import UsageError
    from vgbench.video import to_uint8

    match = re.fullmatch(r"(\d+)x(\d+)", size)
    if match is None or 0 in map(int, match.groups()):
        raise UsageError(f"--grid {size}: expected ROWSxCOLUMNS, e.g. --grid 4x6")
    rows, columns = map(int, match.groups())
    return to_uint8(model.sample_grid(rows, columns, frames, seed)).cpu().numpy(), columns


def _write(output: Path, videos: "NDArray[np.uint8]", columns: int, fps: float, scale: int) -> None:
    import numpy as np

    from vgbench import media

    if not output.suffix:
        for index, video in enumerate(videos):
            media.write_clip(output / f"{index:05d}.mp4", media.enlarge(video, scale), fps)
        return
    if output.suffix.lower() == ".png" and videos.shape[1] > 1:
        strips = np.stack([media.strip(video)[None] for video in videos])
        tiled = media.grid(strips, columns=1)
    else:
        tiled = media.grid(videos, columns)
    media.write_clip(output, media.enlarge(tiled, scale), fps)
