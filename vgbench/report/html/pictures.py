"""Samples of a run as they stand in a page: a video or image, and one row of pixels over time."""

import io
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image

from vgbench import media

_TYPES = {".mp4": "video/mp4", ".png": "image/png"}
# Training writes its samples as four rows of videos; this one passes through the first of them.
_SLICE_ROW = 1 / 8
_SLICE_HEIGHT = 96
_FPS = 25.0  # where a file does not say


@dataclass(frozen=True)
class Picture:
    """A video or image that is part of a page.

    Attributes:
        source: Name of the file it was made from.
        data: Content of the file.
        suffix: `.mp4` or `.png`.
        width: Columns of pixels.
        height: Rows of pixels.
    """

    source: str
    data: bytes
    suffix: str
    width: int
    height: int

    @property
    def type(self) -> str:
        """Media type, e.g. `video/mp4`."""
        return _TYPES[self.suffix]

    @property
    def is_video(self) -> bool:
        """Whether it moves."""
        return self.suffix == ".mp4"


def picture_of(samples: Path) -> Picture | None:
    """Returns the newest samples that training left in a folder; None where there are none.

    A video that a browser may not play is encoded anew as H.264.
    """
    files = [path for path in samples.glob("kclip-*") if path.suffix in _TYPES]
    if not files:
        return None
    newest = max(files, key=lambda path: path.name)
    if newest.suffix == ".png":
        with Image.open(newest) as image:
            return Picture(newest.name, newest.read_bytes(), ".png", *image.size)
    with av.open(str(newest)) as container:
        stream = container.streams.video[0]
        codec, width, height = stream.codec_context.name, stream.width, stream.height
        rate = float(stream.average_rate or _FPS)
    if codec == "h264":
        return Picture(newest.name, newest.read_bytes(), ".mp4", width, height)
    return video(newest.name, frames_of(newest.read_bytes()), rate)


def video(source: str, frames: media.Frames, fps: float) -> Picture:
    """Returns frames `(T, H, W, 3)` as an H.264 video."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        media.write_clip(path, frames, fps)
        data = path.read_bytes()
    height, width = media.pad_to_even(frames).shape[1:3]
    return Picture(source, data, ".mp4", width, height)


def frames_of(data: bytes) -> media.Frames:
    """Returns the frames of a video file, uint8 `(T, H, W, 3)`."""
    with av.open(io.BytesIO(data), mode="r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.uint8, copy=False)


def slice_of(sample: Picture) -> Picture | None:
    """Returns one row of pixels of a video over time, downwards; None of an image.

    The row passes through the middle of the topmost videos.
    """
    if not sample.is_video:
        return None
    frames = frames_of(sample.data)
    (rows,) = media.slices(frames[None], int(frames.shape[1] * _SLICE_ROW))
    tall = rows.repeat(max(1, _SLICE_HEIGHT // len(rows)), axis=0)
    file = io.BytesIO()
    Image.fromarray(tall).save(file, format="png", optimize=True)
    return Picture(sample.source, file.getvalue(), ".png", tall.shape[1], tall.shape[0])
