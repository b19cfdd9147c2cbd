"""`data prepare`: decode every video once into shards, all or nothing, and never twice."""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vgbench.data.cache import QUARANTINE
from vgbench.data.decode import Header, RefusedError
from vgbench.data.prepare.journal import JOURNAL, Entry, Journal, StoredVideo
from vgbench.data.prepare.pixels import Piece
from vgbench.data.prepare.plan import Plan, Source
from vgbench.data.prepare.records import log, write_quarantine, write_records, write_sources
from vgbench.data.prepare.shards import FinishedShard, Place, ShardWriter, sync_folder
from vgbench.data.prepare.work import Made, make_pieces
from vgbench.data.prepare.worker import Pool, Task
from vgbench.errors import DataError
from vgbench.locks import exclusive

MAX_BAD = 0.5
MAX_SHARD_BYTES = 2**30
_NOT_DAMAGED = frozenset({"too_short"})
_SCRATCH = "pieces-"
Progress = Callable[[int, RefusedError | None], None]


@dataclass(frozen=True)
class Prepared:
    """What came of a plan.

    Attributes:
        folder: The cache.
        entries: What became of each source video.
    """

    folder: Path
    entries: tuple[Entry, ...]

    @property
    def videos(self) -> list[StoredVideo]:
        """Every video of the cache."""
        return [video for entry in self.entries for video in entry.videos]

    @property
    def refused(self) -> list[RefusedError]:
        """Refused sources, with the reason."""
        return [entry.refusal for entry in self.entries if entry.refusal]

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(video.frames for video in self.videos)

    @property
    def flags(self) -> Counter[str]:
        """How many videos carry each note."""
        return Counter(flag for video in self.videos for flag in video.flags)


@dataclass(frozen=True)
class Tolerance:
    """How many refused files `prepare` accepts.

    Videos that are merely too short are not damage and never count towards `max_bad`.
    Deviates: the specification stops at 10 % of all refusals, which a small folder with a few bad
    files exceeds; more than half damaged is a wrong folder or a broken copy.

    Attributes:
        max_bad: Largest share of damaged files.
        strict: Whether any refused file is an error.
    """

    max_bad: float = MAX_BAD
    strict: bool = False


def prepare(
    plan: Plan,
    tolerance: Tolerance,
    pool: Pool,
    progress: Progress,
    tell: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Writes the cache of `plan` and returns what is in it.

    Everything grows in a temporary folder beside the target, which takes the target's place at
    the very end. If this ends early, for whatever reason, that folder stays, and the same plan
    with `resume` goes on from there; the result has the same bytes.

    Args:
        plan: What to do.
        tolerance: How many refused files are accepted.
        pool: Decodes the files; the result does not depend on the number of workers.
        progress: Called after each video with how many are done and, if it was refused, why.
        tell: Called with messages for people.

    Raises:
        DataError: If too many files were refused, the disk is full, or another process is at it.
    """
    plan.check_space()
    with _write_errors(plan.target), _locked(plan.target, tell):
        folder = _work_folder(plan, tell)
        log(folder, f"{len(plan.sources)} videos, key {plan.key}, {plan.options}", *plan.warnings)
        entries, shards = _fill(folder, plan, pool, progress)
        result = Prepared(plan.target, entries)
        write_quarantine(folder, entries)
        _check_refused(folder, tolerance, result)
        write_records(folder, plan, entries, shards)
        log(folder, f"finished: {len(result.videos)} videos, {result.frames} frames")
        _commit(folder, plan.target)
    return result


@contextmanager
def _locked(target: Path, tell: Callable[[str], None]) -> Iterator[None]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(target, tell, lambda owner: _refuse(target, owner)):
        yield


def _refuse(target: Path, owner: str) -> None:
    raise DataError(
        f"{target} is being prepared by {owner}\n"
        "  wait until it is done, or stop it and continue with --resume"
    )


def _work_folder(plan: Plan, tell: Callable[[str], None]) -> Path:
    """Returns the folder to work in, empty unless earlier work of this plan is continued."""
    folder, resume = plan.work_folder, plan.request.resume
    for other in plan.target.parent.glob(f"{plan.target.name}.tmp-*"):
        if other != folder or not resume:
            why = "for other inputs or options" if resume else "that --resume would continue"
            tell(f"removed {other}: unfinished work {why}")
            shutil.rmtree(other)
    folder.mkdir(exist_ok=True)
    for scratch in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(scratch)
    write_sources(folder, plan)
    return folder


def _fill(
    folder: Path, plan: Plan, pool: Pool, progress: Progress
) -> tuple[tuple[Entry, ...], tuple[FinishedShard, ...]]:
    """Decodes what is not in the journal yet; returns all of it."""
    # the process is in the name: workers of one that was killed may still be writing to theirs
    scratch = folder / f"{_SCRATCH}{os.getpid()}"
    scratch.mkdir()
    shards = ShardWriter(folder, plan.options.resolution, plan.options.codec, MAX_SHARD_BYTES)
    names = [source.video.name for source in plan.sources]
    with closing(Journal(folder, shards, names)) as journal:
        try:
            with closing(_outcomes(plan, len(journal.entries), pool, scratch)) as outcomes:
                for outcome in outcomes:
                    entry = _store(*outcome, shards)
                    journal.append(entry)
                    if entry.refusal:
                        log(folder, str(entry.refusal))
                    progress(len(journal.entries), entry.refusal)
            shards.finish()
        except OSError:
            shards.discard()
            raise
        except KeyboardInterrupt:
            journal.sync()
            raise
        finally:
            shutil.rmtree(scratch)
    return tuple(journal.entries), tuple(shards.finished)


def _outcomes(
    plan: Plan, start: int, pool: Pool, scratch: Path
) -> Generator[tuple[Source, Path, Made | RefusedError], None, None]:
    """Yields every source video from number `start` on, the file with its frames, and its fate."""
    todo = list(zip(plan.sources, plan.headers, strict=True))[start:]
    paths = [scratch / f"{number}" for number in range(len(todo))]
    tasks = (
        Task(_limit_s(header), make_pieces, (source.video, plan.options, path))
        for (source, header), path in zip(todo, paths, strict=True)
        if isinstance(header, Header)
    )
    with closing(pool.ordered(tasks)) as made:
        for (source, header), path in zip(todo, paths, strict=True):
            yield source, path, header if isinstance(header, RefusedError) else next(made)
            path.unlink(missing_ok=True)


def _limit_s(header: Header) -> float:
    return 600.0 + 20 * (header.duration_s or header.estimated_frames() / 25)


def _store(source: Source, path: Path, outcome: Made | RefusedError, shards: ShardWriter) -> Entry:
    name = source.video.name
    if isinstance(outcome, RefusedError):
        return Entry(name, source.bytes, refused=(outcome.reason, outcome.detail, outcome.frames))
    before, begin, videos = len(shards.finished), 0, []
    with path.open("rb") as data:
        for piece in outcome.pieces:
            sizes = outcome.sizes[begin : begin + piece.frames]
            place = shards.append(data, sizes)
            begin += piece.frames
            videos.append(_stored(name, piece, place))
    return Entry(name, source.bytes, tuple(videos), finished=tuple(shards.finished[before:]))


def _stored(source: str, piece: Piece, place: Place) -> StoredVideo:
    return StoredVideo(
        name=piece.name,
        source=source,
        group=piece.group,
        label=piece.label,
        place=place,
        fps=piece.fps,
        flags=piece.flags,
    )


def _check_refused(folder: Path, tolerance: Tolerance, result: Prepared) -> None:
    total, refused, where = len(result.entries), result.refused, folder / QUARANTINE
    damaged = [error for error in refused if error.reason not in _NOT_DAMAGED]
    if not result.videos:
        raise DataError(f"all {total} videos were refused; see {where}")
    if tolerance.strict and refused:
        raise DataError(f"{len(refused)} of {total} videos were refused (--strict); see {where}")
    if len(damaged) > tolerance.max_bad * total:
        raise DataError(
            f"{len(damaged)} of {total} videos are damaged, more than --max-bad "
            f"{tolerance.max_bad:g}; see {where}\n"
            "  use the others: the same command with --resume --max-bad 1"
        )


def _commit(folder: Path, target: Path) -> None:
    """Lets the finished `folder` take the place of `target`."""
    (folder / JOURNAL).unlink()
    sync_folder(folder)
    # a folder cannot replace one that is not empty, so an older cache steps aside first
    old = target.with_name(f"{target.name}.tmp-old")
    if target.exists():
        target.replace(old)
    folder.replace(target)
    sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _write_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        file = f": {error.filename}" if error.filename else ""
        raise DataError(
            f"cannot write {target}: {error.strerror or error}{file}\n"
            "  what is finished is kept; continue: the same command with --resume"
        ) from error
