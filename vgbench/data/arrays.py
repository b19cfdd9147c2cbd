"""Videos that are in memory already."""

import hashlib
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy import ndarray
from torch import Tensor

from vgbench.errors import DataError
from vgbench.types import VideoMeta
from vgbench.video import check_clips


class ArraySource:
    """Videos of one length and size in an array, as a source.

    Args:
        videos: uint8 RGB frames of all videos.
        name: What rows call the data set.
        fps: Frames per second.

    Raises:
        DataError: If the array is not uint8 of shape (N, T, H, W, 3), or holds no video.
    """

    def __init__(self, videos: ndarray | Tensor, *, name: str = "array", fps: float = 25.0) -> None:
        frames = torch.from_numpy(videos) if isinstance(videos, ndarray) else videos
        self._videos: UInt8[ndarray, "n t h w 3"] = check_clips(frames).cpu().numpy()
        if not len(self._videos):
            raise DataError("there is no video in an array of shape " + str(tuple(frames.shape)))
        self.name = name
        self._fps = fps

    @cached_property
    def fingerprint(self) -> str:
        """Hash of shape and pixels."""
        digest = hashlib.blake2b(str(self._videos.shape).encode(), digest_size=32)
        for video in self._videos:
            digest.update(np.ascontiguousarray(video).data)
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._videos)

    def meta(self, i: int) -> VideoMeta:
        """Returns length and size, the same for every video."""
        frames, height, width, _ = self._videos[i].shape
        return VideoMeta(f"{i:06d}", frames, height, width, self._fps, group=f"{i:06d}")

    def read(self, i: int, frames: Int64[ndarray, "t"]) -> UInt8[ndarray, "t h w 3"]:
        """Returns the given frames of video `i`."""
        chosen: UInt8[ndarray, "t h w 3"] = self._videos[i][frames]
        return chosen
