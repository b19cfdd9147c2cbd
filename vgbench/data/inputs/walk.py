"""Walking a source folder: debris, links out of it, loops, and things that are no files."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vgbench.data.inputs.names import is_debris

LINK_OUT = "symbolic link points outside the source folder (use --follow-links)"


@dataclass(frozen=True)
class Found:
    """A file of the source.

    Attributes:
        path: Where it is.
        name: POSIX path relative to the source.
        refusal: Why it is not opened, empty if it may be.
        folder: Whether it is a link to a folder, which is never opened.
    """

    path: Path
    name: str
    refusal: str = ""
    folder: bool = False


def walk(source: Path, follow_links: bool) -> list[Found]:
    """Returns all files below `source`, or `source` itself; skips dot-files and archive debris.

    Links to files inside the source are files. Links to folders inside it are skipped, for the
    folder itself is walked. Links that leave the source are refused unless they are followed;
    each folder is entered once, by device and inode.

    Args:
        source: Folder or file.
        follow_links: Whether links that leave the source are followed.
    """
    if source.is_dir():
        return list(_Walk(source, follow_links).files())
    return [Found(source, source.name, _refusal(source))]


class _Walk:
    def __init__(self, source: Path, follow_links: bool) -> None:
        self._root = source.resolve()
        self._follow_links = follow_links
        self._pending = [(source, "")]
        self._entered = set[tuple[int, int]]()

    def files(self) -> Iterator[Found]:
        while self._pending:
            folder, prefix = self._pending.pop()
            try:
                yield from self._entries(folder, prefix)
            except OSError as error:
                refusal = error.strerror or "not readable"
                yield Found(folder, prefix.removesuffix("/") or folder.name, refusal, folder=True)

    def _entries(self, folder: Path, prefix: str) -> Iterator[Found]:
        identity = _identity(folder)
        if identity in self._entered:
            return
        self._entered.add(identity)
        for path in sorted(folder.iterdir()):
            name = prefix + path.name
            if is_debris(path.name):
                continue
            if path.is_symlink():
                yield from self._link(path, name)
            elif path.is_dir():
                self._pending.append((path, f"{name}/"))
            else:
                yield Found(path, name, _refusal(path))

    def _link(self, path: Path, name: str) -> Iterator[Found]:
        try:
            inside = path.resolve(strict=True).is_relative_to(self._root)
        except (OSError, RuntimeError):  # its target is missing, or it leads to itself
            inside = Path(os.path.realpath(path)).is_relative_to(self._root)
            yield Found(path, name, "broken symbolic link" if inside else LINK_OUT)
            return
        is_folder = path.is_dir()
        if not inside and not self._follow_links:
            yield Found(path, name, LINK_OUT, is_folder)
        elif not is_folder:
            yield Found(path, name, _refusal(path))
        elif not inside:
            self._pending.append((path, f"{name}/"))


def _refusal(path: Path) -> str:
    # opening a pipe would wait for ever
    return "" if path.is_file() else "not a regular file"


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
