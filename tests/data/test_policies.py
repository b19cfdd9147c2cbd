from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from vgbench.data.draws import Draws
from vgbench.data.policies import POLICIES, choose
from vgbench.errors import UsageError
from vgbench.sampling import (
    BetaPair,
    Contiguous,
    EvalClips,
    FirstFrameSparse,
    Image,
    SamplingPolicy,
    Spaced,
    Sparse,
    UniformSparse,
)

N = 6000
EACH = [
    Contiguous(5),
    Contiguous(4, (2, 3)),
    Contiguous(4, (2, 3), parity=True),
    Sparse(),
    Sparse(5, window=20),
    Sparse(spans="uniform"),
    Sparse(spans="uniform", parity=True),
    Sparse(1, max_dist=0, spans="uniform"),
    Sparse(2, max_dist=6, window=12),
    UniformSparse(),
    UniformSparse(4, max_dist=3, window=15, parity=True),
    UniformSparse(1),
    FirstFrameSparse(clip=10),
    FirstFrameSparse(clip=10, spans="uniform", parity=True),
    BetaPair(clip=8),
    Image(),
    Spaced(4, 2, 5),
    Spaced(1),
    EvalClips(4, 3),
    EvalClips(4, 3, start="centre", min_length="span"),
    EvalClips(4, 3, start="zero"),
]


def drawn(policy, length, n=N, seed=0):
    """Returns frame numbers and times of `n` clips of a video of `length` frames."""
    draws = Draws(np.array([seed], np.uint64), np.arange(n, dtype=np.uint64))
    frames = choose(policy, np.full(n, length), draws)
    return frames.index, frames.times


def assert_uniform(values, expected):
    """Asserts that the values are exactly the expected ones, each as often."""
    found, counts = np.unique(values, return_counts=True)
    assert found.tolist() == list(expected)
    assert chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("policy", EACH, ids=str)
def test_never_out_of_range_from_the_shortest_video_on(policy):
    for length in range(policy.min_frames, 41):
        index, times = drawn(policy, length, n=300)
        assert index.shape == times.shape == (300, policy.frames)
        assert times.dtype == np.float32
        assert index.min() >= 0
        assert index.max() < length
        assert (np.diff(index) >= 0).all()
        assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize("policy", EACH, ids=str)
def test_a_clip_is_the_same_in_any_batch(policy):
    lengths = np.arange(60, 120)
    keys = np.arange(60, dtype=np.uint64)
    whole = choose(policy, lengths, Draws(np.array([3], np.uint64), keys))
    for i in (0, 31, 59):
        alone = choose(policy, lengths[i : i + 1], Draws(np.array([3], np.uint64), keys[i : i + 1]))
        assert (alone.index[0] == whole.index[i]).all()
        assert (alone.times[0] == whole.times[i]).all()


def test_every_policy_is_tested_here():
    assert {type(policy) for policy in EACH} == set(POLICIES)


class TestContiguous:
    @pytest.mark.parametrize("stride", [1, 3])
    def test_starts_are_uniform_over_all_valid_ones(self, stride):
        index, times = drawn(Contiguous(5, (stride,)), 30)
        assert_uniform(index[:, 0], range(30 - 4 * stride))
        assert (index - index[:, :1] == times).all()
        assert (np.diff(index) == stride).all()

    def test_strides_are_uniform(self):
        index, _ = drawn(Contiguous(5, (2, 3)), 40)
        assert_uniform(index[:, 1] - index[:, 0], [2, 3])
        assert (np.diff(index, n=2) == 0).all()

    def test_parity_takes_up_whole_strides(self):
        assert Contiguous(16, (2, 3)).min_frames == 46
        policy = Contiguous(16, (2, 3), parity=True)
        assert policy.min_frames == 48
        index, _ = drawn(policy, 50)
        for stride in (2, 3):
            starts = index[index[:, 1] - index[:, 0] == stride, 0]
            assert_uniform(starts, range(50 - 16 * stride + 1))


class TestSparse:
    def test_spans_are_uniform_powers_of_two(self):
        index, times = drawn(Sparse(), 200)
        spans = index[:, -1] - index[:, 0]
        assert_uniform(spans, [2, 4, 8, 16, 32])
        assert (index == times).all()
        for span in (2, 32):
            first = index[spans == span, 0]
            assert (first.min(), first.max()) == (0, 200 - span - 1)
            assert chisquare(np.histogram(first, 10, (0, 200 - span))[0]).pvalue > 1e-4
        inner = (index[:, 1] - index[:, 0])[spans == 8]
        assert_uniform(inner, range(1, 8))

    def test_the_length_bounds_the_span(self):
        spans = np.ptp(drawn(Sparse(), 17)[0], axis=1)
        assert_uniform(spans, [2, 4, 8, 16])
        assert_uniform(np.ptp(drawn(Sparse(), 16)[0], axis=1), [2, 4, 8])

    def test_uniform_spans_reach_the_maximum_and_in_parity_do_not(self):
        assert_uniform(np.ptp(drawn(Sparse(spans="uniform"), 200)[0], axis=1), range(2, 33))
        parity = Sparse(spans="uniform", parity=True)
        assert_uniform(np.ptp(drawn(parity, 200)[0], axis=1), range(2, 32))
        assert_uniform(np.ptp(drawn(Sparse(spans="uniform"), 10)[0], axis=1), range(2, 10))
        assert parity.min_frames == 4

    def test_every_set_of_inner_frames_is_as_likely(self):
        index, _ = drawn(Sparse(5, max_dist=6, spans="uniform"), 7)
        whole = index[np.ptp(index, axis=1) == 6, 1:-1]
        sets = whole @ [100, 10, 1]
        assert_uniform(sets, [123, 124, 125, 134, 135, 145, 234, 235, 245, 345])

    def test_of_long_videos_a_window_is_used(self):
        index, times = drawn(Sparse(window=40), 100)
        start = index[:, 0] - times[:, 0].astype(int)
        assert (index - times == start[:, None]).all()
        assert_uniform(start, range(61))
        assert times.max() == 39

    def test_one_frame_is_any(self):
        assert_uniform(drawn(Sparse(1, max_dist=0, spans="uniform"), 12)[0], range(12))


class TestUniformSparse:
    def test_spacing_and_offset_are_uniform(self):
        index, times = drawn(UniformSparse(3, max_dist=6), 30)
        spacing = np.diff(index)[:, 0]
        assert_uniform(spacing, range(1, 7))
        assert_uniform(index[spacing == 6, 0], range(18))
        assert (index == times).all()

    def test_the_length_bounds_the_spacing(self):
        assert_uniform(np.diff(drawn(UniformSparse(), 12)[0])[:, 0], range(1, 6))
        parity = UniformSparse(parity=True)
        assert_uniform(np.diff(drawn(parity, 12)[0])[:, 0], range(1, 5))


class TestFirstFrameSparse:
    def test_frame_0_comes_first_and_no_other_twice(self):
        index, times = drawn(FirstFrameSparse(max_dist=32), 300)
        start = index[:, 0]
        assert start.max() == 300 - 128
        assert chisquare(np.histogram(start, 20, (0, 173))[0]).pvalue > 1e-4
        inside = index - start[:, None]
        assert (np.diff(inside) > 0).all()
        assert times == pytest.approx(inside / 127)
        assert_uniform(inside[:, -1] - inside[:, 1], [2, 4, 8, 16, 32])
        assert inside.max() == 127

    def test_parity_may_repeat_frame_0_and_stops_short_of_the_maximum(self):
        policy = FirstFrameSparse(max_dist=32, spans="uniform", parity=True)
        index, _ = drawn(policy, 128)
        assert (index[:, 0] == 0).all()
        assert_uniform(index[:, -1] - index[:, 1], range(2, 32))
        twice = (index[:, 1] == 0).mean()
        assert 1 / 140 < twice < 1 / 90  # about one offset in 128 - 16


def test_beta_pair_follows_the_laws():
    # the pair is (floor(8 a), floor(8 b)), a ~ Beta(1, 2), b ~ Beta(2, 1), sorted
    index, times = drawn(BetaPair(clip=8), 8, n=20_000)
    edges = np.linspace(0, 1, 9)
    early, late = np.diff(1 - (1 - edges) ** 2), np.diff(edges**2)
    joint = early[:, None] * late[None]
    both = np.triu(joint + joint.T) - np.diag(np.diag(joint))
    counts = np.zeros((8, 8))
    np.add.at(counts, (index[:, 0], index[:, 1]), 1)
    upper = np.triu_indices(8)
    assert chisquare(counts[upper], both[upper] * len(index)).pvalue > 1e-4
    assert times == pytest.approx(index / 7)


def test_beta_pair_is_taken_from_a_random_clip():
    index, times = drawn(BetaPair(clip=8), 30)
    start = index - np.rint(times * 7).astype(int)
    assert (start[:, 0] == start[:, 1]).all()
    assert_uniform(start[:, 0], range(23))


def test_image_is_any_frame_at_time_0():
    index, times = drawn(Image(), 20)
    assert_uniform(index, range(20))
    assert not times.any()


def test_spaced_draws_a_spacing_that_fits_then_a_start():
    index, times = drawn(Spaced(4, 2, 5), 13)
    spacing = np.diff(index)[:, 0]
    assert_uniform(spacing, [2, 3, 4])
    assert_uniform(index[spacing == 3, 0], range(4))
    assert (index - index[:, :1] == times).all()
    assert_uniform(np.diff(drawn(Spaced(4, 2, 5), 100)[0])[:, 0], [2, 3, 4, 5])


def test_eval_clips_start_where_the_options_say():
    assert_uniform(drawn(EvalClips(4, 3), 20)[0][:, 0], range(11))
    assert (drawn(EvalClips(4, 3, "zero"), 20)[0] == [0, 3, 6, 9]).all()
    assert (drawn(EvalClips(16, 1, "centre"), 41)[0][:, 0] == 41 // 2 - 8).all()
    assert (EvalClips(16, 8).min_frames, EvalClips(16, 8, min_length="span").min_frames) == (
        128,
        121,
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Contiguous(0), "policy contiguous: frames=0, expected at least 1"),
        (lambda: Contiguous(4, ()), r"policy contiguous: strides=\(\), expected steps of at"),
        (lambda: Sparse(40), "policy sparse: max_dist=32, expected at least 64 for 40 frames"),
        (lambda: Sparse(window=2), "window=2, expected at least 3"),
        (lambda: FirstFrameSparse(clip=3), "clip=3, expected at least 4 for 4 frames"),
        (lambda: Spaced(4, 5, 2), "max_spacing=2, expected at least 5"),
    ],
)
def test_wrong_options(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_a_policy_that_nothing_draws():
    class Odd(SamplingPolicy):
        name, min_frames = "odd", 1

    with pytest.raises(UsageError, match="unknown sampling policy 'odd'; choose from contiguous"):
        drawn(Odd(), 20)


def test_policies_describe_themselves():
    assert str(Contiguous()) == "16 frames, contiguous"
    assert str(replace(Contiguous(), strides=(2, 3))) == "16 frames, contiguous, strides=(2, 3)"
