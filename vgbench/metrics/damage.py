"""Known damage to clips, mild to strong; metrics are validated by how they respond to it.

Every function takes a uint8 RGB clip `(T, H, W, 3)` and returns one of the same shape and type;
none changes its argument. Those that draw at random take a generator, from which the same numbers
are drawn whatever the strength, so that the levels of a ladder differ in strength alone.
"""

from io import BytesIO

import numpy as np
from jaxtyping import Float, UInt8
from numpy.random import Generator
from PIL import Image
from scipy.ndimage import gaussian_filter

Clip = UInt8[np.ndarray, "t h w 3"]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # Rec. 601


def noise(clip: Clip, sd: float, rng: Generator) -> Clip:
    """Returns the clip plus independent Gaussian noise of `sd` times full scale."""
    return _pixels(clip + 255 * sd * rng.standard_normal(clip.shape, dtype=np.float32))


def blur(clip: Clip, sigma: float) -> Clip:
    """Returns every frame after a Gaussian of `sigma` pixels, edges repeated."""
    sigmas = (0, sigma, sigma, 0)
    return _pixels(gaussian_filter(clip.astype(np.float32), sigmas, mode="nearest"))


def jpeg(clip: Clip, quality: float) -> Clip:
    """Returns every frame after JPEG compression of `quality` 1 to 95, colour at half size."""
    return np.stack([_jpeg(frame, int(quality)) for frame in clip])


def tint(clip: Clip, share: float) -> Clip:
    """Returns the clip with `share` more red and less blue."""
    gains = np.array([1 + share, 1, 1 - share], dtype=np.float32)
    return _pixels(clip * gains)


def desaturate(clip: Clip, share: float) -> Clip:
    """Returns the clip with every colour moved by `share` of the way to its grey."""
    grey = (clip @ _LUMA)[..., None]
    return _pixels(clip + share * (grey - clip))


def checkerboard(clip: Clip, levels: float) -> Clip:
    """Returns the clip plus and minus `levels` grey levels on alternate pixels."""
    rows, columns = np.indices(clip.shape[1:3])
    sign = np.where((rows + columns) % 2, 1.0, -1.0)
    return _pixels(clip + levels * sign[..., None])


def flicker(clip: Clip, sd: float, rng: Generator) -> Clip:
    """Returns the clip with an exposure per frame, Gaussian around 1 with `sd`."""
    gains = 1 + sd * rng.standard_normal((len(clip), 1, 1, 1), dtype=np.float32)
    return _pixels(clip * gains)


def jitter(clip: Clip, sd: float, rng: Generator) -> Clip:
    """Returns the clip with every frame moved by whole pixels, Gaussian with `sd`, edges repeated.

    Whole pixels leave every frame as sharp as it was.
    """
    moves = np.rint(sd * rng.standard_normal((len(clip), 2))).astype(np.int64)
    height, width = clip.shape[1:3]
    moved = [
        frame[(np.arange(height) + dy).clip(0, height - 1)][
            :, (np.arange(width) + dx).clip(0, width - 1)
        ]
        for frame, (dy, dx) in zip(clip, moves, strict=True)
    ]
    return np.stack(moved)


def shuffle(clip: Clip, share: float, rng: Generator) -> Clip:
    """Returns the clip with `share` of its frames in random order."""
    chosen = rng.permutation(len(clip))[: round(share * len(clip))]
    order = np.arange(len(clip))
    order[np.sort(chosen)] = chosen
    return clip[order]


def freeze(clip: Clip, frames: float) -> Clip:
    """Returns the clip with its last `frames` frames equal to the one before them."""
    last = len(clip) - 1 - round(frames)
    return clip[np.minimum(np.arange(len(clip)), last)]


def stutter(clip: Clip, share: float, rng: Generator) -> Clip:
    """Returns the clip with `share` of its frames, at random, replaced by the one shown before."""
    order = np.arange(len(clip))
    order[1:][rng.random(len(clip) - 1) < share] = 0
    return clip[np.maximum.accumulate(order)]


def loop(clip: Clip, frames: float) -> Clip:
    """Returns the first `frames` frames of the clip again and again."""
    return clip[np.arange(len(clip)) % round(frames)]


def reverse(clip: Clip) -> Clip:
    """Returns the clip played backwards."""
    return np.ascontiguousarray(clip[::-1])


def temporal_blur(clip: Clip, share: float) -> Clip:
    """Returns the clip with half of `share` of every frame taken from the one before."""
    before = clip[np.maximum(np.arange(len(clip)) - 1, 0)].astype(np.float32)
    return _pixels(clip + share / 2 * (before - clip))


def swap(clip: Clip, other: Clip) -> Clip:
    """Returns the first half of one clip and the second of another."""
    half = len(clip) // 2
    return np.concatenate([clip[:half], other[half:]])


def _pixels(values: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    return np.floor(values.clip(0, 255) + 0.5).astype(np.uint8)


def _jpeg(frame: UInt8[np.ndarray, "h w 3"], quality: int) -> UInt8[np.ndarray, "h w 3"]:
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(
        file, "JPEG", quality=quality, subsampling="4:2:0"
    )
    return np.asarray(Image.open(file).convert("RGB"))
