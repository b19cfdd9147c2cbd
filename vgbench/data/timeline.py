"""When frames are shown, and which of them are kept: frame rates, strides, cuts and pieces."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64, UInt8
from numpy import ndarray
from PIL import Image

UNKNOWN_FPS = 25.0  # tag of pictures without timestamps
_EXACT_S = 0.5e-6  # half a microsecond absorbs the rounding of k / fps
_CUT_LEVELS, _CUT_FACTOR, _CUT_MEMORY, _CUT_SIDE = 30.0, 6.0, 24, 32


@dataclass(frozen=True)
class Timing:
    """When the decoded frames are shown.

    Attributes:
        times_s: Presentation time of each frame in seconds, the first being 0.
        fps: 1 / mean frame duration, which averages the millisecond rounding of WebM out; if the
            rate varies or the timestamps are broken, 1 / median.
        flags: Notes, e.g. `vfr`, `timestamps=synthetic` or `fps_unknown`.
        rounding_s: Largest error of `times_s` that comes from the container's clock.
    """

    times_s: Float64[ndarray, "t"]
    fps: float
    flags: tuple[str, ...] = ()
    rounding_s: float = 0.0


@dataclass(frozen=True)
class Clock:
    """Presentation times as a container stores them.

    Attributes:
        pts: Ticks of each frame in decoding order; None where there is none.
        tick_s: Seconds per tick.
        frame_s: Assumed frame duration where the ticks do not tell.
    """

    pts: Sequence[int | None]
    tick_s: float
    frame_s: float
    flags: set[str] = field(default_factory=set)

    def measure(self) -> tuple[Float64[ndarray, "t"], float]:
        """Returns the times in seconds, not shifted to 0, and the frame duration; adds flags.

        Missing and non-increasing times are all replaced by an even grid. The rate is variable
        if the steps differ by more than 1.5 ticks and by more than 10 % of their median; the
        33 and 34 ms of WebM at 30 fps are not.
        """
        ticks = [np.nan if p is None else p for p in self.pts]
        times: ndarray = np.array(ticks, np.float64) * self.tick_s
        steps: ndarray = np.diff(times)
        forward = steps[steps > 0]
        typical = float(np.median(forward)) if len(forward) else self.frame_s
        if np.isnan(times).any() or np.any(steps <= 0):
            self.flags.add("timestamps=synthetic")
            start = times[0] if np.isfinite(times[0]) else 0.0
            times = start + np.arange(len(times)) * typical
        elif len(steps) and np.ptp(steps) > max(1.5 * self.tick_s, 0.1 * typical):
            self.flags.add("vfr")
        elif len(steps):
            typical = float(times[-1] - times[0]) / len(steps)
        return times, typical

    def timing(self) -> Timing:
        """Returns the times from the first frame on, the rate and the notes."""
        times, typical = self.measure()
        # a tick much finer than a frame rounds; one as long as a frame is exact
        rounding = self.tick_s / 2 if self.tick_s <= typical / 8 else 0.0
        flags = tuple(sorted(self.flags))
        return Timing(times - times[0], 1 / typical, flags, rounding)


def resample(timing: Timing, fps: float) -> Int64[ndarray, "k"]:
    """Returns the frame that is on screen at k / fps for every k, by sample-and-hold.

    Frame k shows the source frame with the largest time <= k / fps; there are
    floor(duration * fps) of them. Nothing is blended.
    Deviates: the comparison also forgives the rounding of the container's clock; else 30 fps in
    the milliseconds of WebM would lose and repeat frames when resampled to 30 fps.

    Args:
        timing: When the source frames are shown.
        fps: Wanted frame rate.
    """
    duration = timing.times_s[-1] + 1 / timing.fps
    wanted = np.arange(int(duration * fps + 1e-6)) / fps
    after = np.searchsorted(timing.times_s, wanted + _EXACT_S + timing.rounding_s, side="right")
    shown: Int64[ndarray, "k"] = after.astype(np.int64) - 1
    return shown


def scene_cuts(frames: Iterable[UInt8[ndarray, "h w 3"]]) -> list[int]:
    """Returns the numbers of the frames that start a new scene.

    A frame does if the mean absolute difference of its 32x32 luma to the previous one exceeds
    max(30, 6 x the median of the previous 24 differences).

    Args:
        frames: All frames of a video, read once.
    """
    cuts, memory = [], deque[float](maxlen=_CUT_MEMORY)
    lumas = (_small_luma(frame) for frame in frames)
    for number, (before, now) in enumerate(pairwise(lumas), start=1):
        change = float(np.abs(now - before).mean())
        usual = float(np.median(memory)) if memory else 0.0
        if change > max(_CUT_LEVELS, _CUT_FACTOR * usual):
            cuts.append(number)
        memory.append(change)
    return cuts


def split_at(count: int, cuts: Sequence[int]) -> list[range]:
    """Returns the ranges of frames between the cuts."""
    return [range(a, b) for a, b in pairwise([0, *cuts, count])]


def chunks(scene: range, length: int) -> list[range]:
    """Returns the consecutive pieces of `length` frames of a scene; the tail is dropped."""
    starts = range(scene.start, scene.stop - length + 1, length)
    return [range(start, start + length) for start in starts]


def _small_luma(frame: UInt8[ndarray, "h w 3"]) -> ndarray:
    grey = Image.fromarray(frame).convert("L")
    small = grey.resize((_CUT_SIDE, _CUT_SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32)
