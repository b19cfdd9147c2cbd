"""Shared test set-up: where the parity fixtures and test clips are, and deterministic threads."""

from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def pytest_addoption(parser):
    parser.addoption(
        "--parity-dir",
        default=str(_SHARED / "parity"),
        help="folder of recorded reference tensors (tests that need them skip where it is absent)",
    )
    parser.addoption(
        "--clips-dir",
        default=str(_SHARED / "clips"),
        help="folder of real test videos (tests that need them skip where it is absent)",
    )


def pytest_collectstart():
    """Imports the large packages before vgbench does.

    jaxtyping's import hook has its own bytecode for all that is imported while a checked module is,
    so Python would compile them anew, for seconds in every process.
    """
    import hydra  # noqa: F401
    import pandas  # noqa: F401
    import pytorch_lightning  # noqa: F401
    import torchmetrics  # noqa: F401


def _folder(request, option):
    folder = Path(request.config.getoption(option))
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist; give {option} DIR")
    return folder


@pytest.fixture(scope="session")
def parity_dir(request):
    """Folder of recorded reference tensors."""
    return _folder(request, "--parity-dir")


@pytest.fixture(scope="session")
def clips_dir(request):
    """Folder of small real videos, good and bad."""
    return _folder(request, "--clips-dir")
