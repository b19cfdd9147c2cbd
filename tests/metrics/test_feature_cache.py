"""Features on disk: what is kept, what is found again, and an evaluation that was interrupted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.metrics.cores import Brightness
from vgbench.errors import ProtocolError
from vgbench.metrics.clip_set import ClipSet
from vgbench.metrics.evaluator import Evaluator
from vgbench.metrics.feature_cache import FeatureCache, FeatureShard
from vgbench.metrics.protocol import get_protocol

RAW = replace(get_protocol("hfd16/demo"), variant="raw", normalise="none", null_splits=0, frames=9)
ENERGY = replace(RAW, metric="hed16", statistic="energy")


def clip(seed, size=8):
    return np.random.default_rng(seed).integers(0, 256, (9, size, size, 3), np.uint8)


class Videos:
    """A set of clips that notes which were read, and can break down at one of them."""

    def __init__(self, n=20, seed=0, identity="videos", breaks_at=None, size=8):
        self.n, self.seed, self.size = n, seed, size
        self.identity, self.breaks_at, self.seen = identity, breaks_at, []

    def read(self, protocol, first, step):
        for i in range(first, self.n, step):
            if i == self.breaks_at:
                raise KeyboardInterrupt
            self.seen.append(i)
            yield clip(1000 * self.seed + i, self.size)

    @property
    def set(self):
        return ClipSet(self.read, self.identity, size=lambda protocol: self.n)


def evaluate(real, fake, cache, *protocols, **options):
    extractors = {"jet-2": options.pop("core", None) or Brightness()}
    evaluator = Evaluator(protocols or [RAW], extractors=extractors, cache=cache, **options)
    return evaluator.evaluate(real.set, fake.set)


@pytest.fixture
def cache(tmp_path):
    return FeatureCache(tmp_path / "features", shard_items=4)


def pair(n=20, **options):
    return Videos(n, 0, "real", **options), Videos(n, 1, "fake")


def shard(items, is_last=False, dim=3):
    rows = np.arange(items * dim, dtype=np.float32).reshape(items, dim)
    return FeatureShard(rows, np.ones(items, np.int64), (8, 6), is_last)


def test_a_shard_comes_back_as_it_was(cache):
    place = cache.find({"clips": "a"})
    assert place.load(0, 4) is None
    place.store(0, shard(4))
    found = place.load(0, 4)
    assert np.array_equal(found.rows, shard(4).rows)
    assert (found.resolution, found.is_last) == ((8, 6), False)
    assert place.load(4, 4) is None
    assert cache.find({"clips": "b"}).load(0, 4) is None


def test_a_shorter_shard_is_enough_only_where_the_set_ends(cache):
    place = cache.find({"clips": "a"})
    place.store(0, shard(3))
    assert place.load(0, 4) is None
    assert len(place.load(0, 2).rows) == 2
    place.store(0, shard(3, is_last=True))
    assert len(place.load(0, 4).rows) == 3


def test_items_of_several_samples_are_cut_between_items(cache):
    place = cache.find({"clips": "a"})
    rows = np.arange(6, dtype=np.float32)[:, None]
    place.store(0, FeatureShard(rows, np.array([1, 3, 2]), (8, 8), False))
    assert place.load(0, 2).rows[:, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", "flip"])
def test_a_damaged_shard_counts_as_missing(cache, tmp_path, caplog, damage):
    place = cache.find({"clips": "a"})
    place.store(0, shard(4))
    (file,) = tmp_path.rglob("*.npz")
    content = bytearray(file.read_bytes())
    at = content.index(shard(4).rows.tobytes())
    if damage == "flip":
        content[at + 5] ^= 1
    file.write_bytes(content if damage == "flip" else damage(bytes(content)))
    assert place.load(0, 4) is None
    assert "is damaged" in caplog.text


def test_nothing_is_left_behind_and_a_full_disk_is_a_warning(tmp_path, caplog):
    place = FeatureCache(tmp_path / "file" / "x").find({})
    (tmp_path / "file").write_text("in the way")
    place.store(0, shard(4))
    assert "features are not kept" in caplog.text
    FeatureCache(tmp_path).find({}).store(0, shard(4))
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_second_evaluation_reads_no_clip(cache):
    expected = evaluate(*pair(), None, RAW, ENERGY)
    assert evaluate(*pair(), cache, RAW, ENERGY) == expected
    real, fake = pair()
    told = []
    again = evaluate(real, fake, cache, ENERGY, RAW, on_progress=lambda *call: told.append(call))
    assert again == expected[::-1]
    assert (real.seen, fake.seen) == ([], [])
    assert ("real (cached)", 20, 20) in told
    assert "real" not in {stage for stage, done, _ in told if done}


def test_an_interrupted_evaluation_does_the_rest_only(cache):
    expected = evaluate(*pair(), None)
    real, fake = pair(breaks_at=10)
    with pytest.raises(KeyboardInterrupt):
        evaluate(real, fake, cache, batch_size=2)
    assert real.seen == list(range(10))
    real, fake = pair()
    assert evaluate(real, fake, cache, batch_size=3) == expected
    assert real.seen == list(range(8, 20))  # the third shard was not complete
    assert fake.seen == list(range(20))


def test_a_damaged_shard_is_computed_again(cache, tmp_path):
    expected = evaluate(*pair(), cache)
    for file in tmp_path.rglob("00000008.npz"):
        file.write_bytes(b"damaged")
    real, fake = pair()
    assert evaluate(real, fake, cache) == expected
    assert real.seen == fake.seen == [8, 9, 10, 11]


def test_a_larger_set_goes_on_where_a_smaller_one_ended(cache):
    few = replace(RAW, n_real=8)
    evaluate(*pair(), cache, few)
    real, fake = pair()
    assert evaluate(real, fake, cache) == evaluate(*pair(), None)
    assert real.seen == fake.seen == list(range(8, 20))
    real, fake = pair()
    (again,) = evaluate(real, fake, cache, replace(RAW, n_real=6))
    assert (again.n_real, real.seen) == (6, [])


@pytest.mark.parametrize(
    "change",
    [
        {"identity": "others"},
        {"seed": 1},
        {"version": 2},
        {"weights": "other"},
        {"stride": 2},
        {"fake_start": "zero"},
    ],
)
def test_whatever_changes_features_changes_their_place(cache, change):
    evaluate(*pair(), cache)
    real, fake = pair()
    core, protocol = Brightness(), RAW
    (name, value), *_ = change.items()
    if name == "identity":
        real.identity = value
    elif name == "version":
        core.version = value
    elif name == "weights":
        core.weights = replace(core.weights, identity="other", sha256="12")
    else:
        protocol = replace(RAW, **change)
    evaluate(real, fake, cache, protocol, core=core)
    assert bool(real.seen) == (name != "fake_start")
    assert bool(fake.seen) == (name != "identity")


def test_precision_and_preprocessing_are_part_of_the_place():
    core = Brightness()
    before = core.identity
    core.precision = "bf16"
    assert core.identity != before
    core.precision, core.preprocess_id = "fp32", "other"
    assert core.identity != before


def test_sets_of_unknown_origin_are_not_kept(cache, tmp_path):
    real, fake = pair()
    real.identity = fake.identity = ""
    evaluate(real, fake, cache)
    assert not list(tmp_path.rglob("*.npz"))


def test_sizes_are_compared_without_reading_a_clip(cache):
    evaluate(*pair(), cache)
    large = Videos(20, 1, "large", size=16)
    with pytest.raises(ProtocolError, match="fake clip has 16x16 pixels, the first real clip 8x8"):
        evaluate(pair()[0], large, cache)
    evaluate(Videos(20, 0, "large real", size=16), large, cache)
    with pytest.raises(ProtocolError, match="fake clip has 16x16 pixels, the first real clip 8x8"):
        evaluate(pair()[0], large, cache)


def in_two_processes(rank, folder, breaks_at):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    real, fake = pair(breaks_at=breaks_at)
    # an odd shard, so that the processes take turns
    cache = FeatureCache(folder / "features", shard_items=5)
    try:
        values = [s.value for s in evaluate(real, fake, cache, RAW, ENERGY, batch_size=2)]
    except KeyboardInterrupt:
        values = None
    torch.save((values, real.seen, fake.seen), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_clips_and_cache_with_one(tmp_path):
    expected = [score.value for score in evaluate(*pair(), None, RAW, ENERGY)]
    real, fake = pair(breaks_at=10)
    with pytest.raises(KeyboardInterrupt):
        evaluate(real, fake, FeatureCache(tmp_path / "features", shard_items=5), batch_size=2)
    mp.spawn(in_two_processes, args=(tmp_path, None), nprocs=2)
    for rank in (0, 1):
        values, real_seen, fake_seen = torch.load(tmp_path / f"{rank}.pt")
        assert values == pytest.approx(expected, rel=1e-12)
        assert real_seen == [i for start in (10, 15) for i in range(start + rank, start + 5, 2)]
        assert len(fake_seen) == (12, 8)[rank]
    real, fake = pair()
    again = evaluate(real, fake, FeatureCache(tmp_path / "features", shard_items=5), RAW, ENERGY)
    assert [score.value for score in again] == pytest.approx(expected, rel=1e-12)
    assert not real.seen
