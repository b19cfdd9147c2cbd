"""Features on disk, found by what decides them: the clips, the network and its arithmetic.

The features of a set of clips lie in one folder as shards of a few dozen clips. A shard appears
whole or not at all, and a damaged one counts as missing, so an evaluation that was interrupted
computes only what is not there yet.
"""

import hashlib
import json
import logging
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
from jaxtyping import Float32, Int64

# Raised whenever a shard is written in another way.
_FORMAT = 1
# Clips per shard: at 3 s per clip of 128 frames, an interruption costs three minutes.
SHARD_ITEMS = 64
_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureShard:
    """The features of consecutive items of a set.

    Attributes:
        rows: One feature vector per sample.
        counts: Samples of each item: 1, or the frames of a video where every frame is one.
        resolution: Rows and columns of the clips.
        is_last: Whether the set ended with the last item.
    """

    rows: Float32[np.ndarray, "_n _dim"]
    counts: Int64[np.ndarray, "_items"]
    resolution: tuple[int, int]
    is_last: bool

    def first(self, items: int) -> "FeatureShard":
        """Returns the shard of the first `items` items."""
        if items >= len(self.counts):
            return self
        counts = self.counts[:items]
        return FeatureShard(self.rows[: counts.sum()], counts, self.resolution, is_last=False)


class CachedSet:
    """The shards of one set of clips under one extractor.

    Args:
        folder: Where they lie; made when the first one is stored.
        key: What decides the features; written beside them for people.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self._key = key

    def load(self, first: int, items: int) -> FeatureShard | None:
        """Returns the shard that begins with item `first`, or None if it has to be computed.

        Args:
            first: Number of its first item.
            items: Items wanted; fewer only if the set ends before.
        """
        path = self._path(first)
        if not path.is_file():
            return None
        try:
            shard = _read(path)
        except _DAMAGED as error:
            _log.warning("%s is damaged (%s); computing its features again", path, error)
            return None
        if len(shard.counts) < items and not shard.is_last:
            return None
        return shard.first(items)

    def store(self, first: int, shard: FeatureShard) -> None:
        """Writes the shard that begins with item `first`.

        A full or read-only disk is one warning: the evaluation goes on without. Features that are
        not finite are the evaluator's to refuse.
        """
        if not np.isfinite(shard.rows).all():
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            description = self._folder / "key.json"
            if not description.is_file():
                _write(description, self._key.encode())
            _write(self._path(first), shard)
        except OSError as error:
            _log.warning("features are not kept: %s", error)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:08d}.npz"


class FeatureCache:
    """A folder of features.

    Args:
        folder: Where they lie; made when needed. Anything in it may be deleted at any time.
        shard_items: Clips per shard. An interruption loses at most that many.
    """

    def __init__(self, folder: Path, shard_items: int = SHARD_ITEMS) -> None:
        self._folder = folder
        self.shard_items = shard_items

    def find(self, key: Mapping[str, object]) -> CachedSet:
        """Returns the place of the features that `key` decides.

        Args:
            key: Everything that changes a feature, as plain values.
        """
        text = json.dumps({"format": _FORMAT, **key}, sort_keys=True, indent=1)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return CachedSet(self._folder / digest[:2] / digest, text)


def _read(path: Path) -> FeatureShard:
    """Returns a shard; the archive's own checksums tell a damaged one."""
    with np.load(path, allow_pickle=False) as arrays:
        rows, counts, about = (arrays[name] for name in ("rows", "counts", "about"))
    if rows.dtype != np.float32 or len(rows) != counts.sum() or not np.isfinite(rows).all():
        raise ValueError("its arrays do not fit together")
    height, width, is_last = about.tolist()
    return FeatureShard(rows, counts, (height, width), bool(is_last))


def _write(path: Path, content: FeatureShard | bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            if isinstance(content, bytes):
                file.write(content)
            else:
                about = np.array([*content.resolution, content.is_last], np.int64)
                np.savez(file, rows=content.rows, counts=content.counts, about=about)
            file.close()
            os.replace(file.name, path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
