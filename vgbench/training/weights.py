"""Weights from elsewhere that the losses of a model need: found before anything is trained."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from vgbench.config.schema import RunConfig
from vgbench.errors import WeightsError
from vgbench.models.base import VideoGAN
from vgbench.models.checkpoint import read_checkpoint
from vgbench.models.guided import Guided
from vgbench.weights.store import WeightStore


def weights_folder(config: RunConfig) -> Path | None:
    """Returns the folder of the weights that a run reads; None for the default one."""
    return Path(config.trainer.weights_dir) if config.trainer.weights_dir else None


def needed_weights(config: RunConfig) -> dict[str, dict[str, str]]:
    """Returns the identity of the installed weights that a model needs, by name, as plain values.

    Raises:
        WeightsError: If one is not installed; says how to.
    """
    store = WeightStore(weights_folder(config))
    found = {name: asdict(store.ref(name)) for name in config.model.weights()}
    return {name: {key: ref[key] for key in ("identity", "sha256")} for name, ref in found.items()}


def give_weights(config: RunConfig, model: VideoGAN, checkpoint: Path | None = None) -> None:
    """Gives a model about to be trained the networks that its losses need.

    Args:
        config: Its options.
        model: The model.
        checkpoint: Where it continues, if it does.

    Raises:
        WeightsError: If the weights are damaged, or others than those it was trained with so far.
    """
    needed = needed_weights(config)
    if needed and checkpoint is not None:
        _check_same(checkpoint, needed)
    for name in needed:
        assert isinstance(model, Guided), f"{type(model).__name__} names weights and takes none"
        model.take_weights(name, WeightStore(weights_folder(config)).load(name)[0])


def _check_same(checkpoint: Path, needed: dict[str, dict[str, str]]) -> None:
    before: dict[str, Any] = read_checkpoint(checkpoint)["vgbench"].get("weights", {})
    for name, ref in needed.items():
        sha256 = str(before.get(name, {}).get("sha256"))
        if sha256 != ref["sha256"]:
            raise WeightsError(
                f"the run was trained with other weights '{name}' ({sha256[:8]}) than those that "
                f"are installed ({ref['sha256'][:8]})\n"
                f"  install the former again: vgbench weights import {name} FILE"
            )
