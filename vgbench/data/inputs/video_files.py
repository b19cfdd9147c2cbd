"""Video files as inputs: one file is one video."""

from dataclasses import dataclass
from pathlib import Path

from vgbench.data.decode import RefusedError, VideoReader
from vgbench.data.hashing import hash_file
from vgbench.data.inputs.base import FrameReader, InputVideo

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif"),
    *(".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv"),
)


@dataclass(frozen=True)
class VideoFile(InputVideo):
    """A video file.

    Attributes:
        path: Where it is.
    """

    path: Path = Path()

    def stamp(self) -> tuple[int, int]:
        """Returns its size and the time of its last change; -1 bytes if it is not readable."""
        return file_stamp(self.path)

    def content(self) -> str:
        """Returns the blake2b-256 of the file.

        Raises:
            RefusedError: With reason `unreadable`.
        """
        try:
            return hash_file(self.path)
        except OSError as error:
            text = f"not a readable video ({error.strerror})"
            raise RefusedError("unreadable", text, path=self.name) from error

    def open(self) -> FrameReader:
        """Returns its frames.

        Raises:
            RefusedError: As `VideoReader`.
        """
        return VideoReader(self.path, self.name)


def file_stamp(path: Path) -> tuple[int, int]:
    """Returns the size of a file and the time of its last change in ns; (-1, 0) if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns
