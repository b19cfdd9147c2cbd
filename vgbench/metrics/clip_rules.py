"""What a protocol does to generated videos before a network sees them: pure functions of a clip."""

from io import BytesIO

import av
import numpy as np
import torch
from av.video.stream import VideoStream
from einops import rearrange
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from vgbench.errors import ProtocolError, UsageError
from vgbench.metrics.protocol_record import EvalProtocol
from vgbench.seeds import stream_seed
from vgbench.video import to_uint8

# Of the lossy encoder: what ffmpeg takes when told nothing else, but one thread and no SIMD code,
# with which libx264 encodes the same frames now and then into other bytes.
_H264 = {"crf": "23", "preset": "medium", "x264-params": "threads=1:asm=0"}
_FPS = 25


def to_pixels(
    videos: Float[Tensor, "b c t h w"], protocol: EvalProtocol
) -> UInt8[Tensor, "b t h w c"]:
    """Returns model videos in [-1, 1] as the uint8 frames that a protocol makes of them.

    `truncate` is up to one level darker than `floor`, the rule of the StyleGAN lineage.

    Source: DIGAN `src/scripts/compute_fvd_kvd.py` for `truncate`.
    """
    if protocol.fake_uint8 == "floor":
        return to_uint8(videos)
    scaled = videos.to(torch.float32).clamp(-1, 1).add(1).div(2).mul(255)
    return rearrange(scaled.to(torch.uint8), "b c t h w -> b t h w c").contiguous()


def cut_clip(
    video: Tensor, protocol: EvalProtocol, *, seed: int, number: int
) -> UInt8[Tensor, "k h w 3"]:
    """Returns the clip that a protocol takes from a generated video, encoded if it says so.

    Args:
        video: All frames of it.
        protocol: Says where the clip starts.
        seed: Seed of the generated videos.
        number: Number of this one; decides a random start.

    Raises:
        UsageError: If the video is not uint8 frames.
        ProtocolError: If it is too short.
    """
    if video.dtype != torch.uint8 or video.ndim != 4:
        raise UsageError(
            f"generated video {number} is {video.dtype} {tuple(video.shape)}; expected uint8 "
            "(T, H, W, 3); vgbench.video.to_uint8 converts model outputs in [-1, 1]"
        )
    span = protocol.fake_span
    starts = len(video) - span + 1
    if starts < 1:
        raise ProtocolError(
            f"protocol {protocol.id} needs >= {span} frames per generated video; "
            f"video {number} has {len(video)}.  Nothing was evaluated."
        )
    first = 0
    if protocol.fake_start == "uniform":
        first = stream_seed(seed, "eval-start", number) % starts
    elif protocol.fake_start == "centre":
        first = len(video) // 2 - span // 2
    clip = video[first : first + span : protocol.stride]
    return h264(clip) if protocol.fake_codec == "h264" else clip


def h264(clip: UInt8[Tensor, "t h w 3"]) -> UInt8[Tensor, "t h w 3"]:
    """Returns a clip after a lossy H.264 encoder with 4:2:0 chroma and its decoder.

    Odd sizes are padded for the encoder and cropped back.
    """
    height, width = clip.shape[1:3]
    padding = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    frames = np.pad(clip.cpu().numpy(), padding, mode="edge")
    file = BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=_FPS, options=_H264)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as written:
        decoded = [frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)]
    return torch.from_numpy(np.stack(decoded)[:, :height, :width])


def fake_numbers(
    protocol: EvalProtocol, n: int, available: int, *, seed: int
) -> Int64[Tensor, "k"]:
    """Returns which of the `available` generated videos stand for the first `n`.

    Args:
        protocol: Says whether videos may be drawn again.
        n: Videos asked for.
        available: Videos there are.
        seed: Seed of the drawing.
    """
    if available >= n or protocol.fake_reuse == "never" or available == 0:
        return torch.arange(min(n, available))
    again = [stream_seed(seed, "eval-reuse", i) % available for i in range(available, n)]
    return torch.cat([torch.arange(available), torch.tensor(again)])
