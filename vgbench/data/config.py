"""Options of the data sets and where prepared caches are found; never imports torch."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vgbench.errors import DataError
from vgbench.types import DatasetConfig

MANIFEST = "vgcache.json"
CACHE_VERSION = 1


@dataclass(frozen=True)
class ProceduralConfig(DatasetConfig):
    """Options that all data sets drawn from a formula have.

    Attributes:
        resolution: Height and width in pixels.
        frames: Frames per video.
        videos: Videos per split.
        fps: Frames per second (playback only: motion is defined per frame).
        seed: Seed of every factor of every video.
    """

    # Longer budgets draw strided clips and are measured on 128 frames.
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {"dataset": {"resolution": 32}},
        "short": {"dataset": {"frames": 128}},
        "paper": {"dataset": {"frames": 128}},
    }

    resolution: int = 64
    frames: int = 32
    videos: int = 10_000
    fps: float = 25.0
    seed: int = 0


@dataclass(frozen=True)
class ShapesConfig(ProceduralConfig):
    """Options of `shapes`, the built-in procedural data set with known ground truth.

    The fields from `correlate` on bias or damage the videos in one known way; metrics are
    validated with them. Their defaults leave the data set as it is defined.

    Attributes:
        periodic: Every moving video loops exactly (True), none does (False), or it is drawn (None).
        correlate: Correlation in [0, 1] between the two factors named next; marginals stay uniform.
        correlate_from: Factor that decides, e.g. `colour`.
        correlate_to: Factor that follows, e.g. `speed`.
        jitter: Standard deviation in pixels of independent noise on the centre in every frame.
        stick: The texture is fixed to the screen instead of the object.
        loop: Time is taken modulo this many frames; 0 leaves it.
        freeze: Every frame shows frame 0.
        drift: Share in [0, 1] of the way to the opposite colour that is gone by the last frame.
        shuffle: The frames of each video are in random order.
        blur: Standard deviation in pixels of a Gaussian blur of every frame.
        drop: Only this many of the five kinds of shape occur; 0 keeps all.
    """

    target: ClassVar[str] = "vgbench.data.synthetic:open_shapes"
    summary: ClassVar[str] = "moving shapes with known factors, drawn on the fly"

    periodic: bool | None = None
    correlate: float = 0.0
    correlate_from: str = "colour"
    correlate_to: str = "speed"
    jitter: float = 0.0
    stick: bool = False
    loop: int = 0
    freeze: bool = False
    drift: float = 0.0
    shuffle: bool = False
    blur: float = 0.0
    drop: int = 0


@dataclass(frozen=True)
class DigitsConfig(ProceduralConfig):
    """Options of `digits`, handwritten digits that bounce; needs scikit-learn (an extra).

    Attributes:
        digits: Digits per video.
    """

    target: ClassVar[str] = "vgbench.data.digits:open_digits"
    summary: ClassVar[str] = "two bouncing handwritten digits, drawn on the fly (extra: digits)"

    digits: int = 2


@dataclass(frozen=True)
class CacheConfig(DatasetConfig):
    """Options of a prepared cache; `cache_config` fills them from its manifest.

    Attributes:
        path: Cache folder.
        resolution: Height and width in pixels.
        frames: Frames of the longest video.
        videos: Number of videos.
        fps: Median frame rate of the videos.
        key: Cache key, 64 hex digits: hash of the sources and of every option that changes pixels.
    """

    target: ClassVar[str] = "vgbench.data.cache:open_cache"
    budget: ClassVar[str] = "paper"
    summary: ClassVar[str] = "videos prepared with `vgbench data prepare`"

    path: str = ""
    resolution: int = 0
    frames: int = 0
    videos: int = 0
    fps: float = 0.0
    key: str = ""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Returns the manifest of the cache in `folder`.

    Raises:
        DataError: If there is none, it is not readable, or another version wrote it.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is not a readable cache ({MANIFEST}: {error})") from error
    if version != CACHE_VERSION:
        raise DataError(
            f"cache {folder} has format version {version}, this vgbench reads {CACHE_VERSION}\n"
            "  prepare it again: vgbench data prepare … --resume"
        )
    return dict(manifest)


def cache_config(folder: Path) -> CacheConfig:
    """Returns the options of the prepared cache in `folder`.

    Raises:
        DataError: As in `read_manifest`.
    """
    manifest = read_manifest(folder)
    shared = {key: manifest[key] for key in ("resolution", "videos", "fps", "key")}
    return CacheConfig(path=str(folder), frames=manifest["longest"], **shared)


def find_prepared(data_dir: Path) -> dict[str, Path]:
    """Returns the caches in `data_dir`, by folder name (`sky_64`), without opening them."""
    manifests = sorted(data_dir.glob(f"*/{MANIFEST}"))
    return {path.parent.name: path.parent for path in manifests if ".tmp-" not in path.parent.name}


def find_cache(name: str, data_dir: Path, command: str) -> Path:
    """Returns the folder of the cache `name`, given as `sky_64`, or as `sky` if there is only one.

    Args:
        name: Name of the data set.
        data_dir: Folder of prepared data sets.
        command: How it is prepared, for the message.

    Raises:
        DataError: If it is not prepared, or prepared at several resolutions and none was named.
    """
    prepared = find_prepared(data_dir)
    if name in prepared:
        return prepared[name]
    sizes = [full for full in prepared if re.fullmatch(re.escape(name) + r"_\d+", full)]
    if len(sizes) == 1:
        return prepared[sizes[0]]
    if sizes:
        options = ", ".join(f"dataset={full}" for full in sorted(sizes))
        raise DataError(f"dataset '{name}' is prepared at several resolutions; choose {options}")
    raise DataError(
        f"dataset '{name}' is not prepared: {data_dir / name} does not exist\n  {command}"
    )
