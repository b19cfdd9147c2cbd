"""Reading checkpoints: what is in the file, and the model it holds."""

import hashlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from vgbench import __version__
from vgbench.errors import CheckpointError
from vgbench.models.base import VideoGAN
from vgbench.registry import MODELS, load_target
from vgbench.types import ModelConfig, VideoSpec, record, unknown_options

# Raised by one whenever an older reader would misunderstand a newer file.
FORMAT = 1


def find_checkpoint(path: Path) -> Path:
    """Returns the checkpoint that `path` means: a file, or the last one of a run folder.

    Raises:
        CheckpointError: If there is none.
    """
    if path.is_dir():
        last = path / "checkpoints" / "last.ckpt"
        if last.is_file():
            return last
        raise CheckpointError(f"{path} holds no checkpoints/last.ckpt; is it a run folder?")
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist; give a .ckpt file or a run folder")
    return path


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Returns the contents of a checkpoint, on the CPU; executes nothing that is in the file.

    Raises:
        CheckpointError: If the file is damaged, not of vgbench, or of a newer format.
    """
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a vgbench checkpoint: it holds objects other than tensors and plain "
            "values, which are never loaded"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is damaged or not a checkpoint ({_first_line(error)})\n"
            "  earlier ones lie beside it: checkpoints/kclip-*.ckpt"
        ) from error
    about = contents.get("vgbench") if isinstance(contents, dict) else None
    if not isinstance(about, dict) or "state_dict" not in contents:
        raise CheckpointError(f"{path} was not written by vgbench: it has no 'vgbench' section")
    if about.get("format", 0) > FORMAT:
        raise CheckpointError(
            f"{path} has format {about['format']}, this vgbench reads up to {FORMAT}; "
            f"it was written by vgbench {about.get('version')}: upgrade to it"
        )
    return dict(contents)


def config_from(about: dict[str, Any]) -> ModelConfig:
    """Returns the model options that the `vgbench` section of a checkpoint records.

    Raises:
        CheckpointError: If this version knows other options.
        UnknownNameError: If the model is not installed.
    """
    schema = MODELS.get(about["model"])
    unknown = unknown_options(schema, about["config"])
    if unknown:
        raise CheckpointError(
            f"the checkpoint has options that '{about['model']}' of vgbench {__version__} does "
            f"not know: {', '.join(unknown)}\n  it was written by vgbench {about.get('version')}"
        )
    config: ModelConfig = record(schema, about["config"])
    return config


def build_model(config: ModelConfig, spec: VideoSpec, seed: int) -> VideoGAN:
    """Returns the untrained model that `config` describes."""
    model: VideoGAN = load_target(config.target)(config, spec, seed)
    return model


def load_model(path: str | Path, device: str = "cpu") -> VideoGAN:
    """Returns the model of a checkpoint or run folder, in eval mode.

    Args:
        path: A `.ckpt` file, or a run folder (its last checkpoint).
        device: Where to put it.

    Raises:
        CheckpointError: If the file is absent, damaged, foreign, of a newer format, or its
            weights do not fit its options.
    """
    file = find_checkpoint(Path(path))
    contents = read_checkpoint(file)
    about = contents["vgbench"]
    model = build_model(config_from(about), VideoSpec(**about["spec"]), about["seed"])
    try:
        model.load_state_dict(contents["state_dict"])
    except RuntimeError as error:
        # The first line only says for which class.
        detail = " ".join(str(error).split("\n\t")[1:2]).strip()[:200]
        raise CheckpointError(f"{file}: its weights do not fit: {detail}") from error
    model.on_load_checkpoint(contents)
    model.provenance = {k: v for k, v in about.items() if k not in ("config", "spec")}
    return model.to(device).eval()


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
