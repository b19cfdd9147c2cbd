import numpy as np
import pytest

from tests.data.conftest import decode_video, moving_square, write_video
from vgbench.data.decode import VideoReader
from vgbench.data.timeline import Clock, Timing, chunks, resample, scene_cuts, split_at


def even(count, fps):
    return Timing(np.arange(count) / fps, float(fps))


@pytest.mark.parametrize(("fps", "wanted"), [(25, 25), (30, 10), (50, 24), (25, 60), (29.97, 25)])
def test_sample_and_hold_is_its_definition(fps, wanted):
    timing = even(100, fps)
    duration = 100 / fps
    expected = [
        max(i for i in range(100) if timing.times_s[i] <= k / wanted + 0.5e-6)
        for k in range(int(np.floor(duration * wanted + 1e-6)))
    ]
    assert resample(timing, float(wanted)).tolist() == expected


def test_variable_rate_shows_what_is_on_screen():
    steps = np.array([20, 40, 40, 60, 120] * 8) / 1000
    times = np.concatenate([[0], np.cumsum(steps)[:-1]])
    shown = resample(Timing(times, 25.0, ("vfr",)), 25.0)
    for k, frame in enumerate(shown):
        assert times[frame] <= k / 25 + 1e-6
        assert frame == 39 or times[frame + 1] > k / 25


def test_the_milliseconds_of_webm_lose_and_repeat_nothing(tmp_path):
    for fps in (24, 30, 60):
        path = write_video(tmp_path / f"{fps}.mkv", moving_square(61, 16, 16), fps=fps)
        _, timing = decode_video(path)
        assert resample(timing, float(fps)).tolist() == list(range(61))
        assert resample(timing, fps / 2).tolist() == list(range(0, 60, 2))


def test_clock():
    flags = set()
    times, step = Clock([3, 4, 5, 6], 0.5, 1.0, flags).measure()
    assert (times.tolist(), step, flags) == ([1.5, 2, 2.5, 3], 0.5, set())
    for pts in ([0, None, 2], [0, 0, 1], [2, 1, 3], [None, None]):
        flags = set()
        times, step = Clock(pts, 0.5, 0.25, flags).measure()
        assert flags == {"timestamps=synthetic"}
        assert np.diff(times) == pytest.approx([step] * (len(pts) - 1))
    assert Clock([7], 0.5, 0.25).timing().fps == 4


def test_what_counts_as_variable():
    def flags(steps, tick):
        return Clock([0, *np.cumsum(steps).tolist()], tick, 0.04).timing().flags

    assert flags([33, 34, 33, 33, 34], 0.001) == ()  # rounding of 30 fps
    assert flags([33, 33, 36, 33], 0.001) == ()  # 3 ticks, but below 10 %
    assert flags([33, 33, 40, 33], 0.001) == ("vfr",)
    assert flags([1, 2, 1], 0.04) == ()  # one tick of a coarse clock
    assert flags([1, 3, 1], 0.04) == ("vfr",)


def flat(level, count=1):
    return [np.full((40, 60, 3), level, np.uint8)] * count


def test_scene_cuts():
    assert scene_cuts([*flat(0, 3), *flat(200, 4), *flat(20, 2)]) == [3, 7]
    assert scene_cuts(flat(0, 5)) == []
    assert scene_cuts(flat(0)) == []
    assert scene_cuts([*flat(0), *flat(30)]) == []  # exactly 30 levels are no cut
    assert scene_cuts([*flat(0), *flat(31)]) == [1]
    flicker = [frame for _ in range(12) for frame in (*flat(0), *flat(40))]
    assert scene_cuts(flicker)[1:] == []  # six times the usual change


def test_scene_cuts_of_a_real_film(clips_dir):
    with VideoReader(clips_dir / "bikes_h264.mp4") as reader:
        assert scene_cuts(reader) == [30, 137, 187, 242]
    with VideoReader(clips_dir / "carphone_h264.mp4") as reader:
        assert scene_cuts(reader) == []


def test_pieces():
    assert split_at(10, [3, 7]) == [range(3), range(3, 7), range(7, 10)]
    assert split_at(10, []) == [range(10)]
    assert chunks(range(3, 14), 4) == [range(3, 7), range(7, 11)]
    assert chunks(range(3), 4) == []
