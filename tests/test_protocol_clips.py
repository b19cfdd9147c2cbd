"""Which real clips every published protocol takes of a data set."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.data.test_clips import CountingSource
from vgbench.errors import ProtocolError
from vgbench.evaluation import evaluate
from vgbench.metrics.protocol import PROTOCOLS, check_enough, get_protocol
from vgbench.subjects import real_clips, real_set


def places(name, lengths, part=(0, 1), **changes):
    """Returns (video, first frame) of every real clip."""
    protocol = replace(get_protocol(name), **changes)
    counts = check_enough(replace(protocol, min_clips=1), lengths)
    clips = real_clips(CountingSource(lengths), protocol, n=counts.n_real, draw=0, part=part)
    return [(int(clip[0, 0, 0, 0]), int(clip[0, 0, 0, 1])) for clip in clips]


def test_styleganv_takes_the_first_videos_in_path_order_at_any_start():
    found = places("fvd16/styleganv", [60] * 30, n_real=20)
    assert [video for video, _ in found] == list(range(20))
    assert len({start for _, start in found}) > 8


def test_the_last_start_of_a_strided_clip():
    starts = {start for _, start in places("fvd128s8/styleganv", [130] * 200)}
    assert starts == set(range(130 - 16 * 8 + 7 + 1))


def test_lengths_decide_who_is_in():
    assert len(places("fvd128s8/styleganv", [128, 127, 129])) == 2
    assert len(places("fvd128s8/styleinv", [128, 121, 120])) == 2


def test_styleinv_shuffles_the_videos():
    first = [video for video, _ in places("fvd16/styleinv", [20] * 40, n_real=20)]
    assert len(set(first)) == 20
    assert first != sorted(first)
    assert max(first) > 20


def test_lvg_cycles_with_other_starts():
    found = places("fvd16/lvg", [90] * 7, n_real=21)
    assert Counter(video for video, _ in found) == dict.fromkeys(range(7), 3)
    assert all(len({v for v, _ in found[i : i + 7]}) == 7 for i in (0, 7, 14))
    assert len(set(found)) > 18


@pytest.mark.parametrize("name", ["fvd16/lvg", "fid50k/styleinv", "fvd16/digan"])
def test_clips_know_their_videos(name):
    protocol = replace(get_protocol(name), n_real=40, n_fake=40, min_clips=1)
    source = CountingSource([90, 3, 90, 90, 20])
    counts = check_enough(protocol, [90, 3, 90, 90, 20])
    clips = real_set(source, {protocol.id: counts}, draw=0)
    found = [int(clip[0, 0, 0, 0]) for clip in clips.read(protocol, 0, 1)]
    told = [clips.video_of(protocol, item) for item in range(len(found))]
    if name == "fvd16/digan":  # one clip of a video in each trial
        assert told == list(range(len(found)))
    else:
        assert told == found
        assert len(set(told)) < len(told)


def test_styleinv_images_are_random_frames_of_random_videos():
    found = places("fid50k/styleinv", [4, 9, 30], n_real=600)
    counts = Counter(video for video, _ in found)
    assert all(150 < counts[video] < 250 for video in range(3))
    assert {start for video, start in found if video == 0} == {0, 1, 2, 3}


def test_g3an_takes_the_centre():
    assert places("vfid", [16, 33]) == [(0, 0), (1, 33 // 2 - 8)]


@pytest.mark.parametrize("world", [2, 3])
def test_trials_are_other_clips_and_shards_share_them_out(world):
    whole = places("fvd16/digan", [60] * 10, n_real=5, trials=3)
    assert len(whole) == 15
    trials = [whole[i : i + 5] for i in (0, 5, 10)]
    assert all(len({video for video, _ in trial}) == 5 for trial in trials)
    assert len({tuple(trial) for trial in trials}) == 3
    for rank in range(world):
        part = places("fvd16/digan", [60] * 10, (rank, world), n_real=5, trials=3)
        assert part == whole[rank::world]


def test_too_few_generated_videos_are_refused_before_anything_is_read(monkeypatch):
    fixed = replace(get_protocol("hed16"), variant="fixed", n_fake=100)
    monkeypatch.setitem(PROTOCOLS._added, fixed.name, fixed)
    real, told = np.zeros((4, 16, 32, 32, 3), np.uint8), []
    with pytest.raises(ProtocolError, match="needs 100 generated clips; there are 3") as caught:
        evaluate(real, real[:3], "hed16/fixed", on_progress=lambda *call: told.append(call))
    assert caught.value.exit_code == 7
    assert not told
