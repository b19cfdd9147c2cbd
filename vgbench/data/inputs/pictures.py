"""Single pictures and sequences of them, wherever their bytes are; decoded by Pillow.

JPEG is always decoded by Pillow's libjpeg: FFmpeg's decoder differs by up to 8 levels on saturated
texture, enough to move a FID.
"""

import io
import struct
import warnings
import zlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, UnidentifiedImageError

from vgbench.data.decode import Header, RefusedError, on_black
from vgbench.data.hashing import hash_bytes, hash_lines
from vgbench.data.inputs.base import FrameReader, InputVideo
from vgbench.data.timeline import UNKNOWN_FPS, Timing

MAX_PIXELS = 50_000_000
MAX_BYTES = 2**28  # of one encoded picture, in a folder as in an archive
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # Pillow knows others that start programs
# what Pillow raises on damaged pictures
DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError),
    *(OverflowError, MemoryError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class Pictures(InputVideo):
    """A video whose frames are encoded pictures.

    Attributes:
        notes: Flags that are known from the names, e.g. `missing_frames`.
    """

    notes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of frames."""

    @abstractmethod
    def pictures(self) -> Iterator[tuple[str, bytes]]:
        """Yields file name and content of each frame in order.

        Raises:
            OSError: If a file cannot be read.
            RefusedError: With reason `too_large` or `decode_error`.
        """

    def content(self) -> str:
        """Returns the hash of the encoded frames, whatever they are called and lie in.

        Raises:
            RefusedError: If one cannot be read.
        """
        try:
            return hash_lines(hash_bytes(data) for _, data in self.pictures())
        except OSError as error:
            text = f"not a readable video ({error.strerror or error})"
            raise RefusedError("unreadable", text, path=self.name) from error

    def open(self) -> FrameReader:
        """Returns the decoded frames.

        Raises:
            RefusedError: If the first frame cannot be read.
        """
        return PictureReader(self)


class PictureReader(AbstractContextManager["PictureReader"]):
    """Iterates once over the frames of a sequence of pictures, as uint8 RGB.

    Their frame rate is unknown: `UNKNOWN_FPS` stands in for it, and the flag `fps_unknown` says so.

    Args:
        video: The sequence.

    Attributes:
        header: Size, format and mode of the first picture.
        rotation: 0; a direction stored in a picture is not followed, as in the reference code.
        flags: Notes collected while decoding.

    Raises:
        RefusedError: With reason `decode_error` or `too_large` for the first picture.
    """

    def __init__(self, video: Pictures) -> None:
        self._video = video
        self._read = 0
        self.rotation = 0
        self.flags = {"fps_unknown", *video.notes}
        name, data = next(self._encoded())
        with self._opened(name, data) as image:
            (width, height), codec = image.size, (image.format or "").lower()
            self.header = Header(
                codec, image.mode, width, height, video.count, 0.0, None, Fraction(1), False
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is held open between two frames."""

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]:
        """Yields frames of one size.

        Raises:
            RefusedError: With reason `decode_error`, `too_large` or `mixed_sizes`.
        """
        for name, data in self._encoded():
            with self._opened(name, data) as image:
                pixels = to_rgb(image, self.flags)
            self._read += 1
            yield pixels

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel over its height: 1."""
        return Fraction(1)

    def timing(self, complete: bool = True) -> Timing:
        """Returns evenly spaced times."""
        times = np.arange(self._read) / UNKNOWN_FPS
        return Timing(times, UNKNOWN_FPS, tuple(sorted(self.flags)))

    def _encoded(self) -> Iterator[tuple[str, bytes]]:
        try:
            yield from self._video.pictures()
        except OSError as error:
            raise self._failed(error.strerror or str(error)) from error

    @contextmanager
    def _opened(self, name: str, data: bytes) -> Iterator[Image.Image]:
        try:
            with warnings.catch_warnings():
                # the limit here is lower than the one that Pillow warns of
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                    self._check_size(name, image)
                    yield image
        except UnidentifiedImageError as error:
            raise self._failed(f"{name}: not a picture of a known format") from error
        except Image.DecompressionBombError as error:
            raise self._refuse("too_large", f"{name}: {error}") from error
        except DAMAGE as error:
            raise self._failed(f"{name}: {error}") from error

    def _check_size(self, name: str, image: Image.Image) -> None:
        if image.width * image.height > MAX_PIXELS:
            size = f"{image.width}x{image.height}"
            text = f"{name}: {size} is larger than {MAX_PIXELS // 10**6} megapixels"
            raise self._refuse("too_large", text)
        if self._read and image.size != (self.header.width, self.header.height):
            a, b = f"{self.header.width}x{self.header.height}", f"{image.width}x{image.height}"
            text = f"frames differ in size ({a} and {b}, first at {name})"
            raise self._refuse("mixed_sizes", text)

    def _failed(self, cause: str) -> RefusedError:
        return self._refuse("decode_error", f"decoding failed after {self._read} frames ({cause})")

    def _refuse(self, reason: str, detail: str) -> RefusedError:
        return RefusedError(reason, detail, self._read, self._video.name)


def to_rgb(image: Image.Image, flags: set[str]) -> UInt8[ndarray, "h w 3"]:
    """Returns the pixels; grey is replicated, alpha composited on black, 16 bits lose 8."""
    if getattr(image, "n_frames", 1) > 1:
        raise ValueError("an animation, not a single picture")
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} are not supported")
    if "A" in image.getbands() or "transparency" in image.info:
        return on_black(np.asarray(image.convert("RGBA")), flags)
    return np.array(image.convert("RGB"))
