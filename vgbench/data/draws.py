"""Random numbers by hashing: each depends on its own key, never on what was drawn before.

The hash is SplitMix64's finaliser, applied to seed, position and number of the draw in turn. It is
exact on every platform, takes whole arrays, and needs no state, so that a sample is the same
whoever draws it, in whatever batch and order.
"""

import numpy as np
from jaxtyping import Float64, Int64, UInt64
from numpy import ndarray

from vgbench.seeds import stream_seed

_AT_ONCE = 6


def mix(x: UInt64[ndarray, "*n"]) -> UInt64[ndarray, "*n"]:
    """Returns SplitMix64's finaliser of `x`."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UInt64[ndarray, "*n"] = x ^ (x >> np.uint64(31))
    return mixed


def uniform(
    seed: int, index: UInt64[ndarray, "*n"], factor: UInt64[ndarray, "*m"]
) -> Float64[ndarray, "*k"]:
    """Returns u in [0, 1) for each pair of index and factor id, which broadcast."""
    key = mix(np.array([seed % 2**64], dtype=np.uint64))
    bits = mix(mix(key ^ index) ^ factor)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permutation(n: int, seed: int, name: str, *position: int) -> Int64[ndarray, "n"]:
    """Returns the order of `n` items in stream `name` at `position`, such as an epoch."""
    key = np.uint64(stream_seed(seed, name, *position))
    return np.argsort(mix(mix(np.arange(n, dtype=np.uint64) ^ key)), kind="stable")


class Draws:
    """One stream of random numbers per sample, drawn for many samples at once.

    Args:
        seeds: Seed of each sample's stream, or of the stream that they share.
        positions: Number of each sample within its stream.
    """

    def __init__(
        self, seeds: UInt64[ndarray, "*k"], positions: UInt64[ndarray, "n"] | None = None
    ) -> None:
        if positions is None:
            positions = np.zeros(seeds.shape, np.uint64)
        self._keys = mix(mix(seeds) ^ positions)
        self._bits: list[UInt64[ndarray, "n"]] = []
        self._drawn = 0

    def below(self, n: int | Int64[ndarray, "n"]) -> Int64[ndarray, "n"]:
        """Returns one integer per sample, uniform in [0, n); n is one for all or one for each.

        It is the upper half of the product with 32 random bits: n / 2**32 bounds the bias.
        """
        product = (self._next() >> np.uint64(32)) * np.asarray(n).astype(np.uint64)
        return (product >> np.uint64(32)).astype(np.int64)

    def unit(self) -> Float64[ndarray, "n"]:
        """Returns one number per sample, uniform in [0, 1)."""
        return (self._next() >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _next(self) -> UInt64[ndarray, "n"]:
        if self._drawn == len(self._bits):  # several at once: numpy's overhead is per call
            numbers = np.arange(self._drawn, self._drawn + _AT_ONCE, dtype=np.uint64)
            self._bits += list(mix(self._keys ^ numbers[:, None]))
        self._drawn += 1
        return self._bits[self._drawn - 1]
