"""One photograph as a square of pixels."""

import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps, UnidentifiedImageError

from vgbench.data.geometry import centre_square
from vgbench.data.inputs.pictures import DAMAGE, FORMATS, MAX_BYTES, MAX_PIXELS, to_rgb
from vgbench.errors import DataError

# A side that shows something.
_SMALLEST = 16


def read_photo(path: Path, resolution: int) -> UInt8[ndarray, "h w 3"]:
    """Returns the centre square of a photograph, upright, at a resolution.

    Unlike frames of videos, it is turned as its EXIF record says. Other colours than RGB are
    converted, the lower half of 16 bits is dropped, transparency shows black.

    Args:
        path: A JPEG, PNG, BMP or WebP file.
        resolution: Width and height of the result.

    Raises:
        DataError: If it is missing, not such a picture, damaged, too large or too small.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} is larger than {MAX_BYTES >> 20} MiB")
        with warnings.catch_warnings():
            # the limit here is lower than the one that Pillow warns of
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                _check_size(path, image.size)
                if getattr(image, "n_frames", 1) > 1:
                    raise DataError(f"{path} is an animation, not a single picture")
                pixels = to_rgb(ImageOps.exif_transpose(image), set())
    except UnidentifiedImageError as error:
        known = ", ".join(FORMATS)
        raise DataError(f"{path} is not a picture; expected one of {known}") from error
    except (*DAMAGE, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path} cannot be read: {reason}") from error
    return centre_square(np.ascontiguousarray(pixels), resolution)


def _check_size(path: Path, size: tuple[int, int]) -> None:
    width, height = size
    if min(size) < _SMALLEST:
        raise DataError(
            f"{path} is {width}x{height} pixels; expected at least {_SMALLEST}x{_SMALLEST}"
        )
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise DataError(f"{path} is {width}x{height} pixels, larger than {limit} megapixels")
