"""`vgbench animate`: a photograph becomes the start of a video."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vgbench.models.animation import Animator
    from vgbench.models.base import VideoGAN


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    required=True,
    help="Checkpoint or run folder of a model that animates photographs (styleinv, stylevideogan).",
)
@click.option(
    "--style",
    "styles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Also render by this image GAN, finetuned from the model's own; may be repeated.",
)
@click.option(
    "--ref",
    type=click.Choice(["mean", "first"]),
    help="stylevideogan: what the photograph is compared with, the mean training frame or the "
    "first one of the video  [mean].",
)
@click.option(
    "--rank",
    type=click.IntRange(0),
    metavar="K",
    help="stylevideogan: spare the K main directions of motion  [95 % of the variance].",
)
@click.option("--per-style", is_flag=True, help="stylevideogan: spare K in each style vector.")
@click.option("--naive", is_flag=True, help="stylevideogan: spare none, as --rank 0.")
@click.option("--frames", type=click.IntRange(1), default=64, show_default=True, help="Frames.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the motion.")
@common.video_options
@common.output("File: .mp4 .webm .gif, or .png for the frames side by side.", "animation.mp4")
def animate(image: Path, ckpt: Path, **options: Any) -> None:
    """Write a video that moves what a photograph shows.

    The centre square of IMAGE is inverted: the model's image GAN makes an image as like it as it
    can. With styleinv the video starts from it. stylevideogan moves it as its training subject
    moves: the difference between the two is added to a generated video, but not along the main
    directions of that motion. The file shows the photograph, its inversion and the video side by
    side, and then the video in each further style.

    \b
    Examples:
      vgbench animate face.jpg --ckpt runs/styleinv-faces-20260101-1a2b -o face.mp4
      vgbench animate face.jpg --ckpt runs/styleinv-faces-20260101-1a2b --style runs/cartoons
      vgbench animate face.jpg --ckpt runs/stylevideogan-faces-20260101-1a2b --ref first --naive
      vgbench animate face.jpg --ckpt runs/stylevideogan-faces-20260101-1a2b --rank 8 --per-style
    """
    from vgbench import media
    from vgbench.data.photo import read_photo
    from vgbench.errors import UsageError
    from vgbench.models.checkpoint import load_model

    output: Path = options["output"]
    if output.suffix.lower() not in media.SUFFIXES:
        known = ", ".join(media.SUFFIXES)
        raise UsageError(f"cannot write '{output.name}': expected one of {known}")
    model = load_model(ckpt)
    able = animator(model, "animate")
    extra = _offset(able, options)
    photo = read_photo(image, model.spec.height)
    styles = [load_model(path).sampler for path in options["styles"]]
    videos = _side_by_side(able, photo, styles, options | {"offset": extra})
    shown = media.enlarge(media.grid(videos, columns=len(videos)), options["scale"])
    media.write_clip(output, shown, options["fps"] or float(model.provenance.get("fps", 25.0)))
    names = ["photograph", "inversion", "video", *(f"style {i + 1}" for i in range(len(styles)))]
    common.console().print(f"wrote {', '.join(names)} of {options['frames']} frames to {output}")
    if common.option("as_json"):
        common.emit_json({"output": str(output), "shown": names, "frames": options["frames"]})


def animator(model: "VideoGAN", purpose: str) -> "Animator":
    """Returns the model as one that animates photographs.

    Raises:
        UsageError: If it does not; names the purpose.
    """
    from vgbench.errors import UsageError
    from vgbench.models.animation import Animator

    if not isinstance(model, Animator):
        raise UsageError(
            f"{purpose} needs a model that moves through the styles of an image GAN "
            f"(styleinv, stylevideogan); this is a {type(model).__name__}"
        )
    return model


def _offset(model: "Animator", options: dict[str, Any]) -> dict[str, Any]:
    """Returns the offset that the options ask for, as an argument of `animate`; none by default.

    Raises:
        UsageError: If the model knows no offset, or the options contradict each other.
    """
    from vgbench.errors import UsageError
    from vgbench.models.animation import Offset, OffsetAnimator

    spared = {"--rank": options["rank"] is not None, "--per-style": options["per_style"]}
    asked = {"--ref": bool(options["ref"]), **spared, "--naive": options["naive"]}
    given = [name for name, is_given in asked.items() if is_given]
    if not given:
        return {}
    if not isinstance(model, OffsetAnimator):
        raise UsageError(
            f"{', '.join(given)}: for stylevideogan only; a {type(model).__name__} starts from the "
            "photograph itself"
        )
    if options["naive"] and any(spared.values()):
        both = ", ".join(name for name in given if name != "--ref")
        raise UsageError(f"{both}: --naive spares no directions; leave out the rest")
    rank = 0 if options["naive"] else options["rank"]
    return {"offset": Offset(options["ref"] or "mean", rank, options["per_style"])}


def _side_by_side(
    model: "Animator", photo: "NDArray[np.uint8]", styles: list[Any], options: dict[str, Any]
) -> "NDArray[np.uint8]":
    """Returns photograph, inversion and videos as videos of one length."""
    import torch

    from vgbench.nn.noise import seeded_generator
    from vgbench.video import to_model_range, to_uint8

    frames = options["frames"]
    given = to_model_range(torch.from_numpy(photo)[None, None])
    still = given[:, :, 0]
    generators = [seeded_generator(options["seed"], "eval", 0)]
    videos = model.animate(still, frames, generators, styles, **options["offset"])
    first = model.invert(still)[:, :, None]
    stills = [part.expand(-1, -1, frames, -1, -1) for part in (given, first)]
    result: NDArray[np.uint8] = to_uint8(torch.cat([*stills, *videos])).numpy()
    return result
