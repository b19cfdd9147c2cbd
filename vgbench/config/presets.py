"""Data sets of the literature: what is known of them and how to prepare an own copy."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# What a preset decides for `data prepare` unless the user says otherwise.
_PREPARE_OPTIONS = ("resolution", "min_frames", "chunk", "stride", "recipe")


@dataclass(frozen=True)
class Preset:
    """One data set of the literature at one size. Nothing is ever downloaded.

    Attributes:
        name: Name of the data set and of its cache folder.
        about: One line.
        home: Where its makers publish it.
        licence: What is known of its licence.
        folder: What a copy is called in examples.
        resolution: Height and width in pixels.
        fps: Frame rate of the frames; a label, nothing is resampled.
        min_frames: Shortest video that is used, after `stride` and `chunk`.
        split: Which part is used for training and for reference statistics.
        mirror: Whether published runs mirror it.
        used_by: Methods that report on it.
        chunk: Frames of the pieces that videos are cut into; 0 leaves them whole.
        stride: Every stride-th frame is kept.
        recipe: Geometry of `data prepare`.
        aliases: Other names.
        notes: What to do first, and what to mind.
    """

    name: str
    about: str
    home: str
    licence: str
    folder: str
    resolution: int
    fps: float
    min_frames: int
    split: str
    mirror: str
    used_by: tuple[str, ...]
    chunk: int = 0
    stride: int = 1
    recipe: str = "default"
    aliases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def prepare_options(self) -> dict[str, Any]:
        """Options of `data prepare` that this data set decides."""
        return {name: getattr(self, name) for name in _PREPARE_OPTIONS}


@cache
def presets() -> Mapping[str, Preset]:
    """Returns all presets by name."""
    text = (files("vgbench.config") / "presets.toml").read_text(encoding="utf-8")
    return {name: _preset(name, values) for name, values in tomllib.loads(text).items()}


def find_preset(name: str) -> Preset | None:
    """Returns the preset of that name or alias, if there is one."""
    return next((p for p in presets().values() if name in (p.name, *p.aliases)), None)


def prepare_command(name: str) -> str:
    """Returns the command that prepares the data set `name`."""
    preset = find_preset(name)
    if preset:
        return f"vgbench data prepare {name} --from /path/to/{preset.folder}"
    stem, _, size = name.rpartition("_")
    if stem and size.isdecimal():
        return f"vgbench data prepare {stem} --from /path/to/{stem} --resolution {size}"
    return f"vgbench data prepare {name} --from /path/to/{name} --resolution 64"


def cache_folder(name: str, resolution: int | None) -> str:
    """Returns the name of the cache folder: a preset's own, else `NAME_R`.

    Args:
        name: Name of the data set.
        resolution: The resolution that the user asked for, None for a preset's own.
    """
    if resolution is None or name.endswith(f"_{resolution}"):
        return name
    return f"{name}_{resolution}"


def _preset(name: str, values: Mapping[str, Any]) -> Preset:
    fixed: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in values.items()
    }
    return Preset(name=name, **fixed)
