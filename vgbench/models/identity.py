"""What a model was trained as: equal for trainings that differ only by seed and machine."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vgbench.models.base import VideoGAN, plain
from vgbench.types import ModelConfig


def changed_options(config: ModelConfig) -> dict[str, Any]:
    """Returns the options that are not the method's defaults, nested ones as `motion.speed`.

    Example:
        >>> from vgbench.models.g3an.config import G3ANConfig
        >>> changed_options(G3ANConfig(channels=8))
        {'channels': 8}
    """
    own, default = _flat(asdict(config)), _flat(asdict(type(config)()))
    return {name: value for name, value in own.items() if default.get(name) != value}


def configuration_sha256(model: VideoGAN) -> str:
    """Returns the hash of all that decides a training but its seed, its length and its machine.

    These are the method and its options, the size and fingerprint of the training videos, the clips
    per step, the stages it started from, and the weights that its losses look through.
    """
    about = model.provenance
    stages: Mapping[str, Mapping[str, Any]] = about.get("stages", {})
    decisive = {
        "model": about.get("model", type(model).__name__),
        "config": plain(asdict(model.config)),
        "spec": asdict(model.spec),
        "dataset_fingerprint": about.get("dataset_fingerprint"),
        "batch_size": about.get("batch_size"),
        "stages": {name: one.get("key", one["sha256"]) for name, one in stages.items()},
        "weights": about.get("weights", {}),
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in options.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: plain(value)}
    return flat
