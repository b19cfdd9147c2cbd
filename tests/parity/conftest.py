"""Finding and reading parity files by pattern."""

import json
from pathlib import Path

import numpy as np
import pytest


def pytest_generate_tests(metafunc):
    """Runs a test that takes `recorded` once for every file that matches its module's `FILES`."""
    if "recorded" not in metafunc.fixturenames:
        return
    folder, pattern = Path(metafunc.config.getoption("--parity-dir")), metafunc.module.FILES
    found = [pytest.param(path, id=path.stem) for path in sorted(folder.glob(pattern))]
    why = f"no file {pattern} in {folder}; give --parity-dir DIR"
    missing = pytest.param(None, id=pattern, marks=pytest.mark.skip(reason=why))
    metafunc.parametrize("recorded", found or [missing], indirect=True, scope="module")


@pytest.fixture(scope="module")
def recorded(request):
    """Arrays of one parity file by key, and its decoded `meta` ({} if it has none)."""
    return read(request.param)


def read(path):
    """Returns the arrays of a parity file by key, and its decoded `meta` ({} if it has none)."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    meta = json.loads(str(arrays.pop("meta"))) if "meta" in arrays else {}
    return arrays, meta


def under(arrays, prefix):
    """Returns the entries below `prefix`, with the prefix removed."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def some(things, name):
    """Returns `things`; skips, saying so, if the file holds none."""
    if not things:
        pytest.skip(f"the file has no {name}")
    return things


def assert_known(keys, known, case=""):
    """Fails with the names of those `keys` that no test looks at."""
    unknown = sorted(set(keys) - set(known))
    assert not unknown, f"{case or 'file'} has unknown entries: {unknown}"


def relative_error(got, want, floor=1e-300):
    """Returns max|got - want| / max|want|, both as float64 arrays; a smaller max is `floor`."""
    got = np.asarray(got, dtype=np.float64)
    want = np.asarray(want, dtype=np.float64)
    assert got.shape == want.shape, f"shape {got.shape}, expected {want.shape}"
    return float(np.abs(got - want).max() / max(float(np.abs(want).max()), floor))
