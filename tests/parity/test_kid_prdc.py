"""Kernel distances and manifold shares of recorded sets, computed elsewhere."""

import numpy as np
import pytest

from tests.parity.conftest import assert_known, under
from vgbench.metrics.kernel import mmd, mmd_subsets
from vgbench.metrics.manifold import manifold_shares

FILES = "kid_prdc_*.npz"
ESTIMATES = {"mmd2_biased_firstmin": "biased", "mmd2_unbiased_firstmin": "unbiased"}
ESTIMATES |= {"mmd2_u-statistic_firstmin": "u-statistic", "mmd2_unbiased_all": "unbiased"}
SHARES = ("precision", "recall", "density", "coverage")
CLOSED = {"tf_precision": "precision", "tf_recall": "recall"}
SUBSETS = 20  # of the entries named after it
ENTRIES = {"x", "y", "k", "kid_subset_size", "kid_mean20", "kid_std20"}
ENTRIES |= {*ESTIMATES, *SHARES, *CLOSED}


def cases(arrays):
    """Returns the cases of a file by name; an entry or case that is not known is a failure."""
    names = [str(name) for name in arrays["names"]]
    found = {name: under(arrays, f"{name}/") for name in names}
    entries = {"seed", "names", *(f"{name}/{key}" for name in names for key in found[name])}
    assert_known(arrays, entries)
    for name, case in found.items():
        assert_known(case, ENTRIES, name)
    return found


def close(got, case, key, name, scale):
    assert got == pytest.approx(float(case[key]), rel=1e-10, abs=1e-12 * scale), f"{name}: {key}"


def test_discrepancies(recorded):
    for name, case in cases(recorded[0]).items():
        x, y = case["x"], case["y"]
        n = min(len(x), len(y))
        scale = float(np.abs((x @ x.T / x.shape[1] + 1) ** 3).mean())
        for key, estimate in ESTIMATES.items():
            sets = (x, y) if key.endswith("_all") else (x[:n], y[:n])
            close(mmd(*sets, estimate=estimate), case, key, name, scale)


def test_subsets(recorded):
    for name, case in cases(recorded[0]).items():
        size = int(case["kid_subset_size"])
        mean, sd = mmd_subsets(case["x"], case["y"], size=size, subsets=SUBSETS)
        close(mean, case, "kid_mean20", name, 1.0)
        close(sd, case, "kid_std20", name, 1.0)


def test_shares(recorded):
    for name, case in cases(recorded[0]).items():
        k = int(case["k"])
        # the first set is the real one; torch-fidelity's shares are float32 and on closed balls
        shares = manifold_shares(case["x"], case["y"], k=k)
        for key in SHARES:
            assert getattr(shares, key) == pytest.approx(float(case[key]), abs=1e-12), (name, key)
        closed = manifold_shares(case["x"], case["y"], k=k, closed=True)
        for key, share in CLOSED.items():
            assert getattr(closed, share) == pytest.approx(float(case[key]), abs=1e-7), (name, key)
