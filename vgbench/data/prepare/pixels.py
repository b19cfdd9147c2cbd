"""From one input video to the raw frames of its pieces; run in a worker, never imports torch."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray

from vgbench.data.decode import RefusedError
from vgbench.data.geometry import Geometry
from vgbench.data.inputs.base import InputVideo
from vgbench.data.prepare.options import Options
from vgbench.data.timeline import Timing, chunks, resample, scene_cuts, split_at


@dataclass(frozen=True)
class Piece:
    """One video of the cache: a whole source video, or a part of it.

    Attributes:
        name: Name of the source, followed by `#` and a number if it is a part.
        group: Source video that it stems from.
        label: Class, or -1.
        frames: Number of frames.
        fps: Frame rate, after resampling and stride.
        flags: Notes, e.g. `vfr`.
        rotation: Degrees that the file asks for, already applied.
    """

    name: str
    group: str
    label: int
    frames: int
    fps: float
    flags: tuple[str, ...]
    rotation: int


def decode_pieces(video: InputVideo, options: Options, out: Path) -> list[Piece]:
    """Writes the raw frames of all pieces of a video to `out`, one after the other.

    Every frame is decoded once, in order, and written at its final size; what is kept is then
    selected on disk. So memory does not grow with the length of a film.

    Args:
        video: The source.
        options: What the pixels depend on.
        out: Written anew, uint8 (frames, R, R, 3); worthless if this raises.

    Raises:
        RefusedError: If the video is damaged, too short or not supported.
        DataError: If its frames cannot become squares as the options want.
    """
    scratch, side = out.with_suffix(".frames"), options.resolution
    try:
        source = _write_squares(video, options, scratch)
        shown = _shown(source, video.name, options)
        cuts: list[int] = []
        if options.scene_cuts != "off":
            frames = _stored_frames(scratch, side, source)
            cuts = scene_cuts(frames[number] for number in shown)
        parts = _parts(len(shown), cuts, options)
        if not parts:
            raise source.error or _too_short(video.name, len(shown), options)
        kept = np.concatenate([shown[part.start : part.stop] for part in parts])
        _write_kept(scratch, out, side, source, kept)
        return _pieces(video, options, source, parts, cuts)
    finally:
        scratch.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Source:
    """What was read: times, frames on disk, notes, and the error that ended it, if tolerated."""

    timing: Timing
    stored: int
    flags: frozenset[str]
    rotation: int
    error: RefusedError | None


def _write_squares(video: InputVideo, options: Options, scratch: Path) -> _Source:
    geometry = Geometry(
        options.resolution, options.recipe, options.crop, options.resize, options.upscale
    )
    flags: set[str] = set()
    stored, error = 0, None
    with video.open() as reader, scratch.open("wb") as file:
        try:
            for number, frame in enumerate(reader):
                aspect = Fraction(1) if options.ignore_sar else reader.pixel_aspect
                if number == 0:
                    flags |= geometry.check(frame, aspect, video.name)
                if _is_stored(number, stored, options):
                    file.write(geometry.square(frame, aspect).tobytes())
                    stored += 1
        except RefusedError as refusal:
            if refusal.reason != "decode_error" or not (options.keep_partial and stored):
                raise
            error = refusal
            flags.add("partial")
        timing = reader.timing(complete=error is None)
        notes = frozenset({*flags, *reader.flags, *timing.flags})
        return _Source(timing, stored, notes, reader.rotation, error)


def _is_stored(number: int, stored: int, options: Options) -> bool:
    """Returns whether a frame may be kept; with `fps` only the end of the file tells."""
    if options.fps:
        return True
    parts = options.chunk or options.scene_cuts != "off"
    enough = bool(options.max_frames) and not parts and stored >= options.max_frames
    return number % options.stride == 0 and not enough


def _shown(source: _Source, name: str, options: Options) -> Int64[ndarray, "k"]:
    """Returns which of the stored frames follow each other after fps and stride."""
    if not options.fps:
        return np.arange(source.stored)
    timing = source.timing
    if "fps_unknown" in timing.flags:
        text = "frame rate is unknown; --fps needs timestamps"
        raise RefusedError("fps_unknown", text, source.stored, name)
    if options.fps > 1.01 * timing.fps and not options.allow_duplicate:
        text = f"{timing.fps:.1f} fps are fewer than {options.fps:g} (use --allow-duplicate)"
        raise RefusedError("fps_too_low", text, source.stored, name)
    return resample(timing, options.fps)[:: options.stride]


def _least(options: Options) -> int:
    return 1 if options.kind == "images" else options.min_frames


def _parts(count: int, cuts: list[int], options: Options) -> list[range]:
    """Returns the pieces that are long enough, as ranges of the kept frames."""
    parts = split_at(count, cuts) if options.scene_cuts == "split" else [range(count)]
    if options.chunk:
        parts = [piece for part in parts for piece in chunks(part, options.chunk)]
    if options.max_frames:
        parts = [part[: options.max_frames] for part in parts]
    return [part for part in parts if len(part) >= _least(options)]


def _pieces(
    video: InputVideo, options: Options, source: _Source, parts: list[range], cuts: list[int]
) -> list[Piece]:
    cut = bool(options.chunk) or options.scene_cuts == "split"
    fps = (options.fps or source.timing.fps) / options.stride
    pieces = []
    for number, part in enumerate(parts):
        inside = [str(cut - part.start) for cut in cuts if part.start < cut < part.stop]
        notes = {f"scene_cuts={','.join(inside)}"} if inside else set()
        pieces.append(
            Piece(
                name=f"{video.name}#{number:05d}" if cut else video.name,
                group=video.group,
                label=video.label,
                frames=len(part),
                fps=fps,
                flags=tuple(sorted(source.flags | notes)),
                rotation=source.rotation,
            )
        )
    return pieces


def _write_kept(
    scratch: Path, out: Path, side: int, source: _Source, kept: Int64[ndarray, "k"]
) -> None:
    if np.array_equal(kept, np.arange(source.stored)):
        scratch.replace(out)
        return
    frames = _stored_frames(scratch, side, source)
    with out.open("wb") as file:
        for number in kept:
            file.write(frames[number].tobytes())


def _stored_frames(scratch: Path, side: int, source: _Source) -> UInt8[ndarray, "f r r 3"]:
    return np.memmap(scratch, np.uint8, "r", shape=(source.stored, side, side, 3))


def _too_short(name: str, count: int, options: Options) -> RefusedError:
    least = max(_least(options), options.chunk)
    text = f"{count} frames after fps/stride, at least {least} needed"
    return RefusedError("too_short", text, count, name)
