"""Runs small enough to be repeated: a narrow G3AN on 32x32 shapes."""

import pytest
import torch

from tests.cli.conftest import vgbench
from vgbench.config.compose import compose

__all__ = ["vgbench"]

NARROW = [
    "model=g3an",
    "dataset=shapes",
    "dataset.videos=40",
    "model.channels=2",
    "model.use_attention=false",
    "model.ema_kclips=0.02",
    "budget.batch_size=4",
    "budget.checkpoint_kclips=0.008",
    "budget.sample_kclips=1",
    "trainer.accelerator=cpu",
]


@pytest.fixture
def narrow(tmp_path):
    """Returns a function from extra words to a run's options."""

    def configured(*words):
        return compose([*NARROW, *words], tmp_path / "data")

    return configured


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
