"""Writing what people look at: video files, image strips and grids of clips."""

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from vgbench.errors import UsageError

Frames = NDArray[np.uint8]

_CODECS = {".mp4": ("libx264", "yuv420p"), ".webm": ("libvpx-vp9", "yuv420p")}
SUFFIXES = (".mp4", ".webm", ".gif", ".png")


def write_clip(path: Path, frames: Frames, fps: float) -> None:
    """Writes one clip; the suffix decides the format, `.png` being a strip of the frames.

    The file appears whole or not at all.

    Args:
        path: Ends in `.mp4` (H.264), `.webm` (VP9), `.gif` or `.png`.
        frames: uint8 `(T, H, W, 3)`.
        fps: Frames per second; a strip ignores it.

    Raises:
        UsageError: If the suffix is none of these.
    """
    suffix = path.suffix.lower()
    writers: dict[str, Callable[[Path], None]] = {
        ".mp4": lambda temporary: _encode(temporary, frames, fps, *_CODECS[".mp4"]),
        ".webm": lambda temporary: _encode(temporary, frames, fps, *_CODECS[".webm"]),
        ".gif": lambda temporary: _write_gif(temporary, frames, fps),
        ".png": lambda temporary: Image.fromarray(strip(frames)).save(temporary),
    }
    if suffix not in writers:
        raise UsageError(f"cannot write '{path.name}': expected one of {', '.join(SUFFIXES)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{suffix}")
    try:
        writers[suffix](temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _encode(path: Path, frames: Frames, fps: float, codec: str, pix_fmt: str) -> None:
    frames = pad_to_even(frames)
    rate = Fraction(fps).limit_denominator(1001)
    options = {"crf": "16", "movflags": "+faststart"} if codec == "libx264" else {"crf": "20"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def _write_gif(path: Path, frames: Frames, fps: float) -> None:
    first, *rest = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def pad_to_even(frames: Frames) -> Frames:
    """Returns frames whose height and width are even, the last row or column repeated.

    H.264 and VP9 in `yuv420p` store colour for 2x2 pixels.
    """
    height, width = frames.shape[1:3]
    return np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def strip(frames: Frames) -> Frames:
    """Returns the frames `(T, H, W, 3)` side by side as one picture `(H, T W, 3)`."""
    return rearrange(frames, "t h w c -> h (t w) c")


def slices(videos: Frames, row: int) -> Frames:
    """Returns how one row of pixels changes: time downwards, one picture `(T, W, 3)` per video.

    Texture that sticks to pixels shows as straight streaks, motion as slanted or broken ones.

    Args:
        videos: uint8 `(N, T, H, W, 3)`.
        row: Row of pixels, counted from the top.

    Source: "Alias-Free Generative Adversarial Networks" (StyleGAN3, NeurIPS 2021), figure 1;
    StyleSV (ICLR 2023).

    Raises:
        UsageError: If there is no such row.
    """
    height = videos.shape[2]
    if not 0 <= row < height:
        raise UsageError(f"row {row}: expected one of 0 to {height - 1}")
    return videos[:, :, row]


def grid(videos: Frames, columns: int, gap: int = 2) -> Frames:
    """Returns videos tiled row by row as one video.

    Args:
        videos: uint8 `(N, T, H, W, 3)`.
        columns: Videos per row; the last row is filled up with white.
        gap: White pixels between neighbours.

    Returns:
        uint8 `(T, rows (H + gap) - gap, columns (W + gap) - gap, 3)`.
    """
    rows = -(-len(videos) // columns)
    missing = rows * columns - len(videos)
    edges = ((0, missing), (0, 0), (0, gap), (0, gap), (0, 0))
    padded = np.pad(videos, edges, constant_values=255)
    tiled = rearrange(padded, "(r k) t h w c -> t (r h) (k w) c", r=rows, k=columns)
    return np.ascontiguousarray(tiled[:, : tiled.shape[1] - gap, : tiled.shape[2] - gap])


def enlarge(frames: Frames, factor: int) -> Frames:
    """Returns frames with every pixel repeated `factor` times in height and width."""
    return frames.repeat(factor, axis=-3).repeat(factor, axis=-2)
