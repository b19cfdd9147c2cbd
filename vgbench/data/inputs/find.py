"""What a source holds: finding out its kind, and its videos in natural order."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from vgbench.data.config import MANIFEST
from vgbench.data.inputs.archives import find_archive_frames
from vgbench.data.inputs.arrays import ARRAY_SUFFIXES, find_rows
from vgbench.data.inputs.base import Inputs, InputVideo
from vgbench.data.inputs.frame_folders import find_frame_folders, find_pictures, refused_link
from vgbench.data.inputs.labels import LABELS
from vgbench.data.inputs.names import is_image, natural_key, shown_name
from vgbench.data.inputs.video_files import VIDEO_SUFFIXES as _FILMS
from vgbench.data.inputs.video_files import VideoFile
from vgbench.data.inputs.walk import Found, walk
from vgbench.errors import DataError, UsageError

KINDS = ("videos", "frames", "zip", "long", "array", "images")


def find_inputs(
    source: Path, *, kind: str | None = None, chunk: int = 0, follow_links: bool = False
) -> Inputs:
    """Returns the videos of a source, in natural order, and why it is read as it is.

    Args:
        source: Folder or file.
        kind: One of `KINDS`; None finds out.
        chunk: Frames of the pieces that long films are cut into; makes video files kind `long`.
        follow_links: Whether links that leave the source are followed.

    Raises:
        DataError: If it does not exist, holds nothing, could be read in two ways, or an archive
            or an array in it is damaged or unsafe.
        UsageError: If `kind` is unknown.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"--kind {kind}: choose from {', '.join(KINDS)}")
    if kind == "long" and not chunk:
        raise UsageError("--kind long needs --chunk N, the frames of each piece")
    if not source.exists():
        raise DataError(f"{source} does not exist")
    if (source / MANIFEST).is_file():
        raise DataError(f"{source} is a prepared cache; give the folder that it was made from")
    found = walk(source, follow_links)
    kind = kind or _detect(source, found)
    videos, data, reason, warnings = _FINDERS[kind](source, found)
    if not videos:
        raise DataError(
            f"no videos or frame folders found in {source} (looked for .mp4 .mov .mkv .webm .avi "
            ".gif and folders of .jpg/.png)"
        )
    videos.sort(key=lambda video: natural_key(video.name))
    _check_names(source, videos)
    kind = "long" if kind == "videos" and chunk else kind
    return Inputs(kind, reason, tuple(videos), len(found) - data, tuple(sorted(warnings)))


def _detect(source: Path, found: Sequence[Found]) -> str:
    """Returns the kind that the suffixes of the files tell."""
    films = sum(_is(item, _FILMS) for item in found)
    images = sum(is_image(item.name) for item in found)
    if films and images:
        raise DataError(
            f"{source} holds both {films} video files and {images} images; "
            "say --kind videos or --kind frames"
        )
    if images:
        in_folders = any(is_image(item.name) and "/" in item.name for item in found)
        return "frames" if in_folders else "images"
    if not films and any(_is(item, (".zip",)) for item in found):
        return "zip"
    return "array" if not films and any(_is(i, ARRAY_SUFFIXES) for i in found) else "videos"


# What a finder returns: videos, how many files they are, why, and warnings.
_Finding = tuple[list[InputVideo], int, str, list[str]]


def _videos(source: Path, found: Sequence[Found]) -> _Finding:
    films = [item for item in found if item.folder or item.path == source or _is(item, _FILMS)]
    return [_film(item) for item in films], len(films), f"found {len(films)} video files", []


def _film(item: Found) -> InputVideo:
    name = shown_name(item.name)
    return (
        refused_link(name, item.refusal) if item.refusal else VideoFile(name, name, path=item.path)
    )


def _frames(source: Path, found: Sequence[Found]) -> _Finding:
    videos, warnings = find_frame_folders(source, found) if source.is_dir() else ([], [])
    data = sum(is_image(item.name) or item.folder or item.name == LABELS for item in found)
    return videos, data, f"found {len(videos)} folders of frames", warnings


def _pictures(source: Path, found: Sequence[Found]) -> _Finding:
    videos = find_pictures(found)
    reason = f"found {len(videos)} single images, each a video of one frame"
    if source.is_dir() and all("/" not in item.name for item in found):
        reason += "; if they are the frames of one video, say --kind frames"
    return videos, len(videos), reason, []


def _archives(source: Path, found: Sequence[Found]) -> _Finding:
    return _of_files(source, found, (".zip",), "archives of frames", find_archive_frames)


def _arrays(source: Path, found: Sequence[Found]) -> _Finding:
    return _of_files(source, found, ARRAY_SUFFIXES, "arrays", find_rows)


def _of_files(
    source: Path,
    found: Sequence[Found],
    suffixes: tuple[str, ...],
    what: str,
    find: Callable[[Path, str], tuple[list[InputVideo], list[str]]],
) -> _Finding:
    """Collects the videos of files that hold several; those of a folder are named after them."""
    videos: list[InputVideo] = []
    warnings: list[str] = []
    files = [item for item in found if item.folder or item.path == source or _is(item, suffixes)]
    for item in files:
        name = shown_name(item.name)
        if item.refusal:
            videos.append(refused_link(name, item.refusal))
            continue
        more, notes = find(item.path, "" if item.path == source else name)
        videos += more
        warnings += notes
    return videos, len(files), f"found {len(files)} {what}", warnings


def _is(item: Found, suffixes: tuple[str, ...]) -> bool:
    return item.path.suffix.lower() in suffixes


def _check_names(source: Path, videos: Sequence[InputVideo]) -> None:
    # composed and decomposed accents are one name
    for before, now in pairwise(videos):
        if before.name == now.name:
            raise DataError(f"{source} holds two videos called {now.name}; rename one")


_FINDERS: dict[str, Callable[[Path, Sequence[Found]], _Finding]] = {
    "videos": _videos,
    "long": _videos,
    "frames": _frames,
    "images": _pictures,
    "zip": _archives,
    "array": _arrays,
}
