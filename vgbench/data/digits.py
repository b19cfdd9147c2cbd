"""`digits`: handwritten digits that bounce off the edges of the picture, all their paths known.

The digits are the 1 797 images of the UCI data set "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, 1998; CC-BY 4.0) that scikit-learn bundles; nothing is downloaded. Splits
share no image: `train` has the first 1 500, `test` the rest.

Definition `digits/1`. Factors are drawn as in `shapes`. Each digit is scaled to 28/64 of the side
(bicubic), starts anywhere inside the picture, moves straight with 2 to 5 sides per 64 frames, and
is reflected at the edges: its corner is the triangle wave of start + velocity * t. It is placed
with bilinear weights between pixels; where digits meet, the brighter pixel wins.
"""

from dataclasses import dataclass
from math import tau
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int64, Shaped, UInt8
from numpy import ndarray
from PIL import Image

from vgbench.data.config import DigitsConfig
from vgbench.data.draws import uniform
from vgbench.data.hashing import hash_bytes, hash_lines
from vgbench.data.procedural import ProceduralSource
from vgbench.errors import DataError, UsageError

_TRAIN_IMAGES = 1500
_SPRITE = 28 / 64
_SPEEDS = (2 / 64, 5 / 64)
_IDS = 8  # factor ids per digit; the first five are used


@dataclass(frozen=True)
class DigitTruth:
    """What is true of one video at some times.

    Attributes:
        digits: What each digit is, 0 to 9.
        images: Which of the images it is.
        centre: x and y of each digit's centre in image sides, per time.
        velocity: Their time derivative in image sides per frame.
        speed: Its length, which never changes.
    """

    digits: Int64[ndarray, "d"]
    images: Int64[ndarray, "d"]
    centre: Float64[ndarray, "t d 2"]
    velocity: Float64[ndarray, "t d 2"]
    speed: Float64[ndarray, "d"]


class DigitsSource(ProceduralSource):
    """The videos of one split of `digits`, drawn when they are read.

    Args:
        config: Options of the data set.
        split: As in `ProceduralSource`.
        draw: As in `ProceduralSource`.

    Raises:
        DataError: If scikit-learn is missing or there is no such split.
        UsageError: If an option is out of range.
    """

    name: ClassVar[str] = "digits"
    definition: ClassVar[str] = "digits/1"

    def __init__(self, config: DigitsConfig, split: str = "train", draw: int = 0) -> None:
        super().__init__(config, split, draw)
        if config.digits < 1:
            raise UsageError(f"dataset.digits={config.digits}: must be at least 1")
        self._count, self._side = config.digits, config.resolution
        self._seed = config.seed
        self._width = max(round(_SPRITE * config.resolution), 1)
        images, classes = _load()
        chosen = slice(_TRAIN_IMAGES) if split == "train" else slice(_TRAIN_IMAGES, None)
        self._classes = classes[chosen]
        self._sprites = np.stack([_scaled(image, self._width) for image in images[chosen]])
        self._first_image = chosen.start or 0

    @property
    def fingerprint(self) -> str:
        """Hash of every option and of the digits as they are drawn."""
        return hash_lines([super().fingerprint, hash_bytes(self._sprites.tobytes())])

    def label(self, i: int) -> int:
        """Returns the digits of video `i` read as one number, 0 to 99 for two of them."""
        return int("".join(map(str, self._classes[self._images(i)])))

    def truth(self, i: int, times: Shaped[ndarray, "t"]) -> DigitTruth:
        """Returns what is true of video `i` at any real times, in frames."""
        images = self._images(i)
        corner, velocity = self._path(i, times.astype(np.float64))
        return DigitTruth(
            digits=self._classes[images],
            images=images + self._first_image,
            centre=corner + self._width / self._side / 2,
            velocity=velocity,
            speed=self._speeds(i),
        )

    def render(self, i: int, times: Float64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns video `i` at any real times, in frames; the length is no limit."""
        canvas = np.zeros((len(times), self._side, self._side), np.uint8)
        corner, _ = self._path(i, times)
        for digit, image in enumerate(self._images(i)):
            place = corner[:, digit] * self._side
            whole = np.clip(np.floor(place).astype(np.int64), 0, self._side - self._width)
            patches = _between_pixels(self._sprites[image], place - whole)
            for frame, (x, y), patch in zip(canvas, whole.tolist(), patches, strict=True):
                target = frame[y : y + self._width + 1, x : x + self._width + 1]
                shown = patch[: target.shape[0], : target.shape[1]]
                np.maximum(target, shown, out=target)
        return np.repeat(canvas[..., None], 3, axis=-1)

    def _factor(self, i: int, number: int) -> Float64[ndarray, "d"]:
        ids = np.arange(self._count, dtype=np.uint64) * np.uint64(_IDS) + np.uint64(number)
        return uniform(self._seed, np.array([self._index(i)], np.uint64), ids)

    def _images(self, i: int) -> Int64[ndarray, "d"]:
        return (self._factor(i, 0) * len(self._sprites)).astype(np.int64)

    def _speeds(self, i: int) -> Float64[ndarray, "d"]:
        slowest, fastest = _SPEEDS
        return slowest + self._factor(i, 1) * (fastest - slowest)

    def _path(
        self, i: int, times: Float64[ndarray, "t"]
    ) -> tuple[Float64[ndarray, "t d 2"], Float64[ndarray, "t d 2"]]:
        """Returns corners and velocities in image sides: straight motion folded at the edges."""
        room = 1 - self._width / self._side
        angle = tau * self._factor(i, 2)
        velocity = self._speeds(i)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        start = room * np.stack([self._factor(i, 3), self._factor(i, 4)], axis=1)
        if room == 0:
            zero = np.zeros((len(times), self._count, 2))
            return zero, zero
        unfolded = (start + velocity * times[:, None, None]) % (2 * room)
        back = unfolded > room
        corner = np.where(back, 2 * room - unfolded, unfolded)
        return corner, np.where(back, -velocity, velocity)


def _between_pixels(
    sprite: UInt8[ndarray, "s s"], offset: Float64[ndarray, "t 2"]
) -> UInt8[ndarray, "t s1 s1"]:
    """Returns the sprite moved right and down by fractions of a pixel, one pixel larger."""
    x, y = offset[:, 0, None, None], offset[:, 1, None, None]
    padded = np.pad(sprite.astype(np.float64), 1)
    wide = padded[:, 1:] * (1 - x) + padded[:, :-1] * x
    both = wide[:, 1:] * (1 - y) + wide[:, :-1] * y
    patches: UInt8[ndarray, "t s1 s1"] = np.floor(both + 0.5).astype(np.uint8)
    return patches


def _scaled(image: UInt8[ndarray, "8 8"], width: int) -> UInt8[ndarray, "s s"]:
    return np.asarray(Image.fromarray(image).resize((width, width), Image.Resampling.BICUBIC))


def _load() -> tuple[UInt8[ndarray, "n 8 8"], Int64[ndarray, "n"]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError(
            "dataset 'digits' needs scikit-learn (pip install vgbench[digits]); try dataset=shapes"
        ) from error
    found = load_digits()
    images = np.floor(found.images * (255 / 16) + 0.5).astype(np.uint8)
    return images, found.target.astype(np.int64)


def open_digits(config: DigitsConfig, split: str = "train") -> DigitsSource:
    """Returns the videos of `split`; the target of `DigitsConfig`."""
    return DigitsSource(config, split)
