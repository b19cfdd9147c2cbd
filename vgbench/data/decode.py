"""Sequential decoding of one video file, and every reason to refuse it; never imports torch.

Each rule has a trap behind it: headers lie about frame counts and rates, truncation is often
silent, FFmpeg's frame threads hang, and PyAV never applies the rotation a phone has stored.
"""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from numpy import ndarray

from vgbench.data.timeline import UNKNOWN_FPS, Clock, Timing
from vgbench.errors import DataError

MAX_SIDE = 8192
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}  # numbers of ITU-T H.273, as FFmpeg reports them
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}
_RANGES = {1: "limited", 2: "full"}
# Playlists, session descriptions and scripts among FFmpeg's formats open other files and sockets.
_FORMATS = (
    *("mov", "mp4", "matroska", "webm", "avi", "gif", "mpeg", "mpegts", "mpegvideo", "asf", "flv"),
    *("ogg", "h264", "hevc", "m4v", "obu", "ivf", "mjpeg", "nut", "mxf", "dv", "rm", "wtv", "swf"),
    *("apng", "yuv4mpegpipe", "av1", "vc1", "h263", "h261", "nsv", "3gp", "3g2", "mj2", "m4a"),
)
_OPEN_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
_MAX_PIXELS = {"max_pixels": str(MAX_SIDE**2)}
_WIDEST_PIXEL = 16  # a pixel aspect beyond it is a damaged header
# what PyAV raises on damaged files besides FFmpeg's own errors
_DAMAGE = (av.FFmpegError, OSError, ValueError, OverflowError, ZeroDivisionError, MemoryError)


class RefusedError(DataError):
    """A file that is not used.

    Attributes:
        reason: One word for tables, e.g. `truncated`.
        detail: What is wrong with it, in a few words.
        frames: Frames that were decoded before.
        path: The file, relative to its source folder.
    """

    def __init__(self, reason: str, detail: str, frames: int = 0, path: str = "") -> None:
        super().__init__(reason, detail, frames, path)
        self.reason, self.detail, self.frames, self.path = reason, detail, frames, path

    def __str__(self) -> str:
        return f"refused {self.path}: {self.detail}"


@dataclass(frozen=True)
class Header:
    """What the container claims; only `codec` and `pix_fmt` can be relied upon.

    Attributes:
        codec: Name of the codec.
        pix_fmt: FFmpeg's name of the pixel format.
        width: Coded width in pixels, before rotation.
        height: Coded height in pixels.
        frames: Claimed number of frames, 0 if unknown.
        fps: Claimed average frame rate, 0 if unknown.
        duration_s: Claimed duration of the video stream, else of the container, else None.
        pixel_aspect: Width of a pixel divided by its height, 1 if unknown.
        sound: Whether there is an audio stream.
        matrix: Matrix between RGB and the stored colour, e.g. `bt709`; empty if it is not said.
        value_range: `limited`, `full`, or empty if it is not said.
    """

    codec: str
    pix_fmt: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float | None
    pixel_aspect: Fraction
    sound: bool
    matrix: str = ""
    value_range: str = ""

    def estimated_frames(self) -> int:
        """Returns the claimed number of frames, bounded by 120 per second (AVI claims 1000)."""
        by_time = int((self.duration_s or 0) * min(self.fps or 30, 120))
        return min(self.frames, by_time) if self.frames and by_time else self.frames or by_time


class VideoReader(AbstractContextManager["VideoReader"]):
    """Iterates once over the upright RGB frames of a file, in presentation order.

    Args:
        path: The file.
        name: How messages call it.

    Attributes:
        header: What the container claims.
        key_frames: Decoded frames that need no other frame.
        rotation: Degrees of rotation that were applied, as the file stores them.
        flags: Notes collected while decoding.

    Raises:
        RefusedError: With reason `empty_file`, `unreadable`, `no_video_stream` or `too_large`.
    """

    def __init__(self, path: Path, name: str = "") -> None:
        self._name = name or path.name
        self._count = 0
        self._pts: list[int | None] = []
        self.key_frames = 0
        self.rotation = 0
        self.flags: set[str] = set()
        try:
            if path.stat().st_size == 0:
                raise self._refuse("empty_file", "file is empty (0 bytes)")
            # the prefix keeps a name such as `http:x.mp4` from being taken for an address
            self._container = av.open(
                f"file:{path}", metadata_errors="ignore", options=_OPEN_OPTIONS | _MAX_PIXELS
            )
        except _DAMAGE as error:
            text = f"not a readable video ({_cause(error)})"
            raise self._refuse("unreadable", text) from error
        try:
            self._stream = self._best_stream()
            self.header = self._read_header()
        except RefusedError:
            self._container.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[UInt8[ndarray, "h w 3"]]:
        """Yields frames of one size.

        Raises:
            RefusedError: With reason `decode_error`, `mid_stream_resize`, `hdr` or `rotation`.
        """
        reformatter = VideoReformatter()  # one for all frames: 3 to 11 times faster than one each
        size = None
        for frame in self._decoded():
            size = size or (frame.width, frame.height)
            self._check(frame, size)
            pixels = self._upright(frame, reformatter)
            self._pts.append(frame.pts)
            self._count += 1
            self.key_frames += bool(frame.key_frame)
            yield pixels

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of an upright pixel over its height; ask after the first frame."""
        aspect = self.header.pixel_aspect
        return 1 / aspect if self.rotation % 180 else aspect

    def seek(self, time_s: float) -> None:
        """Goes on from the key frame before `time_s`, for looking into a file.

        Raises:
            RefusedError: With reason `decode_error` if the file cannot be sought in.
        """
        try:
            start = self._stream.start_time or 0
            target = start + int(time_s / self._stream.time_base)
            self._container.seek(target, stream=self._stream, backward=True)
        except _DAMAGE as error:
            raise self._refuse("decode_error", f"cannot seek ({_cause(error)})") from error
        self._pts.clear()
        self.key_frames = 0

    def timing(self, complete: bool = True) -> Timing:
        """Returns the times of the frames that were read.

        Args:
            complete: Whether all were read, so that the end is compared with the header.

        Raises:
            RefusedError: With reason `truncated`, or `decode_error` if there was no frame.
        """
        if not self._pts:
            raise self._refuse("decode_error", "decoding failed after 0 frames (no frame)")
        clock = Clock(self._pts, float(self._stream.time_base), self._frame_time(), self.flags)
        if complete:
            times, typical = clock.measure()
            self._check_complete(first_s=times[0], end_s=times[-1] + typical)
        return clock.timing()

    def _best_stream(self) -> Any:
        pictures = av.stream.Disposition.attached_pic
        streams: list[Any] = list(self._container.streams.video)
        films = [stream for stream in streams if not stream.disposition & pictures]
        if not films:
            sound = " (audio only)" if self._container.streams.audio else ""
            raise self._refuse("no_video_stream", f"no video stream{sound}")
        best: Any = self._container.streams.best("video")
        stream = best if best in films else max(films, key=lambda s: s.width * s.height)
        if stream.codec_context is None:
            raise self._refuse("unreadable", "not a readable video (unknown codec)")
        # FRAME and AUTO threads hang after a few open-decode-close rounds in one process
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        stream.codec_context.options = _MAX_PIXELS
        return stream

    def _read_header(self) -> Header:
        stream, codec = self._stream, self._stream.codec_context
        self._check_size(codec.width, codec.height)
        return Header(
            codec=codec.codec.canonical_name,
            pix_fmt=codec.pix_fmt or "",
            width=codec.width,
            height=codec.height,
            frames=stream.frames,
            fps=float(stream.average_rate or 0),
            duration_s=self._duration(),
            pixel_aspect=self._plausible_aspect(stream.sample_aspect_ratio),
            sound=bool(self._container.streams.audio),
            matrix=_MATRICES.get(int(codec.colorspace or 0), ""),
            value_range=_RANGES.get(int(codec.color_range or 0), ""),
        )

    def _duration(self) -> float | None:
        """Returns the claimed seconds; Matroska's container time may be that of longer sound."""
        stream = self._stream
        if stream.duration is not None:
            return float(stream.duration * stream.time_base)
        tag = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
        if tag:
            return int(tag[1]) * 3600 + int(tag[2]) * 60 + float(tag[3])
        if self._container.duration is not None:
            return float(self._container.duration / av.time_base)
        return None

    def _plausible_aspect(self, aspect: Fraction | None) -> Fraction:
        if not aspect:
            return Fraction(1)
        if not Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL:
            self.flags.add("pixel_aspect_ignored")
            return Fraction(1)
        return Fraction(aspect)

    def _decoded(self) -> Iterator[Any]:
        try:
            yield from self._container.decode(self._stream)
        except _DAMAGE as error:
            raise self._failed(error) from error

    def _check(self, frame: Any, size: tuple[int, int]) -> None:
        now, angle = (frame.width, frame.height), 90 * round(frame.rotation / 90)
        if now != size:
            a, b = (f"{w}x{h}" for w, h in (size, now))
            text = f"picture size changes from {a} to {b} at frame {self._count}"
            raise self._refuse("mid_stream_resize", text)
        if int(frame.color_trc) in _HDR_TRANSFERS:
            name = _HDR_TRANSFERS[int(frame.color_trc)]
            raise self._refuse("hdr", f"HDR transfer {name} is not supported")
        if abs(frame.rotation - angle) > 1:  # PyAV truncates to whole degrees
            text = f"rotation by {frame.rotation:g} degrees is not supported"
            raise self._refuse("rotation", text)
        if not self._pts:
            self._check_size(*now)
            self.rotation = angle
        elif angle != self.rotation:
            text = f"rotation changes from {self.rotation} to {angle} at frame {self._count}"
            raise self._refuse("rotation", text)
        if frame.interlaced_frame:
            self.flags.add("interlaced")

    def _check_size(self, width: int, height: int) -> None:
        if max(width, height) > MAX_SIDE:
            text = f"{width}x{height} is larger than {MAX_SIDE}x{MAX_SIDE}"
            raise self._refuse("too_large", text)

    def _check_complete(self, first_s: float, end_s: float) -> None:
        claimed = self.header.duration_s
        if claimed is None:
            self.flags.add("duration_unknown")
            return
        # some containers count a late start as part of the duration, others do not
        covered = max(end_s, end_s - first_s)
        if claimed - covered > max(0.5, 0.05 * claimed):
            text = f"ends at {covered:.2f} s of {claimed:.2f} s; file looks truncated"
            raise self._refuse("truncated", text)

    def _frame_time(self) -> float:
        rate = self._stream.guessed_rate or self._stream.average_rate or UNKNOWN_FPS
        return float(1 / rate)

    def _upright(self, frame: Any, reformatter: VideoReformatter) -> UInt8[ndarray, "h w 3"]:
        has_alpha = any(component.is_alpha for component in frame.format.components)
        wanted = "rgba" if has_alpha else "rgb24"
        try:
            rgb = reformatter.reformat(frame, format=wanted, threads=1).to_ndarray()
        except _DAMAGE as error:
            raise self._failed(error) from error
        if has_alpha:
            rgb = on_black(rgb, self.flags)
        return np.ascontiguousarray(np.rot90(rgb, (self.rotation // 90) % 4))

    def _failed(self, error: BaseException) -> RefusedError:
        text = f"decoding failed after {self._count} frames ({_cause(error)})"
        return self._refuse("decode_error", text)

    def _refuse(self, reason: str, detail: str) -> RefusedError:
        return RefusedError(reason, detail, self._count, self._name)


def on_black(rgba: UInt8[ndarray, "h w 4"], flags: set[str]) -> UInt8[ndarray, "h w 3"]:
    """Returns a picture composited on black; adds `alpha` to the flags if that changed it."""
    alpha = rgba[..., 3:].astype(np.uint16)
    if (alpha < 255).any():
        flags.add("alpha")
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def _cause(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
