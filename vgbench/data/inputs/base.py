"""The one interface of everything that can be prepared: a video that is opened frame by frame."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from numpy import ndarray

from vgbench.data.decode import Header, RefusedError
from vgbench.data.hashing import hash_lines
from vgbench.data.timeline import Timing


@runtime_checkable
class FrameReader(AbstractContextManager["FrameReader"], Protocol):
    """The frames of one video in presentation order, upright, as uint8 RGB.

    Attributes:
        header: What the container claims.
        rotation: Degrees the file asks for; frames are already turned.
        flags: Notes that grow while frames are read, e.g. `alpha`.
    """

    header: Header
    rotation: int
    flags: set[str]

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of an upright pixel over its height; ask after the first frame."""
        ...

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]: ...

    def timing(self, complete: bool = True) -> Timing:
        """Returns the measured times of the frames that were read.

        Args:
            complete: Whether all were read, so that the end is compared with the header.
        """
        ...


@dataclass(frozen=True)
class InputVideo(ABC):
    """One video of a source. Small and picklable: opened in the process that decodes it.

    Attributes:
        name: POSIX path relative to the source, with its suffix; unique.
        group: Source video it stems from; a split never divides a group.
        label: Class, or -1.
    """

    name: str
    group: str
    label: int = -1

    @abstractmethod
    def stamp(self) -> tuple[int, int]:
        """Returns (bytes, time of the last change in ns), to spare hashing it again."""

    @abstractmethod
    def content(self) -> str:
        """Returns the blake2b-256 of the content in hex; equal for a folder and a zip of it.

        Raises:
            RefusedError: If it cannot be read.
        """

    @abstractmethod
    def open(self) -> FrameReader:
        """Returns its frames; raises `RefusedError` where it cannot be read."""


@dataclass(frozen=True)
class RefusedInput(InputVideo):
    """Something that was found where a video should be, and is never opened.

    Attributes:
        reason: As in `RefusedError`.
        detail: As in `RefusedError`.
    """

    reason: str = ""
    detail: str = ""

    def stamp(self) -> tuple[int, int]:
        """Returns zeros: nothing of it is read."""
        return 0, 0

    def content(self) -> str:
        """Returns the hash of the refusal."""
        return hash_lines([self.reason, self.detail])

    def open(self) -> FrameReader:
        """Raises `RefusedError` always."""
        raise RefusedError(self.reason, self.detail, path=self.name)


@dataclass(frozen=True)
class Inputs:
    """What was found in a source.

    Attributes:
        kind: How the source is read.
        reason: Why, in a few words for the user, e.g. `found 23 video files`.
        videos: In natural order of their names.
        ignored: Files that are no data.
        warnings: Lines for the user about accepted videos, e.g. `a: numbering jumps from 3 to 7`.
    """

    kind: str
    reason: str
    videos: tuple[InputVideo, ...]
    ignored: int
    warnings: tuple[str, ...] = ()
