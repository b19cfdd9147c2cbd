"""Tiny videos made on the spot, so that the suite runs without the folder of real clips."""

import zipfile
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from vgbench.data.decode import VideoReader


def moving_square(n, height=48, width=64):
    """Returns n RGB frames of a bright square that moves 2 pixels per frame over dark grey."""
    frames = np.full((n, height, width, 3), 40, np.uint8)
    for t, frame in enumerate(frames):
        x = 2 * t % (width - 8)
        frame[8:16, x : x + 8] = (250, 220, 30)
    return frames


def write_video(path, frames, codec="ffv1", fps=25, pts=None, pix_fmt=None, **context):
    """Writes frames with PyAV; lossless by default. `pts` are ticks of 1 / fps."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt or ("bgr0" if codec == "ffv1" else "yuv420p")
        for name, value in context.items():
            setattr(stream.codec_context, name, value)
        for t, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = t if pts is None else pts[t]
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decode_video(path, name=""):
    """Returns all frames of a file and their times."""
    with VideoReader(path, name) as reader:
        return np.stack(list(reader)), reader.timing()


def read_input(video):
    """Returns all frames of an input and their times."""
    with video.open() as reader:
        return np.stack(list(reader)), reader.timing()


def write_pictures(folder, frames, first=0, suffix=".png", **options):
    """Writes frames as numbered pictures; PNG is lossless."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"{number:06d}{suffix}", **options)
    return folder


def write_zip(path, folder, compression=zipfile.ZIP_STORED):
    """Writes the files below a folder, without entries for folders."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def write_sound(path):
    """Writes half a second of silence without any picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture
def film_folder(tmp_path):
    """Three good videos of 20, 24 and 40 frames in natural order, a note, and a dot-file."""
    folder = tmp_path / "films"
    (folder / "sub").mkdir(parents=True)
    write_video(folder / "clip2.mkv", moving_square(20))
    write_video(folder / "clip10.mkv", moving_square(24, 64, 48))
    write_video(folder / "sub" / "clip1.mkv", moving_square(40, 32, 32), fps=50)
    (folder / "notes.txt").write_text("not a video")
    (folder / ".hidden.mp4").write_text("not looked at")
    return folder
