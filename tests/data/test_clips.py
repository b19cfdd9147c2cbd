import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch.utils.data import DataLoader

from tests.data.made_cache import made_cache
from vgbench.data.clips import ClipDataset
from vgbench.data.config import ShapesConfig
from vgbench.data.synthetic import ShapesSource
from vgbench.errors import DataError
from vgbench.sampling import BetaPair, Contiguous, FirstFrameSparse, Image, Sparse
from vgbench.types import SampleRequest, VideoMeta


class CountingSource:
    """Videos whose pixels say which video and frame they are."""

    name, fingerprint = "counting", "0" * 64

    def __init__(self, lengths):
        self.lengths = lengths

    def __len__(self):
        return len(self.lengths)

    def meta(self, i):
        return VideoMeta(f"v{i}", self.lengths[i], 1, 2, 25.0)

    def read(self, i, frames):
        assert (frames >= 0).all()
        assert (frames < self.lengths[i]).all()
        video = np.zeros((len(frames), 1, 2, 3), np.uint8)
        video[..., 0], video[..., 1] = i, frames[:, None, None]
        video[:, :, 1, 2] = 1  # the right half is marked
        return video


def dataset(lengths, policy=None, seed=0, **request):
    """Returns clips of four frames unless a policy says otherwise."""
    request = SampleRequest(policy or Contiguous(4), **request)
    return ClipDataset(CountingSource(lengths), request, seed)


def test_each_epoch_shows_each_video_once_in_another_order():
    clips = dataset([20] * 50)
    orders = [[clips.sample(n)["index"] for n in range(e * 50, e * 50 + 50)] for e in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] != orders[1] != orders[2]


def test_exactly_long_enough_is_usable_and_one_less_is_not():
    clips = dataset([13, 12, 40, 5], Contiguous(5, (3, 1)))
    assert clips.videos.tolist() == [0, 2]
    assert clips.too_short == 2
    assert {clips.sample(n)["index"] for n in range(20)} == {0, 2}


def test_mirroring_is_a_fair_coin_and_changes_nothing_else():
    plain, mirrored = (dataset([30] * 3, flip=flip) for flip in (False, True))
    coins = []
    for n in range(600):
        a, b = plain.sample(n), mirrored.sample(n)
        coins.append(b["flip"])
        assert not a["flip"]
        assert torch.equal(b["video"].flip(2) if b["flip"] else b["video"], a["video"])
    assert 240 < sum(coins) < 360


def test_sample_depends_on_seed_and_number_alone():
    clips, other = dataset([30] * 7, flip=True), dataset([30] * 7, flip=True)
    backwards = {n: other.sample(n) for n in reversed(range(30))}
    for n in range(30):
        assert torch.equal(clips.sample(n)["video"], backwards[n]["video"])
    reseeded = dataset([30] * 7, seed=1, flip=True)
    assert any(
        not torch.equal(clips.sample(n)["video"], reseeded.sample(n)["video"]) for n in range(30)
    )


def test_sample_says_what_it_is():
    sample = dataset([30, 30], Contiguous(4, (2,))).sample(3)
    assert sample["video"].dtype == torch.uint8
    assert sample["video"].shape == (4, 1, 2, 3)
    assert sample["t"].tolist() == [0, 2, 4, 6]
    assert sample["video_id"] == f"v{sample['index']}"
    assert (sample["label"], sample["n"]) == (-1, 3)


def test_batch_is_its_samples():
    clips = dataset([30] * 7, flip=True)
    batch = clips.__getitems__(range(5, 11))
    for row, n in enumerate(range(5, 11)):
        sample = clips.sample(n)
        for key in ("video", "t"):
            assert torch.equal(batch[key][row], sample[key])
        for key in ("index", "flip", "label", "n"):
            assert batch[key][row].item() == sample[key]
    assert batch["video"].shape == (6, 4, 1, 2, 3)


def test_nothing_long_enough():
    with pytest.raises(DataError) as error:
        dataset([12, 9], Contiguous(16))
    expected = "no video has the 16 frames that policy contiguous needs (longest: 12)"
    assert str(error.value) == expected


def test_videos_too_short_for_a_policy_are_counted_and_never_drawn():
    clips = dataset([200, 127, 128, 3], FirstFrameSparse())
    assert clips.too_short == 2
    assert {clips.sample(n)["index"] for n in range(10)} == {0, 2}
    with pytest.raises(DataError, match=r"policy first_frame_sparse needs \(longest: 127\)"):
        dataset([127], FirstFrameSparse())


def test_times_are_those_of_the_policy():
    sample = dataset([30], BetaPair(clip=9)).sample(0)
    frames = sample["video"][:, 0, 0, 1].int()
    assert (sample["t"] * 8).diff().round().int().item() == frames.diff().item()
    assert sample["t"].dtype == torch.float32


LENGTHS = [5, 10, 20, 40, 80]


def indices(clips, n):
    return np.concatenate([clips.plan(range(i, i + 500)).videos for i in range(0, n, 500)])


@pytest.mark.parametrize(
    ("weight", "shares"),
    [("video", np.ones(5)), ("frame", np.array(LENGTHS)), ("sqrt", np.sqrt(LENGTHS))],
)
def test_weight_decides_how_often_a_long_video_is_drawn(weight, shares):
    counts = np.bincount(indices(dataset(LENGTHS, weight=weight), 10_000))
    assert np.abs(counts / 10_000 - shares / shares.sum()).max() < 0.01
    assert (counts == 2000).all() == (weight == "video")


def test_an_epoch_draws_each_video_by_its_weight_to_within_one():
    lengths = [10] * 30 + [40] * 10
    clips = dataset(lengths, weight="frame")
    expected = np.array(lengths) / sum(lengths) * 40
    for epoch in range(20):
        counts = np.bincount(clips.plan(range(40 * epoch, 40 * epoch + 40)).videos, minlength=40)
        assert np.abs(counts - expected).max() < 1


def test_image_is_uniform_over_all_frames_or_over_videos():
    places = []
    for request in ({}, {"weight": "video"}):
        plan = dataset([4, 16], Image(), **request).plan(range(6000))
        places.append(100 * plan.videos + plan.frames.index[:, 0])
    counts = [np.unique(place, return_counts=True)[1] for place in places]
    assert chisquare(counts[0]).pvalue > 1e-4  # 20 frames, all alike
    each = np.array([0.5 / 4] * 4 + [0.5 / 16] * 16) * 6000
    assert chisquare(counts[1], each).pvalue > 1e-4


@pytest.mark.parametrize("policy", [Sparse(), Contiguous(4), Image()], ids=str)
def test_batches_cross_epochs_and_come_in_any_split(policy):
    clips = dataset([30, 40, 50, 60, 70], policy, flip=True, weight="sqrt")
    whole = clips.__getitems__(range(3, 43))
    for size in (1, 7, 16):
        parts = [clips.__getitems__(range(n, min(n + size, 43))) for n in range(3, 43, size)]
        for key in whole:
            assert torch.equal(torch.cat([part[key] for part in parts]), whole[key]), key
    scattered = clips.__getitems__([40, 3, 17])
    assert torch.equal(scattered["video"], whole["video"][[37, 0, 14]])


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_change_nothing(workers):
    clips = dataset([30] * 7, Sparse(), flip=True)
    loader = DataLoader(
        clips,
        batch_sampler=[range(n, n + 6) for n in range(0, 36, 6)],
        num_workers=workers,
        collate_fn=lambda batch: batch,
        multiprocessing_context="fork",
    )
    whole = clips.__getitems__(range(36))
    assert torch.equal(torch.cat([batch["video"] for batch in loader]), whole["video"])


def test_a_source_that_reads_batches_gives_the_same():
    class Filling(CountingSource):
        def read_batch(self, videos, frames, out):
            for row, i in enumerate(videos):
                out[row] = self.read(i, frames[row])

    plain, filling = dataset([30] * 7, flip=True), dataset([30] * 7, flip=True)
    filling.source = Filling([30] * 7)
    batches = [clips.__getitems__(range(20)) for clips in (plain, filling)]
    assert all(torch.equal(batches[0][key], batches[1][key]) for key in batches[0])


def test_regression_values():
    # a change here changes every training run: say so in the release notes
    clips = dataset([30] * 7)
    samples = [clips.sample(n) for n in range(8)]
    assert [s["index"] for s in samples] == [3, 2, 4, 5, 1, 6, 0, 6]
    assert [int(s["video"][0, 0, 0, 1]) for s in samples] == [10, 15, 1, 5, 8, 16, 19, 14]


@pytest.mark.parametrize("codec", ["raw", "jpeg:100"])
@pytest.mark.parametrize("policy", [Contiguous(4), Sparse(5)], ids=str)
def test_clips_of_a_cache(tmp_path, codec, policy):
    lengths, labels = [30, 40, 50, 60, 35], [3, 1, 4, 1, 5]
    source = made_cache(tmp_path / "c", lengths, 8, 2, codec, labels)
    clips = ClipDataset(source, SampleRequest(policy, flip=True), 0)
    batch, plan = clips.__getitems__(range(40)), clips.plan(range(40))
    assert batch["video"].shape == (40, policy.frames, 8, 8, 3)
    marks = batch["video"].numpy().astype(int).mean(axis=(2, 3))
    assert np.abs(marks[..., 0] - batch["index"][:, None].numpy()).max() <= 1  # JPEG rounds
    assert np.abs(marks[..., 1] - plan.frames.index).max() <= 1
    assert batch["label"].tolist() == [labels[i] for i in batch["index"]]


@pytest.mark.slow
def test_memory_and_descriptors_are_flat_over_an_epoch_of_100_000_clips(tmp_path):
    source = made_cache(
        tmp_path / "c", [8] * 100_000, per_shard=1450
    )  # 69 shards: five more than stay open
    clips = ClipDataset(source, SampleRequest(Sparse(max_dist=4), flip=True), 0)

    def state():
        status = Path("/proc/self/status").read_text()
        anonymous = re.search(
            r"RssAnon:\s+(\d+) kB", status
        )  # the system frees mapped pages at will
        return int(anonymous[1]) * 1024, len(os.listdir("/proc/self/fd"))

    states, seen = [], np.zeros(100_000, np.int64)
    for n in range(0, 100_000, 64):
        batch = clips.__getitems__(range(n, min(n + 64, 100_000)))
        seen[batch["index"].numpy()] += 1
        if n % 6400 == 0:
            states.append(state())
    assert (seen == 1).all()
    memory, descriptors = np.array(states[2:]).T
    assert np.ptp(memory) < 8 * 2**20
    assert np.ptp(descriptors) <= 1


def test_clips_of_shapes():
    clips = ClipDataset(ShapesSource(ShapesConfig(resolution=32)), SampleRequest(), 0)
    assert clips.__getitems__([0, 10**9])["video"].shape == (2, 16, 32, 32, 3)
