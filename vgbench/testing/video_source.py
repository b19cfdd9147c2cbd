"""What every `VideoSource` keeps to, so that a clip is the same however it is read."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vgbench.data.sources import VideoSource
from vgbench.testing.contract import Tell, examine, ignore, require

_VIDEOS = 8  # so many are read


@dataclass(frozen=True)
class _Twins:
    """A source, and what opening it again gave."""

    one: VideoSource
    other: VideoSource

    @property
    def some(self) -> range:
        return range(min(_VIDEOS, len(self.one)))


def check_video_source(open_source: Callable[[], VideoSource], tell: Tell = ignore) -> None:
    """Examines a data set, of which the first few videos are read.

    Args:
        open_source: Opens it, e.g. `lambda: vgbench.open_dataset(config)`; called twice.
        tell: Called with each finding as soon as it is made.

    Raises:
        ContractError: If it breaks a promise; names all that it breaks.
    """
    twins = _Twins(open_source(), open_source())
    examine(CHECKS, twins, getattr(twins.one, "name", "the source"), tell)


def it_is_a_source(twins: _Twins) -> None:
    """It has a name, videos, and a fingerprint of 64 hex digits that opening again repeats."""
    one, other = twins.one, twins.other
    require(isinstance(one, VideoSource), "an attribute of VideoSource is missing")
    require(len(one) >= 1, "it holds no video")
    require(isinstance(one.name, str) and bool(one.name), f"the name is {one.name!r}")
    hexadecimal = re.fullmatch("[0-9a-f]{64}", str(one.fingerprint))
    require(bool(hexadecimal), f"the fingerprint is {one.fingerprint!r}")
    require(one.fingerprint == other.fingerprint, "opened again it has another fingerprint")


def videos_are_described(twins: _Twins) -> None:
    """Every video has an id of its own, frames, a frame rate, and the size of the others."""
    metas = [twins.one.meta(i) for i in twins.some]
    ids = {meta.video_id for meta in metas}
    require(len(ids) == len(metas), "two videos have the same id")
    require(metas == [twins.other.meta(i) for i in twins.some], "opened again it says other things")
    for meta in metas:
        require(meta.n_frames >= 1, f"{meta.video_id} has {meta.n_frames} frames")
        require(meta.fps > 0, f"{meta.video_id} has {meta.fps} frames per second")
    sizes = {(meta.height, meta.width) for meta in metas}
    require(len(sizes) == 1, f"there are videos of sizes {sorted(sizes)}; a model learns one")


def frames_are_as_described(twins: _Twins) -> None:
    """`read` returns uint8 `(T, H, W, 3)` of the described size, up to the last frame."""
    for i in twins.some:
        meta = twins.one.meta(i)
        frames = np.array([0, meta.n_frames // 2, meta.n_frames - 1])
        video = twins.one.read(i, frames)
        require(video.dtype == np.uint8, f"video {i} is of type {video.dtype}")
        shape = (3, meta.height, meta.width, 3)
        require(video.shape == shape, f"video {i} has shape {video.shape}, not {shape}")


def frames_are_found_by_number(twins: _Twins) -> None:
    """Frames come in the order asked, repeats allowed, the same whatever was read before."""
    for i in twins.some:
        last = twins.one.meta(i).n_frames - 1
        whole = twins.one.read(i, np.arange(last + 1))
        asked = np.array([last, 0, last // 2, 0])
        require(np.array_equal(twins.other.read(i, asked), whole[asked]), f"not of video {i}")
    again = twins.one.read(0, np.arange(twins.one.meta(0).n_frames))
    first = twins.other.read(0, np.arange(twins.one.meta(0).n_frames))
    require(np.array_equal(again, first), "video 0 has changed")


def videos_differ(twins: _Twins) -> None:
    """No two of the first videos are the same."""
    first = [twins.one.read(i, np.array([0])).tobytes() for i in twins.some]
    if len(set(first)) < len(first):
        first = [
            twins.one.read(i, np.arange(twins.one.meta(i).n_frames)).tobytes() for i in twins.some
        ]
    require(len(set(first)) == len(first), "two of them have the same pixels")


def reading_draws_nothing(twins: _Twins) -> None:
    """Reading neither draws from nor seeds NumPy's global generator."""
    before = np.random.get_state(legacy=False)
    twins.one.read(0, np.array([0]))
    after = np.random.get_state(legacy=False)
    require(str(before) == str(after), "its state has changed")


CHECKS = (
    it_is_a_source,
    videos_are_described,
    frames_are_as_described,
    frames_are_found_by_number,
    videos_differ,
    reading_draws_nothing,
)
