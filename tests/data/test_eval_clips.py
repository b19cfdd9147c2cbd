from itertools import islice

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tests.data.test_clips import CountingSource
from vgbench.data.config import ShapesConfig
from vgbench.data.eval_clips import eval_clips, image_clips
from vgbench.data.sources import VideoFolderSource
from vgbench.data.synthetic import ShapesSource
from vgbench.errors import UsageError
from vgbench.sampling import EvalClips

SIXTEEN = EvalClips(16)


def places(clips):
    """Returns (video, first frame) of each clip."""
    return [(int(clip[0, 0, 0, 0]), int(clip[0, 0, 0, 1])) for clip in clips]


def test_one_clip_per_usable_video():
    source = CountingSource([40, 15, 16, 100, 3])
    clips = list(eval_clips(source, SIXTEEN))
    assert sorted(video for video, _ in places(clips)) == [0, 2, 3]
    assert all(clip.shape == (16, 1, 2, 3) and clip.dtype == torch.uint8 for clip in clips)
    assert [video for video, _ in places(eval_clips(source, SIXTEEN, order="path"))] == [0, 2, 3]


def test_length_rules():
    source = CountingSource([128, 127, 121, 120])
    whole, span = (EvalClips(16, 8, min_length=rule) for rule in ("frames*stride", "span"))
    assert [v for v, _ in places(eval_clips(source, whole, order="path"))] == [0]
    assert [v for v, _ in places(eval_clips(source, span, order="path"))] == [0, 1, 2]
    clip = next(eval_clips(source, whole))
    assert (clip[:, 0, 0, 1].int().diff() == 8).all()


def test_which_videos_are_taken_is_fixed_by_the_seed_and_fair():
    source = CountingSource([20] * 10)
    taken = [[v for v, _ in places(eval_clips(source, SIXTEEN, n=4, seed=s))] for s in range(600)]
    assert taken[3] == [v for v, _ in places(eval_clips(source, SIXTEEN, n=4, seed=3))]
    assert all(len(set(videos)) == 4 for videos in taken)
    assert chisquare(np.bincount(np.concatenate(taken))).pvalue > 1e-4


def test_starts_are_uniform_over_all_valid_ones():
    source = CountingSource([30] * 2)
    starts = [
        start for seed in range(1500) for _, start in places(eval_clips(source, SIXTEEN, seed=seed))
    ]
    counts = np.bincount(starts)
    assert len(counts) == 15
    assert chisquare(counts).pvalue > 1e-4


def test_starts_depend_on_the_video_alone():
    def starts(**options):
        return dict(places(eval_clips(CountingSource([90] * 9), SIXTEEN, **options)))

    assert starts(seed=3) == starts(seed=3, order="path")
    assert starts(seed=3, n=4).items() < starts(seed=3).items()
    assert starts(seed=3) != starts(seed=4)


@pytest.mark.parametrize(("start", "first"), [("zero", 0), ("centre", 37)])
def test_fixed_starts(start, first):
    clips = eval_clips(CountingSource([90] * 3), EvalClips(16, start=start), order="path")
    assert places(clips) == [(i, first) for i in range(3)]


def test_videos_may_be_drawn_again_and_again():
    source = CountingSource([90, 15, 90, 90])
    drawn = places(eval_clips(source, SIXTEEN, n=900, order="random"))
    assert chisquare(np.bincount([v for v, _ in drawn])[[0, 2, 3]]).pvalue > 1e-4
    assert len({place for place in drawn if place[0] == 0}) > 60
    cycled = places(eval_clips(source, SIXTEEN, n=300, order="cycle"))
    assert np.bincount([v for v, _ in cycled]).tolist() == [100, 0, 100, 100]
    assert list(eval_clips(CountingSource([3]), SIXTEEN, order="random")) == []


@pytest.mark.parametrize("world", [2, 3])
def test_shards_are_the_whole_without_repeats(world):
    source = CountingSource([90] * 11)
    whole = places(eval_clips(source, SIXTEEN, n=10))
    parts = [places(eval_clips(source, SIXTEEN, n=10, shard=(r, world))) for r in range(world)]
    assert all(part == whole[r::world] for r, part in enumerate(parts))
    images = places(image_clips(source, n=25))
    parts = [places(image_clips(source, n=25, shard=(r, world))) for r in range(world)]
    assert all(part == images[r::world] for r, part in enumerate(parts))


def test_second_draw_of_a_finite_source_has_other_starts():
    source = CountingSource([90] * 9)
    first, second = (places(eval_clips(source, SIXTEEN, draw=d)) for d in (0, 1))
    assert [v for v, _ in first] == [v for v, _ in second]
    assert first != second


def test_second_draw_of_shapes_has_other_videos():
    source = ShapesSource(ShapesConfig(resolution=16, videos=5))
    first, second = (list(eval_clips(source, SIXTEEN, draw=d)) for d in (0, 1))
    assert len(first) == len(second) == 5
    assert all(not torch.equal(a, b) for a in first for b in second)
    again = list(eval_clips(source.redraw(1), SIXTEEN))
    assert all(torch.equal(a, b) for a, b in zip(again, second, strict=True))


def test_random_images_cycle_through_the_videos():
    source = CountingSource([20] * 4)
    images = list(image_clips(source, n=400))
    assert images[0].shape == (1, 1, 2, 3)
    order = [v for v, _ in places(images[:4])]
    assert sorted(order) == [0, 1, 2, 3]
    assert [v for v, _ in places(images)] == order * 100
    assert [v for v, _ in places(image_clips(source, n=8, order="path"))] == [0, 1, 2, 3] * 2
    assert (
        chisquare(np.bincount([frame for _, frame in places(images)], minlength=20)).pvalue > 1e-4
    )


def test_every_image_in_order():
    source = CountingSource([3, 100, 2])
    wanted = [(i, frame) for i, n in enumerate(source.lengths) for frame in range(n)]
    assert places(image_clips(source, n=None, every_frame=True)) == wanted
    assert places(image_clips(source, n=70, every_frame=True)) == wanted[:70]


def test_files_of_anybody(film_folder):
    source = VideoFolderSource(film_folder)
    clips = list(eval_clips(source, EvalClips(24), order="path"))
    assert [clip.shape for clip in clips] == [(24, 64, 48, 3), (24, 32, 32, 3)]
    assert len(list(islice(image_clips(source), 5))) == 5


def test_random_images_have_no_end():
    source = CountingSource([30])
    with pytest.raises(UsageError, match="random frames have no end"):
        list(image_clips(source, n=None))
