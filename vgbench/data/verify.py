"""`data verify`: is a cache what it claims to be, and does its source still give it?"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from vgbench.data.cache import (
    INDEX,
    SPLITS,
    CacheSource,
    JpegShard,
    RawShard,
    Shard,
    damaged,
    read_index,
)
from vgbench.data.config import read_manifest
from vgbench.data.decode import RefusedError
from vgbench.data.inputs.find import find_inputs
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.plan import check_hashes, libraries
from vgbench.data.prepare.work import Made, make_pieces
from vgbench.data.prepare.worker import Pool, Task
from vgbench.errors import DataError

_SHARE = 0.01
_LIMIT_S = 3600.0
_TOLERANCE = 1.0  # mean difference in levels between versions of the decoding libraries
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Verified:
    """What was found right.

    Attributes:
        files: Shards and other files whose hashes were recomputed.
        videos: Videos in the index.
        compared: Source videos that were decoded again.
        difference: Largest mean difference of one of them in levels; 0 is bit for bit.
    """

    files: int
    videos: int
    compared: tuple[str, ...] = ()
    difference: float = 0.0


def verify_cache(
    folder: Path, pool: Pool, progress: Progress, source: Path | None = None, seed: int = 0
) -> Verified:
    """Recomputes every hash and checks the index; with a source, decodes 1 % of it again.

    Args:
        folder: The cache.
        pool: Decodes.
        progress: Called with the stage, how many steps of it are done and their total.
        source: What the cache was prepared from.
        seed: Chooses the source videos.

    Raises:
        DataError: At the first thing that is wrong.
    """
    manifest = read_manifest(folder)
    steps = []

    def hashing(done: int, total: int) -> None:
        steps.append(done)
        progress("hashing", done, total)

    check_hashes(folder, manifest, hashing)
    index = read_index(folder)
    _check_index(folder, manifest, index)
    if source is None:
        return Verified(len(steps), len(index["video_id"]))
    names = _choose(index["source"], seed)
    difference = _compare(folder, manifest, source, names, pool, progress)
    return Verified(len(steps), len(index["video_id"]), tuple(names), difference)


def _check_index(
    folder: Path, manifest: Mapping[str, Any], index: Mapping[str, Shaped[ndarray, "n"]]
) -> None:
    count = manifest["videos"]
    if any(len(column) != count for column in index.values()):
        raise damaged(folder, INDEX, f"not {count} videos")
    if len(set(index["video_id"].tolist())) != count:
        raise damaged(folder, INDEX, "a video occurs twice")
    if not np.isin(index["split"], SPLITS).all():
        raise damaged(folder, INDEX, "unknown split")
    for number, shard in enumerate(manifest["shards"]):
        rows = index["shard"] == number
        begins, lengths = index["offset"][rows], index["n_frames"][rows]
        ends = np.cumsum(lengths)
        if not np.array_equal(begins, ends - lengths) or ends[-1:].tolist() != [shard["frames"]]:
            raise damaged(folder, INDEX, f"shard {number} is not filled without gaps")


def _choose(sources: Shaped[ndarray, "n"], seed: int) -> list[str]:
    names = sorted(set(sources.tolist()))
    order = np.random.Generator(np.random.Philox(seed)).permutation(len(names))
    return [names[i] for i in order[: max(1, round(_SHARE * len(names)))]]


def _compare(
    folder: Path,
    manifest: Mapping[str, Any],
    source: Path,
    names: list[str],
    pool: Pool,
    progress: Progress,
) -> float:
    options = Options(**manifest["options"])
    found = find_inputs(source, kind=options.kind, chunk=options.chunk, follow_links=True)
    inputs = {video.name: video for video in found.videos}
    missing = [name for name in names if name not in inputs]
    if missing:
        raise DataError(f"{source} has no video '{missing[0]}', which cache {folder} was made from")
    cache, largest = CacheSource(folder, split=None), 0.0
    allowed = 0.0 if libraries() == manifest["libraries"] else _TOLERANCE
    with tempfile.TemporaryDirectory() as scratch:
        paths = [Path(scratch) / str(number) for number in range(len(names))]
        tasks = (
            Task(_LIMIT_S, make_pieces, (inputs[name], options, path))
            for name, path in zip(names, paths, strict=True)
        )
        results = pool.ordered(tasks)
        for number, (name, path, made) in enumerate(zip(names, paths, results, strict=True)):
            difference = _difference(cache, name, made, path, options)
            if difference > allowed:
                raise DataError(
                    f"cache {folder} differs from {source}: '{name}' by {difference:.3f} levels "
                    f"on average, {allowed:g} allowed"
                )
            largest = max(largest, difference)
            path.unlink()
            progress("comparing", number + 1, len(names))
    return largest


def _difference(
    cache: CacheSource, name: str, made: Made | RefusedError, path: Path, options: Options
) -> float:
    """Returns the mean difference in levels; infinite if the frames are not the same ones."""
    stored = [i for i in range(len(cache)) if cache.source_of(i) == name]
    lengths = [cache.meta(i).n_frames for i in stored]
    if isinstance(made, RefusedError) or lengths != [piece.frames for piece in made.pieces]:
        return float("inf")
    decoded, total, begin = _decoded(path, made, options), 0.0, 0
    for i, length in zip(stored, lengths, strict=True):
        ours = cache.read(i, np.arange(length)).astype(np.int16)
        total += float(np.abs(ours - decoded.read(np.arange(begin, begin + length))).sum())
        begin += length
    return total / (begin * 3 * options.resolution**2)


def _decoded(path: Path, made: Made, options: Options) -> Shard:
    if options.codec == "raw":
        shape = (len(made.sizes), options.resolution, options.resolution, 3)
        return RawShard(np.memmap(path, np.uint8, mode="r", shape=shape))
    return JpegShard(path, np.concatenate([[0], np.cumsum(made.sizes)]).astype(np.uint64))
