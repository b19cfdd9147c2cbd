"""Lengths and pixels of a data set in a few numbers."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from vgbench.data.sources import VideoSource

_FRAMES = 512  # the error of the mean is then far below a level


def length_histogram(lengths: Sequence[int]) -> list[dict[str, int]]:
    """Returns how many videos have `from` to `to` frames, in octaves, without empty ends.

    Args:
        lengths: Frames of each video, at least one video.
    """
    octaves = Counter(length.bit_length() - 1 for length in lengths)
    return [
        {"from": 2**octave, "to": 2 ** (octave + 1) - 1, "videos": octaves[octave]}
        for octave in range(min(octaves), max(octaves) + 1)
    ]


def pixel_statistics(source: VideoSource) -> tuple[list[float], list[float]]:
    """Returns mean and standard deviation of red, green and blue in [0, 255].

    They are those of up to 512 frames, evenly spread over all of them.
    """
    ends = np.cumsum([source.meta(i).n_frames for i in range(len(source))])
    total = int(ends[-1])
    places = np.unique(np.linspace(0, total - 1, min(total, _FRAMES)).round().astype(np.int64))
    first, second, count = np.zeros(3), np.zeros(3), 0
    for video in np.unique(np.searchsorted(ends, places, side="right")):
        begin = int(ends[video - 1]) if video else 0
        inside = places[(places >= begin) & (places < ends[video])] - begin
        pixels = source.read(int(video), inside).reshape(-1, 3).astype(np.float64)
        first += pixels.sum(axis=0)
        second += (pixels**2).sum(axis=0)
        count += len(pixels)
    mean = first / count
    return mean.tolist(), np.sqrt(np.maximum(second / count - mean**2, 0)).tolist()
