"""Fréchet distances of recorded or redrawn sets, computed elsewhere in 60 digits or float64."""

import numpy as np
import pytest

from tests.parity.conftest import assert_known, under
from tests.parity.draws import crc32, unit
from vgbench.metrics.frechet import GaussianStats, frechet_distance, frechet_terms

FILES = "frechet_*.npz"
ENTRIES = {
    *("shape", "kind", "shift_scale", "x", "y", "x_crc32", "y_crc32", "mp"),
    *("mean_term", "trace_sum", "trace_sqrt", "fd_ddof1", "fd_ddof0"),
}
PRODUCTS = {"mix", "lowrank"}  # their last bits depend on who multiplies the matrices


def normal_sum(seed, key, rows, cols):
    """Returns the sum of 12 uniform draws minus 6, added in order."""
    draws = unit(seed, key, 12 * rows * cols).reshape(12, rows, cols)
    total = np.zeros((rows, cols))
    for draw in draws:
        total = total + draw
    return total - 6.0


def draw(seed, key, kind, n, d):
    z = normal_sum(seed, f"{key}.z", n, d)
    j = np.arange(d)
    if kind == "iid":
        return z
    if kind == "decay":
        return z * 0.93**j
    if kind == "mix":
        k = max(d // 8, 2)
        return 0.3 * z + z[:, :k] @ normal_sum(seed, f"{key}.w", k, d) / np.sqrt(k)
    if kind == "lowrank":
        k = max(d // 16, 2)
        return z[:, :k] @ normal_sum(seed, f"{key}.w", k, d)
    if kind == "nearsing":
        return z * np.where(j >= d // 2, 1e-7, 1.0)
    if kind == "relu":
        return np.maximum(z - 0.5, 0) * (1 + j / d)
    raise AssertionError(f"unknown kind of set '{kind}' in case {key}")


def redrawn(seed, name, case):
    n, m, d = case["shape"]
    kind_x, kind_y = case["kind"]
    shift, scale = case["shift_scale"]
    x = draw(seed, f"{name}.a", kind_x, n, d)
    if kind_y == "SELF":
        y = x
    elif kind_y == "SCALED":
        y = x * scale + shift
    else:
        y = draw(seed, f"{name}.b", kind_y, m, d) * scale + shift
    return x.astype(np.float32), y.astype(np.float32)


def cases(arrays):
    """Returns the cases of a file by name; an entry or case that is not known is a failure."""
    names = [str(name) for name in arrays["names"]]
    found = {name: under(arrays, f"{name}/") for name in names}
    entries = {"seed", "names", *(f"{name}/{key}" for name in names for key in found[name])}
    assert_known(arrays, entries)
    for name, case in found.items():
        assert_known(case, ENTRIES, name)
    return found


def test_every_term_agrees(recorded):
    arrays, _ = recorded
    for name, case in cases(arrays).items():
        stored = "x" in case
        x, y = (case["x"], case["y"]) if stored else redrawn(int(arrays["seed"]), name, case)
        check(case, x.astype(np.float64), y.astype(np.float64), stored, name)


def check(case, x, y, stored, name):
    terms = frechet_terms(GaussianStats.of(x), GaussianStats.of(y))
    scale = float(case["trace_sum"])
    relative = 1e-12 if stored else 1e-6
    got = {key: getattr(terms, key) for key in ("mean_term", "trace_sum", "trace_sqrt")}
    got |= {f"fd_ddof{i}": frechet_distance(x, y, ddof=i) for i in (0, 1)}
    if "mp" in case:
        got["mp"] = got["fd_ddof1"]
    for key, value in got.items():
        want = float(case[key])
        bound = 1e-9 * scale + relative * abs(want)
        assert value == pytest.approx(want, rel=0, abs=bound), f"{name}/{key}"


def test_redrawn_sets_are_the_recorded_ones(recorded):
    arrays, _ = recorded
    for name, case in cases(arrays).items():
        kinds = set(case["kind"].tolist())
        for side, rows in zip("xy", redrawn(int(arrays["seed"]), name, case), strict=True):
            if not kinds & PRODUCTS:
                assert crc32(rows) == case[f"{side}_crc32"], f"{name}/{side}_crc32: another set"
            if side in case:
                column = np.abs(case[side]).max(axis=0) + 1e-30
                np.testing.assert_allclose(
                    rows / column, case[side] / column, atol=1e-6, err_msg=f"{name}/{side}"
                )
