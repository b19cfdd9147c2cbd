import os
import re
import struct
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.data.conftest import decode_video, moving_square, write_sound, write_video
from vgbench.data.decode import Header, RefusedError, VideoReader

# name: frames, fps, flags, upright height and width
GOOD = {
    "rabbit320_vp8.webm": (234, 30.0, (), (240, 320)),
    # the container holds 320x180 as well; 480x270 is the best stream
    "nasa_13013_h264.mp4": (390, 29.97, (), (270, 480)),
    "av1_640x360.mkv": (125, 25.0, (), (360, 640)),
    "bt709_full_range.mp4": (30, 30.0, (), (720, 1280)),
    "h264_10bit.mp4": (30, 30.0, (), (200, 200)),
    "hevc_128.mp4": (10, 10.0, (), (128, 128)),
    "rotate_0.mov": (3, 30.0, (), (320, 568)),
    "rotate_90.mov": (3, 30.0, (), (568, 320)),
    "rotate_180.mov": (3, 30.0, (), (320, 568)),
    "unordered_4f.mov": (4, 32.0, (), (50, 50)),
    "bikes_h264.mp4": (250, 25.0, (), (272, 640)),
    "carphone_h264.mp4": (120, 29.97, (), (144, 176)),
    "vp9_no_duration.webm": (74, 14.93, ("duration_unknown", "vfr"), (720, 1280)),
    "cricket_224.gif": (79, 25.0, (), (224, 224)),
    "made_vfr_h264.mp4": (40, 25.0, ("vfr",), (96, 128)),
    "made_vfr.gif": (24, 25.0, ("vfr",), (60, 80)),
    "made_odd_101x77_vp9.webm": (40, 25.0, (), (77, 101)),
    "made_start_offset_h264.mkv": (40, 25.0, (), (64, 64)),
    "made_gray_ffv1.mkv": (20, 25.0, (), (64, 80)),
    "made_yuv444_h264.mp4": (40, 25.0, (), (96, 128)),
    "made_gop250_bframes_h264.mp4": (300, 25.0, (), (64, 64)),
    "made_bframes_mpeg4.avi": (60, 25.0, ("timestamps=synthetic",), (64, 64)),
    "made_rgb_4frames_17x17.avi": (4, 25.0, (), (17, 17)),
    "made_too_short_5f.mp4": (5, 25.0, (), (64, 64)),
}
# name: reason, frames before, part of the text
BAD = {
    "midstream_corrupt.mp4": ("decode_error", 28, "decoding failed after 28 frames (Invalid"),
    "bad_truncated.webm": ("truncated", 103, "ends at 3.43 s of 7.80 s; file looks truncated"),
    "bad_truncated.mp4": ("unreadable", 0, "not a readable video (Invalid data found when proc"),
    "bad_text.mp4": ("unreadable", 0, "not a readable video (Invalid data found when processing"),
    "bad_empty.mp4": ("empty_file", 0, "file is empty (0 bytes)"),
}


@pytest.mark.parametrize("name", GOOD)
def test_real_clip(clips_dir, name):
    frames, fps, flags, size = GOOD[name]
    with VideoReader(clips_dir / name) as reader:
        shapes = [frame.shape for frame in reader]
        timing = reader.timing()
    assert shapes == [(*size, 3)] * frames
    assert timing.fps == pytest.approx(fps, abs=0.01)
    assert timing.flags == flags
    assert timing.times_s[0] == 0
    assert (np.diff(timing.times_s) > 0).all()


@pytest.mark.parametrize("name", BAD)
def test_bad_clip(clips_dir, name):
    reason, frames, text = BAD[name]
    with pytest.raises(RefusedError) as error:
        decode_video(clips_dir / name)
    assert (error.value.reason, error.value.frames) == (reason, frames)
    assert str(error.value).startswith(f"refused {name}: {text}")


def test_every_real_clip_is_covered(clips_dir):
    assert {p.name for p in clips_dir.iterdir() if p.suffix != ".md"} == {*GOOD, *BAD}


@pytest.mark.parametrize(("name", "turns"), [("rotate_90.mov", -1), ("rotate_180.mov", 2)])
def test_rotation_is_that_of_the_raw_frame(clips_dir, name, turns):
    upright, _ = decode_video(clips_dir / name)
    with av.open(str(clips_dir / name)) as container:
        raw = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(upright, [np.rot90(frame, turns) for frame in raw])


def test_grey_is_replicated(clips_dir):
    frames, _ = decode_video(clips_dir / "made_gray_ffv1.mkv")
    assert (frames == frames[..., :1]).all()


def test_lossless_video_comes_back(tmp_path):
    frames = moving_square(12)
    decoded, timing = decode_video(write_video(tmp_path / "a.mkv", frames))
    assert np.array_equal(decoded, frames)
    assert timing.fps == pytest.approx(25)
    assert timing.times_s == pytest.approx(np.arange(12) / 25)


def test_variable_rate_and_late_start(tmp_path):
    pts = 100 + np.cumsum([1, 2, 2, 3, 6] * 4)
    path = write_video(tmp_path / "a.mkv", moving_square(20), fps=50, pts=pts)
    _, timing = decode_video(path)
    assert timing.flags == ("vfr",)
    assert timing.times_s == pytest.approx((pts - pts[0]) / 50, abs=2e-3)
    assert timing.fps == pytest.approx(25, rel=0.01)  # median step: 40 ms


def test_millisecond_rounding_is_not_a_variable_rate(tmp_path):
    _, timing = decode_video(write_video(tmp_path / "a.mkv", moving_square(31), fps=30))
    assert timing.flags == ()
    assert timing.fps == pytest.approx(30, abs=0.01)


def test_missing_tail_is_truncation(tmp_path):
    whole = write_video(tmp_path / "a.mkv", moving_square(100))
    half = tmp_path / "half.mkv"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(RefusedError) as error:
        decode_video(half)
    assert error.value.reason in ("truncated", "decode_error")
    assert 0 < error.value.frames < 100


def test_sound_only(tmp_path):
    with pytest.raises(RefusedError, match=r"no video stream \(audio only\)") as error:
        decode_video(write_sound(tmp_path / "a.mkv"))
    assert error.value.reason == "no_video_stream"
    assert str(error.value) == "refused a.mkv: no video stream (audio only)"


def test_hdr_is_refused(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving_square(5), "libx264", color_trc=16)
    with pytest.raises(RefusedError, match="HDR transfer PQ is not supported") as error:
        decode_video(path)
    assert error.value.reason == "hdr"
    assert str(error.value) == "refused a.mkv: HDR transfer PQ is not supported"


def test_change_of_size_is_refused(tmp_path):
    # transport streams may be joined byte by byte
    parts = [
        write_video(tmp_path / f"{h}.ts", moving_square(20, h, 64), "mpeg2video").read_bytes()
        for h in (48, 64)
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(parts))
    with pytest.raises(RefusedError, match="changes from 64x48 to 64x64 at frame") as error:
        decode_video(tmp_path / "joined.ts")
    assert error.value.reason == "mid_stream_resize"
    text = f"picture size changes from 64x48 to 64x64 at frame {error.value.frames}"
    assert str(error.value) == f"refused joined.ts: {text}"


def test_too_large_is_refused_before_decoding(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mkv", moving_square(3, 16, 32))
    monkeypatch.setattr("vgbench.data.decode.MAX_SIDE", 24)
    with pytest.raises(RefusedError, match="32x16 is larger than 24x24") as error:
        VideoReader(path)
    assert error.value.reason == "too_large"


def test_transparency_is_composited_on_black(tmp_path):
    pixels = np.zeros((3, 16, 16, 4), np.uint8)
    pixels[..., 0] = 200
    pixels[:, :8, :, 3] = 255  # the upper half is opaque
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height = stream.width = 16
        stream.pix_fmt = "bgra"
        for rgba in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode())
    frames, timing = decode_video(tmp_path / "a.mkv")
    assert "alpha" in timing.flags
    assert (frames[:, :8, :, 0] == 200).all()
    assert (frames[:, 8:] == 0).all()


def test_header_never_overestimates_a_lying_container():
    lying = Header("mpeg4", "yuv420p", 64, 64, 2400, 1000.0, 2.4, Fraction(1), False)
    assert lying.estimated_frames() == 288
    unknown = Header("vp8", "yuv420p", 64, 64, 0, 30.0, 7.8, Fraction(1), False)
    assert unknown.estimated_frames() == 234


def test_descriptors_are_given_back(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("counts descriptors in /proc")
    path = write_video(tmp_path / "a.mkv", moving_square(4))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(200):
        with VideoReader(path) as reader:
            next(iter(reader))
    assert len(os.listdir("/proc/self/fd")) == before


# suffix, codec, pixel format: lossy or lossless, 8 and 10 bits, all chroma formats
CODECS = [
    (".mp4", "libx264", "yuv420p"),
    (".mp4", "libx264", "yuv420p10le"),
    (".mov", "prores_ks", "yuv422p10le"),
    (".mkv", "libx265", "yuv420p10le"),
    (".webm", "libvpx-vp9", "yuv420p"),
    (".mkv", "libsvtav1", "yuv420p"),
    (".avi", "mjpeg", "yuvj420p"),
    (".mpg", "mpeg1video", "yuv420p"),
    (".wmv", "wmv2", "yuv420p"),
    (".flv", "flv", "yuv420p"),
    (".ts", "mpeg2video", "yuv420p"),
    (".mkv", "ffv1", "yuv444p"),
]


@pytest.mark.parametrize(("suffix", "codec", "pix_fmt"), CODECS)
def test_other_codecs(tmp_path, suffix, codec, pix_fmt):
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV cannot write {codec}")
    frames = moving_square(18)
    rate = {} if codec == "libsvtav1" else {"bit_rate": 4_000_000}
    path = write_video(tmp_path / f"a{suffix}", frames, codec, pix_fmt=pix_fmt, **rate)
    decoded, timing = decode_video(path)
    assert decoded.shape == frames.shape
    assert (timing.fps, timing.flags) == (pytest.approx(25), ())
    assert np.abs(decoded[:, 24:].astype(int) - 40).mean() < 4  # the grey below the square
    with VideoReader(path) as reader:
        assert reader.header.pix_fmt == pix_fmt


# H.273: number of the matrix, its red and blue weights
MATRICES = {"bt709": (1, 0.2126, 0.0722), "bt601": (6, 0.299, 0.114), "": (2, 0.299, 0.114)}


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full", [False, True])
def test_colour_follows_matrix_and_range(tmp_path, matrix, full):
    number, red, blue = MATRICES[matrix]
    y, cb, cr = 120, 90, 170
    yuv = np.stack([np.full((16, 16), value, np.uint8) for value in (y, cb, cr)])
    frame = av.VideoFrame.from_ndarray(yuv, format="yuv444p")
    frame.colorspace, frame.color_range = number, 2 if full else 1
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height = stream.width = 16
        stream.pix_fmt = "yuv444p"
        stream.codec_context.colorspace = number
        stream.codec_context.color_range = 2 if full else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    luma = y / 255 if full else (y - 16) / 219
    b, r = ((c - 128) / (255 if full else 224) * 2 for c in (cb, cr))
    r, b = luma + (1 - red) * r, luma + (1 - blue) * b
    g = (luma - red * r - blue * b) / (1 - red - blue)
    decoded, _ = decode_video(path)
    assert decoded[0, 8, 8] == pytest.approx(np.array([r, g, b]) * 255, abs=2)
    with VideoReader(path) as reader:
        assert reader.header.matrix == matrix
        assert reader.header.value_range == ("full" if full else "limited")


def turn(path, degrees):
    """Writes a rotation into the display matrix of an MP4 file, as phones do."""
    data, angle = bytearray(path.read_bytes()), np.deg2rad(degrees)
    a, b = round(np.cos(angle) * 2**16), round(np.sin(angle) * 2**16)
    start = data.index(b"tkhd") + 44
    struct.pack_into(">9l", data, start, a, b, 0, -b, a, 0, 0, 0, 2**30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, -1), (180, 2), (270, 1)])
def test_rotation_is_applied(tmp_path, degrees, turns):
    path = write_video(tmp_path / "a.mp4", moving_square(4), "libx264")
    raw, _ = decode_video(path)
    upright, _ = decode_video(turn(path, degrees))
    assert np.array_equal(upright, np.rot90(raw, turns, axes=(1, 2)))


def test_other_rotations_are_refused(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving_square(4), "libx264")
    with pytest.raises(RefusedError) as error:
        decode_video(turn(path, 30), "x/a.mp4")
    assert error.value.reason == "rotation"
    text = r"refused x/a\.mp4: rotation by -(29|30) degrees is not supported"  # PyAV truncates
    assert re.fullmatch(text, str(error.value))
    with pytest.raises(RefusedError, match="rotation by"):
        decode_video(turn(path, 92.5))
    decode_video(turn(path, 89.5))


def test_pixel_aspect_turns_with_the_picture(tmp_path):
    wide = {"sample_aspect_ratio": Fraction(4, 3)}
    path = write_video(tmp_path / "a.mp4", moving_square(4), "libx264", **wide)
    for degrees, aspect in ((0, Fraction(4, 3)), (90, Fraction(3, 4))):
        with VideoReader(turn(path, degrees)) as reader:
            next(iter(reader))
            assert reader.pixel_aspect == aspect
    mad = {"sample_aspect_ratio": Fraction(20)}
    with VideoReader(write_video(tmp_path / "b.mp4", moving_square(4), "libx264", **mad)) as reader:
        assert (reader.pixel_aspect, reader.flags) == (1, {"pixel_aspect_ignored"})


def test_interlaced_is_noted(tmp_path):
    options = {"options": {"x264-params": "tff=1:interlaced=1"}}
    path = write_video(tmp_path / "a.mp4", moving_square(4, 64, 64), "libx264", **options)
    assert decode_video(path)[1].flags == ("interlaced",)


def test_cover_art_is_no_film(tmp_path):
    def mux(picture_first, film):
        path = tmp_path / f"{picture_first}{film}.mp4"
        with av.open(str(path), "w") as container:
            rate = {"rate": 25}
            kinds = [("png", "rgb24"), ("libx264", "yuv420p")][: 2 if film else 1]
            streams = [container.add_stream(codec, **rate) for codec, _ in kinds]
            for stream, (_, pix_fmt), side in zip(streams, kinds, (128, 32), strict=False):
                stream.pix_fmt, stream.width, stream.height = pix_fmt, side, side
            streams[0].disposition = av.stream.Disposition.attached_pic
            for stream, count in zip(streams, (1, 20), strict=False):
                for pixels in moving_square(count, stream.height, stream.width):
                    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        return path

    frames, _ = decode_video(mux(True, film=True))
    assert frames.shape == (20, 32, 32, 3)
    with pytest.raises(RefusedError, match="no video stream"):
        decode_video(mux(True, film=False))


def test_longer_sound_is_no_truncation(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        film = container.add_stream("ffv1", rate=25)
        film.height, film.width, film.pix_fmt = 48, 64, "bgr0"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for pixels in moving_square(20):
            container.mux(film.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(film.encode())
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * 9), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
    with av.open(str(path)) as container:
        assert container.duration > 8_000_000
    frames, timing = decode_video(path)
    assert (len(frames), timing.flags) == (20, ())


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nreal.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile real.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 32\n",
    ],
)
def test_playlists_open_nothing_else(tmp_path, text):
    write_video(tmp_path / "real.ts", moving_square(20), "mpeg2video")
    (tmp_path / "a.ts").write_text(text)
    with pytest.raises(RefusedError, match="not a readable video") as error:
        VideoReader(tmp_path / "a.ts")
    assert error.value.reason == "unreadable"


def test_a_name_is_never_an_address(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mkv", moving_square(3)).rename(tmp_path / "concat:a|b.mkv")
    assert len(decode_video(Path("concat:a|b.mkv"))[0]) == 3


def test_odd_sizes(tmp_path):
    frames = moving_square(3, 33, 41)
    assert np.array_equal(decode_video(write_video(tmp_path / "a.mkv", frames))[0], frames)


def test_seeking_for_a_look_at_the_end(tmp_path):
    path = write_video(tmp_path / "a.mp4", moving_square(100), "libx264", gop_size=10)
    with VideoReader(path) as reader:
        next(iter(reader))
        reader.seek(4.0)
        frames = list(reader)
        assert 0 < len(frames) <= 10
        assert reader.timing().flags == ()


def test_a_missing_file(tmp_path):
    with pytest.raises(RefusedError, match=r"not a readable video \(No such file") as error:
        VideoReader(tmp_path / "absent.mp4")
    assert error.value.reason == "unreadable"


def test_texts_are_those_of_the_specification(clips_dir):
    invalid = "Invalid data found when processing input"
    texts = {
        "bad_text.mp4": f"not a readable video ({invalid})",
        "bad_truncated.mp4": f"not a readable video ({invalid})",
        "bad_empty.mp4": "file is empty (0 bytes)",
        "bad_truncated.webm": "ends at 3.43 s of 7.80 s; file looks truncated",
        "midstream_corrupt.mp4": f"decoding failed after 28 frames ({invalid})",
    }
    for name, text in texts.items():
        with pytest.raises(RefusedError) as error:
            decode_video(clips_dir / name)
        assert str(error.value) == f"refused {name}: {text}"
