"""Folders of frames, and single pictures as videos of one frame."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vgbench.data.decode import RefusedError
from vgbench.data.inputs.base import InputVideo, RefusedInput
from vgbench.data.inputs.labels import folder_labels
from vgbench.data.inputs.names import is_image, ordered_frames, shown_name
from vgbench.data.inputs.pictures import MAX_BYTES, Pictures
from vgbench.data.inputs.video_files import file_stamp
from vgbench.data.inputs.walk import LINK_OUT, Found


@dataclass(frozen=True)
class FrameFolder(Pictures):
    """Some files of a folder as the frames of a video.

    Attributes:
        path: The folder.
        files: File names in the order of the frames.
    """

    path: Path = Path()
    files: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.files)

    def stamp(self) -> tuple[int, int]:
        """Returns the bytes of all frames, and a sum that changes with any time of change."""
        # the time of the folder changes when two frames swap their names
        stamps = [file_stamp(self.path / name) for name in self.files]
        times = sum(time for _, time in stamps) + file_stamp(self.path)[1]
        return sum(size for size, _ in stamps), times % 2**63

    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Yields file name and content of each frame in order.

        Raises:
            OSError: If a file cannot be read.
            RefusedError: With reason `too_large`.
        """
        for number, name in enumerate(self.files):
            path = self.path / name
            if path.stat().st_size > MAX_BYTES:
                text = f"{name}: file is larger than {MAX_BYTES >> 20} MiB"
                raise RefusedError("too_large", text, number, self.name)
            yield name, path.read_bytes()


def by_folder(names: Iterable[str]) -> dict[str, list[str]]:
    """Returns the file names of the pictures among some paths, by folder."""
    folders: dict[str, list[str]] = {}
    for name in names:
        if is_image(name):
            folder, _, file = name.rpartition("/")
            folders.setdefault(folder, []).append(file)
    return folders


def not_leaves(folders: Iterable[str]) -> set[str]:
    """Returns the folders among some that hold another one of them, at any depth."""
    holders: set[str] = set()
    for folder in folders:
        parts = folder.split("/") if folder else []
        holders.update("/".join(parts[:depth]) for depth in range(len(parts)))
    return holders & set(folders)


def refused_holder(name: str, count: int) -> RefusedInput:
    """Returns the refusal of a folder whose pictures lie beside folders of pictures."""
    text = f"{count} images lie beside folders of frames; which are the video is unclear"
    return RefusedInput(name, name, reason="mixed_folder", detail=text)


def find_frame_folders(source: Path, found: Sequence[Found]) -> tuple[list[InputVideo], list[str]]:
    """Returns each folder of pictures as a video, and warnings; the leaf folder is the video.

    Args:
        source: Folder.
        found: Its files.

    Raises:
        DataError: If the order of frames is unclear or the labels are damaged.
    """
    refusals = {item.name: item.refusal for item in found if item.refusal}
    folders = by_folder(item.name for item in found)
    labels = folder_labels(source)
    holders, videos, warnings = not_leaves(folders), list[InputVideo](), list[str]()
    for folder, files in folders.items():
        name = shown_name(folder or source.name)
        refusal = next((r for f in files if (r := refusals.get(_join(folder, f)))), "")
        if folder in holders:
            videos.append(refused_holder(name, len(files)))
        elif refusal:
            videos.append(refused_link(name, refusal))
        else:
            ordered, warning = ordered_frames(name, files)
            warnings += [warning] if warning else []
            notes = ("missing_frames",) if warning else ()
            label, path = labels.of(folder), source / folder
            videos.append(FrameFolder(name, name, label, notes, path, tuple(ordered)))
    videos += [refused_link(shown_name(f.name), f.refusal) for f in found if f.folder]
    return videos, warnings


def find_pictures(found: Sequence[Found]) -> list[InputVideo]:
    """Returns each picture as a video of one frame."""
    videos: list[InputVideo] = []
    for item in found:
        name = shown_name(item.name)
        if item.refusal and (item.folder or is_image(item.name)):
            videos.append(refused_link(name, item.refusal))
        elif is_image(item.name):
            files = (item.path.name,)
            videos.append(FrameFolder(name, name, path=item.path.parent, files=files))
    return videos


def refused_link(name: str, refusal: str) -> RefusedInput:
    """Returns the refusal of something that must not be opened."""
    reason = "symlink" if refusal == LINK_OUT else "unreadable"
    detail = refusal if reason == "symlink" else f"not a readable video ({refusal})"
    return RefusedInput(name, name, reason=reason, detail=detail)


def _join(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file
