"""What a worker process does with one source video; never imports torch."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from numpy import ndarray
from PIL import Image

from vgbench.data.inputs.base import InputVideo
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.pixels import Piece, decode_pieces


@dataclass(frozen=True)
class Made:
    """What one source video gave.

    Attributes:
        pieces: Its pieces; one, unless it was cut.
        sizes: Bytes of every frame of all pieces, in the order of the file.
    """

    pieces: tuple[Piece, ...]
    sizes: Int64[ndarray, "f"]


def make_pieces(video: InputVideo, options: Options, out: Path) -> Made:
    """Writes the frames of `video` to `out` as the cache stores them: raw, or as JPEGs.

    Args:
        video: The source.
        options: What the pixels depend on.
        out: Written anew; worthless if this raises.

    Raises:
        RefusedError: If the video is damaged, too short or not supported.
    """
    pieces = tuple(decode_pieces(video, options, out))
    count = sum(piece.frames for piece in pieces)
    if options.codec == "raw":
        return Made(pieces, np.full(count, options.resolution**2 * 3, np.int64))
    return Made(pieces, _pack(out, options))


def _pack(path: Path, options: Options) -> Int64[ndarray, "f"]:
    """Replaces the raw frames in a file by JPEGs, and returns the bytes of each."""
    shape, quality = (options.resolution, options.resolution, 3), int(options.codec[5:])
    packed, sizes = path.with_suffix(".jpgs"), []
    with path.open("rb") as raw, packed.open("wb") as target:
        while data := raw.read(int(np.prod(shape))):
            jpeg = io.BytesIO()
            picture = Image.fromarray(np.frombuffer(data, np.uint8).reshape(shape))
            picture.save(jpeg, "JPEG", quality=quality)
            sizes.append(target.write(jpeg.getbuffer()))
    packed.replace(path)
    return np.array(sizes, np.int64)
