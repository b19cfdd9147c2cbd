import threading
import time
from itertools import islice

import pytest
import torch

from tests.data.test_clips import CountingSource, dataset
from vgbench.data.loader import ClipLoader


def stream(start=0, world=1, batch=12, steps=5, read_ahead=False):
    """Returns the videos of `steps` steps as all ranks together see them."""
    loaders = [
        iter(ClipLoader(dataset([30] * 7, flip=True), batch // world, start, r, world, read_ahead))
        for r in range(world)
    ]
    batches = [next(loader) for _ in range(steps) for loader in loaders]
    for loader in loaders:
        loader.close()
    return torch.cat([b["n"] for b in batches]), torch.cat([b["video"] for b in batches])


@pytest.mark.parametrize("world", [2, 3, 4])
def test_same_sequence_for_any_number_of_ranks(world):
    numbers, videos = stream()
    assert numbers.tolist() == list(range(60))
    other_numbers, other_videos = stream(world=world)
    assert torch.equal(numbers, other_numbers)
    assert torch.equal(videos, other_videos)


@pytest.mark.parametrize("start", [12, 36, 37])
def test_resume_at_a_sample_is_the_uninterrupted_run(start):
    _, whole = stream(steps=8)
    numbers, rest = stream(start=start, steps=4)
    assert numbers.tolist() == list(range(start, start + 48))
    assert torch.equal(rest, whole[start : start + 48])


def test_reading_ahead_changes_nothing():
    assert all(map(torch.equal, stream(), stream(read_ahead=True)))


def test_iterating_twice_gives_the_same():
    loader = ClipLoader(dataset([30] * 7), 4)
    first, second = (list(islice(loader, 3)) for _ in range(2))
    assert all(torch.equal(a["video"], b["video"]) for a, b in zip(first, second, strict=True))


def reading_threads():
    return [t for t in threading.enumerate() if t.name == "vgbench-clips"]


def test_the_thread_ends_with_its_iterator():
    before = len(reading_threads())
    for end in ("close", "drop", "interrupt"):
        batches = iter(ClipLoader(dataset([30] * 7), 4, read_ahead=True))
        next(batches)
        assert len(reading_threads()) == before + 1
        if end == "close":
            batches.close()
        elif end == "interrupt":
            with pytest.raises(KeyboardInterrupt):
                batches.throw(KeyboardInterrupt)
        del batches
        assert len(reading_threads()) == before


def test_it_reads_ahead_but_not_without_end():
    class Slow(CountingSource):
        reads = 0

        def read(self, i, frames):
            self.reads += 1
            return super().read(i, frames)

    clips = dataset([30] * 7)
    clips.source = slow = Slow([30] * 7)
    batches = iter(ClipLoader(clips, 2, read_ahead=True))
    next(batches)
    time.sleep(0.3)
    assert 4 <= slow.reads <= 8
    batches.close()


def test_an_error_while_reading_reaches_the_consumer():
    class Broken(CountingSource):
        def read(self, i, frames):
            raise OSError("disk gone")

    clips = dataset([30] * 7)
    clips.source = Broken([30] * 7)
    before = len(reading_threads())
    with pytest.raises(OSError, match="disk gone"):
        next(iter(ClipLoader(clips, 2, read_ahead=True)))
    assert len(reading_threads()) == before
