import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import moving_square, write_video
from tests.data.preparing import pool_of_tests, run
from vgbench.data import cache as cache_module
from vgbench.data.cache import CacheSource, open_cache
from vgbench.data.config import cache_config
from vgbench.data.prepare import build
from vgbench.data.sources import VideoSource, open_dataset
from vgbench.errors import DataError


@pytest.fixture(scope="module", autouse=True)
def _pool():
    with pool_of_tests():
        yield


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of six small films."""
    folder = tmp_path_factory.mktemp("films")
    for n in range(6):
        write_video(folder / f"{n}.mkv", np.roll(moving_square(20, 32, 32), 5 * n, axis=2))
    return folder


@pytest.fixture(scope="module", params=["raw", "jpeg:95"])
def folder(request, films, tmp_path_factory):
    """A cache of them in several shards; nothing may change it."""
    limit, build.MAX_SHARD_BYTES = build.MAX_SHARD_BYTES, 41 * 3072
    try:
        target = tmp_path_factory.mktemp("out") / "films_32"
        return run(films, target, codec=request.param, split="1:1:1").folder
    finally:
        build.MAX_SHARD_BYTES = limit


@pytest.fixture
def own(folder, tmp_path):
    """A copy of the cache that a test may damage."""
    copy = tmp_path / "films_32"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def everything(folder):
    return CacheSource(folder, split=None)


def test_opened_through_its_options(folder):
    source = open_dataset(cache_config(folder))
    assert isinstance(source, CacheSource)
    assert isinstance(source, VideoSource)


def test_frames_are_the_films(folder):
    source = everything(folder)
    jpeg = json.loads((folder / "vgcache.json").read_text())["options"]["codec"] != "raw"
    assert len(list(folder.glob("shard-*"))) >= 2
    for n in range(6):
        expected = np.roll(moving_square(20, 32, 32), 5 * n, axis=2)
        for frames in (np.arange(20), np.array([7, 3, 3]), np.array([19]), np.arange(0)):
            read = source.read(n, frames)
            assert (read.dtype, read.shape) == (np.uint8, (len(frames), 32, 32, 3))
            difference = np.abs(read.astype(int) - expected[frames])
            assert difference.sum() <= (4 if jpeg else 0) * difference.size


def test_a_copy_in_another_process_opens_its_own_shards(folder):
    source = everything(folder)
    frames = source.read(0, np.arange(4))
    copy = pickle.loads(pickle.dumps(source))
    assert not copy._shards
    assert np.array_equal(copy.read(0, np.arange(4)), frames)


def test_a_forked_process_opens_its_own_shards(folder):
    source = everything(folder)
    frames, held = source.read(0, np.arange(4)), next(iter(source._shards.values()))
    child = os.fork()
    if child == 0:
        same = np.array_equal(source.read(0, np.arange(4)), frames)
        os._exit(0 if same and held not in source._shards.values() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_read_is_a_copy(folder):
    source = everything(folder)
    for frames in (np.arange(4), np.array([0, 2])):
        source.read(0, frames)[:] = 0
    assert source.read(0, np.arange(4)).any()


@pytest.mark.parametrize("frame", [20, -1])
def test_bounds(folder, frame):
    with pytest.raises(IndexError):
        everything(folder).read(0, np.array([frame]))


def test_splits_share_nothing_and_lose_nothing(folder):
    config, seen, fingerprints = cache_config(folder), [], set()
    for split in ("train", "val", "test"):
        source = open_cache(config, split)
        seen += [source.meta(i).video_id for i in range(len(source))]
        fingerprints.add(source.fingerprint)
    assert sorted(seen) == [f"{n}.mkv" for n in range(6)]
    assert len(fingerprints) == 3
    assert config.key not in fingerprints
    with pytest.raises(DataError, match="unknown split 'dev'; choose from train, val, test"):
        open_cache(config, "dev")


def test_without_split_everything_is_train(films, tmp_path):
    config = cache_config(run(films, tmp_path / "films_32").folder)
    assert len(open_cache(config)) == 6
    assert open_cache(config).fingerprint == config.key
    with pytest.raises(DataError) as error:
        open_cache(config, "val")
    assert str(error.value) == (
        f"cache {config.path} has no split 'val', only train\n"
        "  prepare it with e.g. --split 80:10:10"
    )


def test_another_key(own):
    config = cache_config(own)
    other = json.loads((own / "vgcache.json").read_text()) | {"key": "0" * 64}
    (own / "vgcache.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="has changed: its key is 000000000000"):
        open_cache(config)


def test_damage_is_seen_when_it_is_opened(own):
    shard = sorted(own.glob("shard-*"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError) as error:
        CacheSource(own)
    assert str(error.value) == (
        f"cache {own} is incomplete or damaged ({shard.name}: missing or of another size); "
        "run: vgbench data prepare … --resume"
    )
    (own / "index.npz").write_bytes(b"no")
    with pytest.raises(DataError, match=r"index\.npz"):
        CacheSource(own)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def resident_kb():
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    )
    return int(line.split()[1])


def test_few_shards_are_open_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(cache_module, "_OPEN_SHARDS", 2)
    source, before = everything(folder), descriptors()
    for n in range(60):
        source.read(n % 6, np.array([n % 20]))
        assert len(source._shards) <= 2
    assert descriptors() <= before + 2


@pytest.mark.slow
def test_nothing_grows_over_ten_thousand_opens(folder):
    def opens(count):
        for n in range(count):
            everything(folder).read(n % 6, np.array([n % 20, 0]))

    opens(500)
    files, memory = descriptors(), resident_kb()
    opens(10_000)
    assert descriptors() <= files
    assert resident_kb() - memory < 4096
