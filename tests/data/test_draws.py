import numpy as np
from scipy.stats import chisquare, kstest

from vgbench.data.draws import Draws, mix, permutation, uniform


def test_mix_is_splitmix64():
    # published outputs of SplitMix64 for the seed 1234567
    step = np.uint64(0x9E3779B97F4A7C15)
    state = np.array([1234567], dtype=np.uint64) + np.arange(3, dtype=np.uint64) * step
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert mix(state).tolist() == expected


def test_uniform_is_the_definition_in_plain_integers():
    def plain(x):
        x = (x + 0x9E3779B97F4A7C15) % 2**64
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
        return x ^ (x >> 31)

    got = uniform(7, np.array([2**40 + 5], np.uint64), np.array([3], np.uint64))
    assert got[0] == (plain(plain(plain(7) ^ (2**40 + 5)) ^ 3) >> 11) * 2.0**-53


def streams(n, seed=0):
    return Draws(np.array([seed], np.uint64), np.arange(n, dtype=np.uint64))


def test_draws_are_uniform_whole_and_below_the_bound():
    draws = streams(7000)
    for bound in (2, 7, 10):
        assert chisquare(np.bincount(draws.below(bound), minlength=bound)).pvalue > 1e-4
    assert kstest(draws.unit(), "uniform").pvalue > 1e-4
    assert not draws.below(1).any()


def test_each_sample_has_its_own_bound():
    bounds = np.tile([3, 5], 4000)
    drawn = streams(8000).below(bounds)
    for bound in (3, 5):
        assert chisquare(np.bincount(drawn[bounds == bound])).pvalue > 1e-4
        assert drawn[bounds == bound].max() == bound - 1


def test_successive_draws_and_neighbours_are_independent():
    draws = streams(6000)
    first, second = draws.below(4), draws.below(4)
    assert chisquare(np.bincount(4 * first + second, minlength=16)).pvalue > 1e-4
    assert chisquare(np.bincount(4 * first[1:] + first[:-1], minlength=16)).pvalue > 1e-4


def test_a_sample_draws_the_same_in_any_company():
    together = streams(50)
    whole = [together.below(1000) for _ in range(3)]
    for i in (0, 17, 49):
        alone = Draws(np.array([0], np.uint64), np.array([i], np.uint64))
        assert [int(alone.below(1000)[0]) for _ in range(3)] == [int(row[i]) for row in whole]


def test_permutations_are_uniform_and_keyed():
    orders = [permutation(6, 0, "order", epoch) for epoch in range(3000)]
    assert all(sorted(order) == list(range(6)) for order in orders)
    for place in (0, 5):
        assert chisquare(np.bincount([order[place] for order in orders])).pvalue > 1e-4
    assert len({permutation(40, *key).tobytes() for key in [(0, "a"), (1, "a"), (0, "b")]}) == 3
