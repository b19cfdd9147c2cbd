"""The files of a cache besides its shards: index, manifest, quarantine, log."""

import csv
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from vgbench.data.cache import INDEX, QUARANTINE, SPLITS
from vgbench.data.config import CACHE_VERSION, MANIFEST
from vgbench.data.prepare.journal import Entry, StoredVideo
from vgbench.data.prepare.plan import SOURCES, Plan, libraries
from vgbench.data.prepare.shards import FinishedShard, finished_file, sync
from vgbench.data.prepare.split import parse_split, split_of

LOG = "prepare.log"


def write_records(
    folder: Path, plan: Plan, entries: Sequence[Entry], shards: Sequence[FinishedShard]
) -> None:
    """Writes the index and the manifest of a finished cache.

    Args:
        folder: Where the shards are.
        plan: What was to be done.
        entries: What became of each source video.
        shards: All shards.
    """
    videos = [video for entry in entries for video in entry.videos]
    shares = parse_split(plan.request.split)
    splits = [split_of(video.group, shares) for video in videos]
    columns: dict[str, Iterable[Any]] = {
        "video_id": (video.name for video in videos),
        "source": (video.source for video in videos),
        "group": (video.group for video in videos),
        "split": splits,
        "label": (video.label for video in videos),
        "shard": (video.place.shard for video in videos),
        "offset": (video.place.begin for video in videos),
        "n_frames": (video.frames for video in videos),
        "fps": (video.fps for video in videos),
        "flags": (";".join(video.flags) for video in videos),
    }
    with (folder / INDEX).open("wb") as file:
        arrays: dict[str, Any] = {name: np.array(list(c)) for name, c in columns.items()}
        np.savez(file, **arrays)
        sync(file)
    manifest = _manifest(plan, entries, shards, splits)
    manifest["files"] = {INDEX: asdict(finished_file(folder / INDEX))}
    _write_json(folder / MANIFEST, manifest)


def write_quarantine(folder: Path, entries: Sequence[Entry]) -> None:
    """Writes which sources were refused, and why."""
    with (folder / QUARANTINE).open(
        "w", encoding="utf-8", errors="backslashreplace", newline=""
    ) as file:
        writer = csv.writer(file)
        writer.writerow(["path", "reason", "detail", "frames_decoded", "bytes"])
        for entry in entries:
            if entry.refused:
                reason, detail, frames = entry.refused
                writer.writerow([entry.source, reason, detail, frames, entry.bytes])


def write_sources(folder: Path, plan: Plan) -> None:
    """Writes the content hashes, which spare hashing unchanged files again."""
    rows = [[s.video.name, s.bytes, s.mtime_ns, s.content] for s in plan.sources]
    _write_json(folder / SOURCES, rows)


def log(folder: Path, *lines: str) -> None:
    """Adds lines with the time to the log."""
    with (folder / LOG).open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n" for line in lines)


def _manifest(
    plan: Plan, entries: Sequence[Entry], shards: Sequence[FinishedShard], splits: list[str]
) -> dict[str, Any]:
    videos = [video for entry in entries for video in entry.videos]
    return {
        "version": CACHE_VERSION,
        "name": plan.request.name,
        "key": plan.key,
        "resolution": plan.options.resolution,
        "videos": len(videos),
        "frames": sum(video.frames for video in videos),
        "longest": max(video.frames for video in videos),
        "fps": median(video.fps for video in videos),
        "sources": len(entries),
        "refused": sum(entry.refused is not None for entry in entries),
        "ignored": plan.ignored,
        "split": plan.request.split,
        "splits": _split_counts(videos, splits),
        "options": asdict(plan.options),
        "libraries": libraries(),
        "shards": [asdict(shard) for shard in shards],
        "notes": {video.name: list(video.flags) for video in videos if video.flags},
        "licence": plan.request.licence,
    }


def _split_counts(videos: Sequence[StoredVideo], splits: list[str]) -> dict[str, dict[str, int]]:
    counts = {}
    for name in SPLITS:
        frames = [v.frames for v, split in zip(videos, splits, strict=True) if split == name]
        if frames:
            counts[name] = {"videos": len(frames), "frames": sum(frames)}
    return counts


def _write_json(path: Path, content: Any) -> None:
    with path.open("wb") as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")
        sync(file)
