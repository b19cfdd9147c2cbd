"""Pictures and videos that people look at."""

import av
import numpy as np
import pytest
from PIL import Image

from vgbench import media
from vgbench.errors import UsageError


def clip(t=5, h=20, w=30, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (t, h, w, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_written_videos_have_their_frames_back(tmp_path, suffix):
    frames = np.repeat(np.repeat(clip(h=4, w=6), 8, axis=1), 8, axis=2)
    path = tmp_path / "new" / f"clip{suffix}"
    media.write_clip(path, frames, fps=25.0)
    with av.open(str(path)) as container:
        read = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(read) == len(frames)
    assert np.abs(np.stack(read).astype(int) - frames).mean() < 25
    assert list(path.parent.iterdir()) == [path]


def test_odd_sizes_are_padded_for_h264(tmp_path):
    media.write_clip(tmp_path / "odd.mp4", clip(h=21, w=31), fps=25.0)
    with av.open(str(tmp_path / "odd.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.height, frame.width) == (22, 32)


def test_png_is_the_strip_of_frames(tmp_path):
    frames = clip()
    media.write_clip(tmp_path / "strip.png", frames, fps=25.0)
    picture = np.asarray(Image.open(tmp_path / "strip.png"))
    assert picture.shape == (20, 150, 3)
    assert np.array_equal(picture[:, 30:60], frames[1])


def test_grid_places_videos_row_by_row():
    videos = np.stack([np.full((2, 4, 4, 3), value, np.uint8) for value in (10, 20, 30)])
    tiled = media.grid(videos, columns=2, gap=1)
    assert tiled.shape == (2, 9, 9, 3)
    assert tiled[0, 0, 0, 0] == 10
    assert tiled[0, 0, 5, 0] == 20
    assert tiled[1, 5, 0, 0] == 30
    assert tiled[0, 5, 5, 0] == 255


def test_enlarge_repeats_pixels():
    frames = clip(t=1, h=2, w=2)
    large = media.enlarge(frames, 3)
    assert large.shape == (1, 6, 6, 3)
    assert np.array_equal(large[:, ::3, ::3], frames)


def test_unknown_suffix_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(UsageError, match=r"cannot write 'x.mkv': expected one of .mp4, .webm"):
        media.write_clip(tmp_path / "x.mkv", clip(), fps=25.0)
    assert not list(tmp_path.iterdir())


def test_a_failing_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    media.write_clip(path, clip(), fps=25.0)
    before = path.read_bytes()
    monkeypatch.setattr(media, "strip", lambda frames: frames[0, 0, 0].astype(object))
    with pytest.raises(TypeError):
        media.write_clip(path, clip(seed=1), fps=25.0)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_slice_is_one_row_of_pixels_over_time():
    videos = np.stack([clip(seed=0), clip(seed=1)])
    pictures = media.slices(videos, 7)
    assert pictures.shape == (2, 5, 30, 3)
    for t in range(5):
        assert np.array_equal(pictures[1, t], videos[1, t, 7])


def test_what_sticks_to_pixels_makes_straight_streaks():
    still = np.repeat(clip(t=1), 6, axis=0)
    assert (media.slices(still[None], 3)[0] == media.slices(still[None], 3)[0, :1]).all()
    moving = np.stack([np.roll(still[0], 2 * t, axis=1) for t in range(6)])
    picture = media.slices(moving[None], 3)[0]
    assert np.array_equal(picture[1:], np.roll(picture[:-1], 2, axis=1))


@pytest.mark.parametrize("row", [-1, 20])
def test_a_row_outside_is_refused(row):
    with pytest.raises(UsageError, match=f"row {row}: expected one of 0 to 19"):
        media.slices(clip()[None], row)
