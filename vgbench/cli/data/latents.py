"""`vgbench data latents`: encode the frames of a data set before a run needs them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vgbench.cli import common
from vgbench.cli.data.bar import Bar, data_dir_option

if TYPE_CHECKING:
    from vgbench.config.schema import RunConfig
    from vgbench.data.clips import ClipDataset
    from vgbench.nn.encoder.frame_encoder import FrameEncoder
    from vgbench.types import VideoSpec


@click.command()
@click.argument("dataset")
@click.argument("overrides", nargs=-1, metavar="[key=value ...]")
@click.option(
    "--ckpt",
    type=click.Path(path_type=Path),
    required=True,
    help="Encoder: artefact, run folder or checkpoint of an inversion, or of a stylevideogan.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@data_dir_option
def latents(
    dataset: str, overrides: tuple[str, ...], ckpt: Path, device: str, data_dir: str | None
) -> None:
    """Encode the frames of DATASET into W+ for runs of stylevideogan, which else do so themselves.

    Which videos are used is what a run with the same words would use. Latents are kept beside the
    artefacts under a hash of data, videos, encoder and image GAN; if they are there, nothing is
    done. After an interruption the same command goes on.

    \b
    Examples:
      vgbench data latents shapes --ckpt runs/inversion-shapes-20260101-1a2b
      vgbench data latents mine_256 --ckpt psp model.videos=500
    """
    from vgbench.data.clips import ClipDataset
    from vgbench.data.sources import open_dataset
    from vgbench.metrics.evaluator import find_device

    config = _config(dataset, overrides, data_dir)
    source = open_dataset(config.dataset, "train")
    encoder, spec = _read_encoder(ckpt, str(find_device(device)))
    _check_size(ckpt, spec.height, dataset, source.meta(0))
    clips = ClipDataset(source, _request(config), config.seed)
    _tell(*_kept(config, clips, encoder))


def _config(dataset: str, overrides: tuple[str, ...], data_dir: str | None) -> "RunConfig":
    from vgbench.config.compose import compose

    words = ["model=stylevideogan", f"dataset={dataset}", *overrides]
    return compose(words, common.data_dir(data_dir))


def _request(config: "RunConfig") -> Any:
    from vgbench.models.stylevideogan.config import StyleVideoGANConfig

    assert isinstance(config.model, StyleVideoGANConfig)
    return config.model.clips


def _read_encoder(ckpt: Path, device: str) -> tuple["FrameEncoder", "VideoSpec"]:
    """Returns what encodes frames into W+, in eval mode, and the videos that it is made for.

    Raises:
        CheckpointError: If it cannot be read, or encodes no frames into W+.
    """
    from vgbench.models.checkpoint import load_model
    from vgbench.training.artefacts import ABOUT

    if (ckpt / ABOUT).is_file():
        return _encoder_of_artefact(ckpt, device)
    model = load_model(ckpt, device)
    own, name = model.frame_encoder, str(model.provenance.get("model"))
    return _checked(ckpt, name, model.generator if own is None else own), model.spec


def _encoder_of_artefact(ckpt: Path, device: str) -> tuple["FrameEncoder", "VideoSpec"]:
    from vgbench.models.checkpoint import build_model, config_from
    from vgbench.models.image_stage import load_part
    from vgbench.nn.encoder.latent_space import LatentSpace
    from vgbench.training.artefacts import Artefact
    from vgbench.types import VideoSpec

    artefact = Artefact.read(ckpt)
    artefact.check()
    spec = VideoSpec(**artefact.about["spec"])
    model = build_model(config_from(artefact.about), spec, seed=0).eval()
    space = _checked(ckpt, str(artefact.about["model"]), model.generator)
    assert isinstance(space, LatentSpace)  # no other stage exports an encoder
    weights = artefact.load()
    load_part(space.generator, weights, "image")
    load_part(space.encoder, weights, "encoder")
    return space.to(device), spec


def _checked(ckpt: Path, model: str, encoder: Any) -> "FrameEncoder":
    from vgbench.errors import CheckpointError
    from vgbench.nn.encoder.frame_encoder import FrameEncoder
    from vgbench.nn.encoder.inversion import WEncoder
    from vgbench.nn.encoder.latent_space import LatentSpace

    if not isinstance(encoder, FrameEncoder):
        raise CheckpointError(
            f"{ckpt} holds '{model}', which encodes no frames; expected an 'inversion' into W+\n"
            "  its artefact, its run folder or a checkpoint      (vgbench ls artefacts)"
        )
    if isinstance(encoder, LatentSpace) and isinstance(encoder.encoder, WEncoder):
        raise CheckpointError(
            f"{ckpt} encodes into W, one style per frame; the latents to train on are of W+\n"
            "  vgbench run model=inversion model.encoder.latent_space=wplus dataset=..."
        )
    return encoder


def _check_size(ckpt: Path, side: int, dataset: str, meta: Any) -> None:
    from vgbench.errors import CheckpointError

    if (meta.height, meta.width) != (side, side):
        raise CheckpointError(
            f"{ckpt} encodes frames of {side}x{side}, those of '{dataset}' are of "
            f"{meta.height}x{meta.width}\n  give an encoder of that size, or prepare the data "
            f"anew: vgbench data prepare NAME --from SRC --resolution {side}"
        )


def _kept(
    config: "RunConfig", clips: "ClipDataset", encoder: "FrameEncoder"
) -> tuple[str, dict[str, Any]]:
    """Returns whether the latents were made or there already, and what they are."""
    from vgbench.errors import InterruptedRunError
    from vgbench.training.latents import LatentCache, latent_origin

    cache = LatentCache(common.artefacts_dir(), config.dataset_name, common.console().print)
    origin = latent_origin(clips, encoder)
    folder = cache.folder(origin)
    state = "up to date" if folder.exists() else "encoded"
    try:
        with Bar() as bar:
            frames = cache.open(clips, encoder, lambda *at: bar.update("encoding", *at)).all
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted; what is encoded is kept\n  continue: the same command"
        ) from None
    return state, {
        "folder": str(folder),
        "videos": len(clips),
        "frames": len(frames),
        "num_ws": frames.shape[1],
        "w_dim": frames.shape[2],
        "bytes": frames.nbytes,
        "origin": origin,
    }


def _tell(state: str, found: dict[str, Any]) -> None:
    from vgbench.data.prepare.plan import size_text

    common.console().print(
        f"{state}: {found['frames']} frames of {found['videos']} videos, {found['num_ws']} x "
        f"{found['w_dim']} numbers each, {size_text(found['bytes'])} -> {found['folder']}",
        markup=False,
    )
    if common.option("as_json"):
        common.emit_json({"state": state, **found})
