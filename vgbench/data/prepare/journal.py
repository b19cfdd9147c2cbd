"""What is done already, so that an interrupted `data prepare` can go on.

`journal.jsonl` has one line per source video, in order. A line is written after the frames it
speaks of are safely on disk; whatever follows the last line is cut off when work goes on. So the
result has the same bytes, however often the work was interrupted.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vgbench.data.decode import RefusedError
from vgbench.data.prepare.shards import FinishedFile, FinishedShard, Place, ShardWriter, sync

JOURNAL = "journal.jsonl"
SYNC_S = 1.0


@dataclass(frozen=True)
class StoredVideo:
    """One video of the cache: a source video, or a piece of one.

    Attributes:
        name: Unique; the path of the source, with a suffix for pieces.
        source: POSIX path relative to the source folder.
        group: Source video it stems from; a split never divides a group.
        label: Class, or -1.
        place: Where its frames are.
        fps: Frame rate of the frames.
        flags: Notes, e.g. `vfr`.
    """

    name: str
    source: str
    group: str
    label: int
    place: Place
    fps: float
    flags: tuple[str, ...]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.place.end - self.place.begin


@dataclass(frozen=True)
class Entry:
    """What became of one source video.

    Attributes:
        source: POSIX path relative to the source folder.
        bytes: Size of the source.
        videos: What it gave; nothing if it was refused.
        refused: Reason, detail and decoded frames if it was refused.
        finished: Shards that were finished on the way.
    """

    source: str
    bytes: int
    videos: tuple[StoredVideo, ...] = ()
    refused: tuple[str, str, int] | None = None
    finished: tuple[FinishedShard, ...] = ()

    @property
    def refusal(self) -> RefusedError | None:
        """Why it was refused, None if it was not."""
        return RefusedError(*self.refused, self.source) if self.refused else None


class Journal:
    """Appends entries; they reach the disk together, at most once per second.

    Args:
        folder: Where the shards are written.
        shards: Their writer.
        sources: Names of all source videos in order.

    Attributes:
        entries: Every entry, from an earlier start, too.
    """

    def __init__(self, folder: Path, shards: ShardWriter, sources: Sequence[str]) -> None:
        self._shards = shards
        self._file = (folder / JOURNAL).open("a+b")
        self.entries = self._restore(sources)
        self._pending: list[Entry] = []
        self._synced = time.monotonic()

    def append(self, entry: Entry) -> None:
        """Adds an entry, and syncs if a second has passed since it last did."""
        self.entries.append(entry)
        self._pending.append(entry)
        if time.monotonic() - self._synced > SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Puts the frames on disk, then the lines that speak of them."""
        self._shards.sync()
        lines = "".join(json.dumps(asdict(entry)) + "\n" for entry in self._pending)
        self._pending = []  # before writing: an interrupted sync must not write them twice
        self._file.write(lines.encode())
        sync(self._file)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Closes the file; what was not synced is lost."""
        self._file.close()

    def _restore(self, sources: Sequence[str]) -> list[Entry]:
        """Returns the entries whose frames are on disk; cuts the journal and the shards there."""
        entries: list[Entry] = []
        size = 0
        self._file.seek(0)
        for line, source in zip(self._file, sources, strict=False):
            entry = _parse(line)
            if entry is None or entry.source != source:
                break
            if not all(self._shards.holds(video.place) for video in entry.videos):
                break
            entries.append(entry)
            size += len(line)
        self._file.truncate(size)
        self._shards.resume(
            [shard for entry in entries for shard in entry.finished],
            [video.place for entry in entries for video in entry.videos],
        )
        return entries


def _parse(line: bytes) -> Entry | None:
    """Returns the entry of a line, None if a crash has cut it."""
    try:
        return _entry(json.loads(line)) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _entry(row: dict[str, Any]) -> Entry:
    videos = tuple(
        StoredVideo(**video | {"place": Place(**video["place"]), "flags": tuple(video["flags"])})
        for video in row["videos"]
    )
    return Entry(
        source=row["source"],
        bytes=row["bytes"],
        videos=videos,
        refused=tuple(row["refused"]) if row["refused"] else None,
        finished=tuple(finished_shard(shard) for shard in row["finished"]),
    )


def finished_shard(row: dict[str, Any]) -> FinishedShard:
    """Returns the shard that a manifest or a journal describes."""
    files = {name: FinishedFile(**file) for name, file in row["files"].items()}
    return FinishedShard(row["frames"], files)
