from fractions import Fraction

import numpy as np
import pytest

from tests.data.conftest import moving_square, write_pictures, write_video, write_zip
from vgbench.data.inputs.find import find_inputs
from vgbench.data.inputs.video_files import VideoFile
from vgbench.data.inspect import inspect_files, inspect_video


def inspect(path, full=False):
    return inspect_video(VideoFile(path.name, path.name, path=path), full)


def test_reports(film_folder):
    (film_folder / "bad.mp4").write_text("text")
    write_video(film_folder / "sub" / "long.mkv", moving_square(100, 16, 16))
    reports = {report.path: report for report in inspect_files(film_folder)}
    good, bad, long = reports["clip2.mkv"], reports["bad.mp4"], reports["sub/long.mkv"]
    assert (good.frames, good.complete, good.reason) == (16, False, "")
    assert good.fps == pytest.approx(25)
    assert (good.header.width, good.header.height, good.header.codec) == (64, 48, "ffv1")
    assert (bad.reason, bad.header) == ("unreadable", None)
    assert (long.frames, long.complete) == (16, False)
    whole = {report.path: report for report in inspect_files(film_folder, full=True)}
    assert (whole["sub/long.mkv"].frames, whole["sub/long.mkv"].complete) == (100, True)


def test_the_first_group_of_pictures_is_decoded_and_the_last(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving_square(200), "libx264", gop_size=40)
    assert 40 <= inspect(path).frames <= 41


def test_a_break_off_is_seen_at_the_end(clips_dir):
    for full in (False, True):
        report = inspect(clips_dir / "bad_truncated.webm", full)
        assert (report.reason, report.detail) == (
            "truncated",
            "ends at 3.43 s of 7.80 s; file looks truncated",
        )


def test_what_headers_say(clips_dir, tmp_path):
    header = inspect(clips_dir / "bt709_full_range.mp4").header
    assert (header.matrix, header.value_range, header.pix_fmt) == ("bt709", "full", "yuvj420p")
    assert inspect(clips_dir / "carphone_h264.mp4").header.pixel_aspect == Fraction(128, 117)
    report = inspect(clips_dir / "made_vfr_h264.mp4")
    assert report.header.fps == pytest.approx(1000 / 53)
    assert (report.fps, report.flags) == (pytest.approx(25), ("vfr",))
    lying = inspect(clips_dir / "made_bframes_mpeg4.avi", full=True)
    assert (lying.header.frames, lying.frames) == (2400, 60)
    assert inspect(clips_dir / "rotate_90.mov").rotation == -90
    assert inspect(clips_dir / "av1_640x360.mkv").header.codec == "av1"


def test_every_kind(tmp_path):
    folder = write_pictures(tmp_path / "root" / "v", moving_square(20)).parent
    np.save(tmp_path / "a.npy", moving_square(20)[None])
    for source in (folder, write_zip(tmp_path / "a.zip", folder), tmp_path / "a.npy"):
        (video,) = find_inputs(source).videos
        report = inspect_video(video, full=False)
        assert (report.header.frames, report.header.width, report.header.height) == (20, 64, 48)
        assert (report.frames, report.complete, report.fps) == (16, False, None)
        report = inspect_video(video, full=True)
        assert (report.frames, report.complete, report.reason) == (20, True, "")
