import os
import sys
from itertools import chain, islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import multiprocessing

from tests.data.test_clips import CountingSource
from vgbench.data.wds import EXPORT_MANIFEST, export, read_exported
from vgbench.data.wds_loader import WdsLoader
from vgbench.errors import DataError, UsageError
from vgbench.sampling import Contiguous, Sparse
from vgbench.types import SampleRequest

LENGTHS = [20, 9, 31, 8, 7, 16, 25, 40]


@pytest.fixture
def wds():
    return pytest.importorskip("webdataset", reason="the extra `wds` is not installed")


@pytest.fixture
def shards(wds, tmp_path):
    """Clips of eight frames in shards of a few clips each."""
    return exported(tmp_path / "shards")


def exported(folder, frames=8, shard_bytes=1000):
    export(CountingSource(LENGTHS), folder, frames=frames, shard_bytes=shard_bytes)
    return folder


def loader(shards, batch_size=3, policy=None, **options):
    request = SampleRequest(policy or Contiguous(4), flip=True)
    return WdsLoader(shards, request, batch_size, seed=1, **options)


def take(batches, steps):
    taken = list(islice(batches, steps))
    return {key: torch.cat([batch[key] for batch in taken]) for key in taken[0]}


def test_without_webdataset(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(DataError, match=r"need webdataset \(pip install vgbench\[wds\]\)"):
        read_exported(str(tmp_path))


def test_an_export_holds_every_clip_once(wds, shards):
    manifest = read_exported(str(shards))
    assert manifest.clips == sum(n // 8 for n in LENGTHS) == 17
    assert len(manifest.shards) > 3
    assert (manifest.name, manifest.key, manifest.fps) == ("counting", "0" * 64, 25.0)
    assert set(os.listdir(shards)) == {EXPORT_MANIFEST, *manifest.shards}
    files = [{"url": str(shards / name)} for name in manifest.shards]
    places = set()
    for member in wds.WebDataset([f["url"] for f in files], shardshuffle=False).decode():
        about, video = member["json"], member["npy"]
        assert about["video_id"] == f"v{about['video']}"
        assert (video[:, 0, 0, 0] == about["video"]).all()
        assert (video[:, 0, 0, 1] == about["start"] + np.arange(8)).all()
        places.add((about["video"], about["start"]))
    assert places == {(i, k * 8) for i, n in enumerate(LENGTHS) for k in range(n // 8)}


def test_stride_and_whole_videos(wds, tmp_path):
    source = CountingSource(LENGTHS)
    strided = export(source, tmp_path / "a", frames=4, stride=3)
    assert strided.clips == sum((n + 2) // 3 // 4 for n in LENGTHS)
    assert strided.fps == 25 / 3
    whole = export(source, tmp_path / "b")
    assert sorted(chain.from_iterable(whole.shards.values())) == sorted(LENGTHS)
    batch = next(iter(loader(tmp_path / "b", policy=Contiguous(10))))
    assert (batch["video"][:, :, 0, 0, 1].int().diff(dim=1) == 1).all()


def test_the_same_bytes_again_and_nothing_half_done(wds, tmp_path):
    first, second = exported(tmp_path / "a"), exported(tmp_path / "b")
    for name in os.listdir(first):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    with pytest.raises(UsageError, match="exists; give another folder"):
        exported(tmp_path / "a")

    class Broken(CountingSource):
        def read(self, i, frames):
            if i == 3:
                raise OSError("disk gone")
            return super().read(i, frames)

    with pytest.raises(OSError, match="disk gone"):
        export(Broken(LENGTHS), tmp_path / "c", frames=8)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_an_epoch_shows_each_clip_once_in_another_order(shards):
    shown = take(loader(shards, 17), 3)["n"].reshape(3, 17)
    for epoch, numbers in enumerate(shown):
        assert sorted((numbers - 17 * epoch).tolist()) == list(range(17))
    assert (shown[0] != shown[1] - 17).any()


def test_batches_are_like_those_of_a_cache(shards):
    batch = next(iter(loader(shards, 6, Sparse(3, max_dist=4))))
    assert batch["video"].dtype == torch.uint8
    assert batch["video"].shape == (6, 3, 1, 2, 3)
    marks = batch["video"].numpy()
    assert (marks[:, :, 0, 0, 0] == batch["index"][:, None].numpy()).all()
    assert batch["t"].dtype == torch.float32
    assert (np.diff(marks[:, :, 0, 0, 1]) == np.diff(batch["t"].numpy())).all()
    assert (marks[:, 0, 0, 0, 2] == batch["flip"].numpy()).all()  # the right half is marked
    assert batch["label"].tolist() == [-1] * 6


@pytest.mark.parametrize("start", [1, 5, 9])
def test_resume_after_any_batch(shards, start):
    whole = take(loader(shards), 14)
    rest = take(loader(shards, start=start), 14 - start)
    for key, value in rest.items():
        assert torch.equal(value, whole[key][3 * start :]), key


def test_short_clips_are_left_out_and_none_is_an_error(wds, tmp_path):
    whole = exported(tmp_path / "a", frames=None)
    videos = take(loader(whole, 4, Contiguous(20)), 2)["index"].tolist()
    assert sorted(videos[:4]) == sorted(videos[4:]) == [0, 2, 6, 7]
    expected = r"no video has the 50 frames that policy contiguous needs \(longest: 40\)"
    with pytest.raises(DataError, match=expected):
        loader(whole, policy=Contiguous(50))


def test_no_export_and_too_few_shards(wds, tmp_path):
    with pytest.raises(DataError, match="holds no readable export"):
        loader(tmp_path)
    with pytest.raises(DataError, match="1 shards are too few"):
        loader(exported(tmp_path / "a", shard_bytes=10**9), workers=2)


def in_turn(monkeypatch, shards, steps, start=0):
    """Returns what two workers would deliver, asked in turn in this process."""
    readers = []
    for worker in range(2):
        info = SimpleNamespace(id=worker, num_workers=2)
        monkeypatch.setattr("vgbench.data.wds_loader.get_worker_info", lambda info=info: info)
        readers.append(iter(loader(shards, 2, start=start)))
        first = next(readers[-1])  # a generator asks for its place when it starts
        readers[-1] = chain([first], readers[-1])
    return take((next(readers[step % 2]) for step in range(steps)), steps)


@pytest.mark.parametrize("start", [1, 4, 7])
def test_workers_resume_and_share_an_epoch(monkeypatch, shards, start):
    whole = in_turn(monkeypatch, shards, 24)
    rest = in_turn(monkeypatch, shards, 24 - start, start)
    assert all(torch.equal(rest[key], whole[key][2 * start :]) for key in whole)
    shown = whole["n"].tolist()
    assert sorted(n for n in shown if n < 17) == list(range(17))


@pytest.mark.slow
def test_worker_processes(monkeypatch, shards):
    delivered = take(loader(shards, 2, workers=2), 8)
    expected = in_turn(monkeypatch, shards, 8)
    assert all(torch.equal(delivered[key], expected[key]) for key in expected)


def _read_as(rank, address, shards, results):
    torch.distributed.init_process_group("gloo", f"file://{address}", rank=rank, world_size=2)
    numbers = take(loader(shards, 1), 30)["n"]
    rest = take(loader(shards, 1, start=7), 23)["n"]
    assert torch.equal(numbers[7:], rest)
    results.put(numbers.tolist())
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_an_epoch_and_resume(shards, tmp_path):
    results = multiprocessing.get_context("spawn").SimpleQueue()
    multiprocessing.spawn(_read_as, (tmp_path / "meet", shards, results), nprocs=2)
    first, second = results.get(), results.get()
    assert sorted(n for n in first + second if n < 17) == list(range(17))
    assert all(n in first + second for n in range(17, 34))
