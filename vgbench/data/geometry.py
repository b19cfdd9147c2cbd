"""How a frame becomes a square of the wanted size: the recipes that published numbers rest on."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy import ndarray
from PIL import Image

from vgbench.data.decode import RefusedError
from vgbench.errors import DataError

# Pillow's filters all widen with the scale, so that shrinking does not alias.
_FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
}
_STYLEGANV_QUALITY = 75
_CUBIC = -0.75  # the sharpness that OpenCV's bicubic uses
Frame = UInt8[ndarray, "h w 3"]
Square = UInt8[ndarray, "r r 3"]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels


@dataclass(frozen=True)
class Geometry:
    """How frames become squares of `resolution`.

    | recipe | rule |
    | --- | --- |
    | `default` | crop the centre square, then resize; `crop` and `resize` belong to it |
    | `styleganv` | shorter side to R by Lanczos, crop the centre, JPEG of quality 75 |
    | `stylesv` | the whole frame squashed, bicubic without antialiasing |
    | `styleinv` | crop the centre square, bilinear without antialiasing |
    | `g3an` | the whole frame squashed, antialiased bilinear |

    Attributes:
        resolution: Height and width of the result in pixels.
        recipe: One of the names above.
        crop: `center`, or `none`, which needs square frames.
        resize: `lanczos`, `area` or `bilinear`.
        upscale: Whether smaller frames are accepted.

    Source: universome/stylegan-v `src/scripts/convert_videos_to_frames.py`, whose `q=95` Pillow
        ignores, leaving quality 75; genforce/StyleSV and johannwyh/StyleInV
        `src/training/dataset.py`; wyhsirius/g3an-project `transforms_vid.py`.
    """

    resolution: int
    recipe: str = "default"
    crop: str = "center"
    resize: str = "lanczos"
    upscale: bool = True

    def square(self, frame: Frame, pixel_aspect: Fraction = Fraction(1)) -> Square:
        """Returns `frame` as an RGB square.

        Args:
            frame: Upright RGB frame.
            pixel_aspect: Width of a pixel divided by its height; boxes are computed in display
                units, and the stretching happens in the same resampling step.
        """
        if self.recipe == "styleganv":
            return _styleganv(frame, self.resolution, pixel_aspect)
        if self.recipe == "stylesv":
            return _sampled(frame, self.resolution, _whole(frame), _cubic_taps)
        if self.recipe == "styleinv":
            box = centre_box(frame, pixel_aspect)
            return _sampled(frame, self.resolution, box, _linear_taps)
        if self.recipe == "g3an":
            return _filtered(frame, self.resolution, _whole(frame), "bilinear")
        return _filtered(frame, self.resolution, centre_box(frame, pixel_aspect), self.resize)

    def check(self, frame: Frame, pixel_aspect: Fraction, name: str) -> set[str]:
        """Returns notes on the first frame of a video, e.g. `upscaled`.

        Args:
            frame: Upright RGB frame.
            pixel_aspect: Width of a pixel divided by its height.
            name: How messages call the video.

        Raises:
            DataError: If `crop` is `none` and the frame is not square.
            RefusedError: With reason `upscale` if the frame is too small.
        """
        height, width, _ = frame.shape
        if self.recipe == "default" and self.crop == "none" and width * pixel_aspect != height:
            raise DataError(f"{name} is {width}x{height}; --crop none needs square frames")
        if min(height, width) >= self.resolution:
            return set()
        if not self.upscale:
            size = f"{self.resolution}x{self.resolution}"
            text = f"{width}x{height} would have to be enlarged to {size} (--no-upscale)"
            raise RefusedError("upscale", text, path=name)
        return {"upscaled"}


def centre_square(frame: Frame, resolution: int, pixel_aspect: Fraction = Fraction(1)) -> Square:
    """Returns the centre square of `frame`, resized with Pillow's antialiased Lanczos-3.

    Args:
        frame: Upright RGB frame.
        resolution: Height and width of the result in pixels.
        pixel_aspect: Width of a pixel divided by its height.
    """
    return Geometry(resolution).square(frame, pixel_aspect)


def centre_box(frame: Frame, pixel_aspect: Fraction) -> Box:
    """Returns the box of the largest centred square of what is displayed.

    With square pixels the side is m = min(H, W) and the corner ((H - m) // 2, (W - m) // 2).
    """
    height, width, _ = frame.shape
    if pixel_aspect == 1:
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return float(left), float(top), float(left + side), float(top + side)
    side_shown = min(Fraction(height), width * pixel_aspect)
    box_width = float(side_shown / pixel_aspect)
    left_edge, top_edge = (width - box_width) / 2, (height - float(side_shown)) / 2
    right_edge = min(left_edge + box_width, float(width))  # Pillow refuses an excess of 1e-14
    return left_edge, top_edge, right_edge, min(top_edge + float(side_shown), float(height))


def _whole(frame: Frame) -> Box:
    height, width, _ = frame.shape
    return 0.0, 0.0, float(width), float(height)


def _filtered(frame: Frame, resolution: int, box: Box, name: str) -> Square:
    left, top, right, bottom = map(int, box)
    if box == (left, top, right, bottom):
        # cut first, so that pixels outside the square cannot leak in
        frame = np.ascontiguousarray(frame[top:bottom, left:right])
        if frame.shape[:2] == (resolution, resolution):
            return frame
        box = _whole(frame)
    return _resized(frame, (resolution, resolution), box, name)


def _resized(frame: Frame, size: tuple[int, int], box: Box, name: str) -> UInt8[ndarray, "a b 3"]:
    image = Image.fromarray(np.ascontiguousarray(frame))
    return np.asarray(image.resize(size, _FILTERS[name], box=box)).copy()


def _styleganv(frame: Frame, resolution: int, pixel_aspect: Fraction) -> Square:
    height, width = Fraction(frame.shape[0]), frame.shape[1] * pixel_aspect
    shorter = min(height, width)
    size = int(resolution * width / shorter), int(resolution * height / shorter)
    if size != (frame.shape[1], frame.shape[0]):
        frame = _resized(frame, size, _whole(frame), "lanczos")
    left, top = (round((side - resolution) / 2) for side in size)
    square = Image.fromarray(frame[top : top + resolution, left : left + resolution])
    jpeg = io.BytesIO()
    square.save(jpeg, "JPEG", quality=_STYLEGANV_QUALITY)
    return np.asarray(Image.open(jpeg, formats=("JPEG",))).copy()


# `taps` of a sampling kernel: pixel numbers and weights of each output pixel.
Taps = tuple[Int64[ndarray, "r k"], Float64[ndarray, "r k"]]


def _linear_taps(position: Float64[ndarray, "r"]) -> Taps:
    first = np.floor(position).astype(np.int64)
    part = position - first
    return first[:, None] + np.arange(2), np.stack([1 - part, part], axis=1)


def _cubic_taps(position: Float64[ndarray, "r"]) -> Taps:
    first = np.floor(position).astype(np.int64)
    distance = np.abs((position - first)[:, None] - np.arange(-1, 3))
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance**2 + 1
    far = _CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return first[:, None] + np.arange(-1, 3), np.where(distance <= 1, near, far)


def _sampled(
    frame: Frame, resolution: int, box: Box, kernel: Callable[[Float64[ndarray, "r"]], Taps]
) -> Square:
    """Returns the frame sampled at the centres of the output pixels; edges are repeated."""
    left, top, right, bottom = box
    grid = np.arange(resolution) + 0.5
    rows = kernel(top + grid * (bottom - top) / resolution - 0.5)
    columns = kernel(left + grid * (right - left) / resolution - 0.5)
    values = _weighted(frame.astype(np.float64), *rows, (int(top), ceil(bottom)))
    values = _weighted(values.swapaxes(0, 1), *columns, (int(left), ceil(right)))
    rounded: Square = np.rint(values.swapaxes(0, 1)).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(rounded)


def _weighted(
    values: Float64[ndarray, "a b 3"],
    pixels: Int64[ndarray, "r k"],
    weights: Float64[ndarray, "r k"],
    inside: tuple[int, int],
) -> Float64[ndarray, "r b 3"]:
    first, end = inside
    pixels = pixels.clip(first, end - 1)
    terms = (weights[:, k, None, None] * values[pixels[:, k]] for k in range(pixels.shape[1]))
    return sum(terms, np.zeros((len(pixels), *values.shape[1:])))
