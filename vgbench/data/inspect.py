"""`data inspect`: what videos claim, and what decoding shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vgbench.data.decode import Header, RefusedError, VideoReader
from vgbench.data.inputs.base import FrameReader, InputVideo
from vgbench.data.inputs.find import find_inputs
from vgbench.data.prepare.worker import Worker
from vgbench.data.timeline import Timing

_LIMIT_S, _FULL_LIMIT_S = 600.0, 3600.0
_LEAST, _MOST = 16, 300  # frames that are decoded at either end: its group of pictures


@dataclass(frozen=True)
class FileReport:
    """What is known of one video.

    Attributes:
        path: Its name, relative to what was inspected.
        header: What the container claims, None if it cannot be opened.
        frames: Frames that were decoded from the beginning on.
        complete: Whether that is the whole video.
        fps: Measured frame rate, None if it could not be measured.
        rotation: Degrees the file asks for.
        flags: Notes, e.g. `vfr`.
        reason: Why `prepare` refuses it, empty if it does not.
        detail: The same in a few words.
    """

    path: str
    header: Header | None
    frames: int = 0
    complete: bool = False
    fps: float | None = None
    rotation: int = 0
    flags: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def inspect_files(root: Path, full: bool = False, kind: str | None = None) -> Iterator[FileReport]:
    """Yields a report per video in `root`, in natural order.

    Args:
        root: Folder or file of any kind that `find_inputs` reads.
        full: Decode every frame instead of the first and the last group of pictures; only then
            is damage in between seen.
        kind: How to read it; None finds out.

    Raises:
        DataError: As `find_inputs`.
    """
    videos = find_inputs(root, kind=kind).videos
    with Worker() as worker:
        for video in videos:
            try:
                yield worker.call(_FULL_LIMIT_S if full else _LIMIT_S, inspect_video, video, full)
            except RefusedError as error:  # it hangs or crashes the decoder
                yield FileReport(video.name, None, reason=error.reason, detail=error.detail)


def inspect_video(video: InputVideo, full: bool) -> FileReport:
    """Returns the report on one video; run in the worker."""
    try:
        reader = video.open()
    except RefusedError as error:
        return FileReport(video.name, None, reason=error.reason, detail=error.detail)
    with reader:
        try:
            frames, complete = _read_beginning(reader, full)
            timing = reader.timing(complete=complete)
            if not complete and isinstance(reader, VideoReader):
                _check_end(reader)
        except RefusedError as error:
            return _report(video, reader, error.frames, reason=error.reason, detail=error.detail)
    return _report(video, reader, frames, complete, timing)


def _read_beginning(reader: FrameReader, full: bool) -> tuple[int, bool]:
    """Returns the number of frames read, and whether they are all."""
    frames = 0
    for _ in reader:
        frames += 1
        next_group = getattr(reader, "key_frames", 2) > 1
        if not full and frames >= (_LEAST if next_group else _MOST):
            return frames, False
    return frames, True


def _check_end(reader: VideoReader) -> None:
    """Decodes the last group of pictures.

    Raises:
        RefusedError: If it is damaged, or the file ends before it should.
    """
    if reader.header.duration_s is None:
        return
    reader.seek(reader.header.duration_s)
    for number, _ in enumerate(reader):
        if number == _MOST:
            return
    reader.timing()


def _report(
    video: InputVideo,
    reader: FrameReader,
    frames: int,
    complete: bool = False,
    timing: Timing | None = None,
    reason: str = "",
    detail: str = "",
) -> FileReport:
    return FileReport(
        path=video.name,
        header=reader.header,
        frames=frames,
        complete=complete,
        fps=timing.fps if timing and "fps_unknown" not in timing.flags else None,
        rotation=reader.rotation,
        flags=tuple(sorted(reader.flags)),
        reason=reason,
        detail=detail,
    )
