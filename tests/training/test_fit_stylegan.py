"""Runs of image GANs: what is logged, exact resuming, and a run that diverges."""

import csv
import json

import pytest
import torch

from tests.training.test_fit import assert_same_checkpoint
from vgbench.config.compose import compose
from vgbench.errors import DivergenceError
from vgbench.models.checkpoint import load_model, read_checkpoint
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder

NARROW = [
    "dataset=shapes",
    "dataset.videos=24",
    "dataset.resolution=16",
    "model.channel_base=64",
    "model.channel_max=4",
    "model.w_dim=8",
    "model.z_dim=8",
    "model.mapping_layers=2",
    "model.ema_kclips=0.02",
    "model.augment=ada",
    "model.augment_strength=0.2",
    "model.ada_kclips=0.1",
    "model.r1_interval=4",
    "budget.batch_size=4",
    "budget.checkpoint_kclips=0.016",
    "budget.sample_kclips=1",
    "trainer.accelerator=cpu",
]
MODELS = {
    "stylegan2-frames": ["model.pl_weight=2", "model.pl_interval=4", "model.style_mixing=0.9"],
    "stylegan3-frames": ["model.num_layers=3", "model.margin=1"],
}


def trained(name, folder, *words, resume=False):
    words = [f"model={name}", *NARROW, *MODELS[name], *words]
    fit(compose(words, folder.path / "data"), folder, words, Listener(), resume=resume)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_equals_an_uninterrupted_one(name, tmp_path):
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    trained(name, whole, "budget.kclips=0.04")
    trained(name, parts, "budget.kclips=0.024")  # between two changes of the augmentation
    trained(name, parts, "budget.kclips=0.04", resume=True)
    assert_same_checkpoint(whole.last, parts.last)
    a = read_checkpoint(whole.last)
    assert float(a["state_dict"]["augment.strength"]) != pytest.approx(0.2, abs=1e-6)

    rows = list(csv.DictReader(whole.metrics.open()))
    wanted = {"g", "d", "real_sign", "augment", "r1"}
    wanted |= {"pl", "pl_length"} if name == "stylegan2-frames" else set()
    assert wanted <= rows[0].keys()
    assert all(float(rows[-1][column]) < 1e3 for column in wanted)
    assert [path.suffix for path in whole.samples.iterdir()] == [".png"]


@pytest.mark.parametrize("name", MODELS)
def test_a_run_that_goes_astray_keeps_the_last_good_checkpoint(name, tmp_path):
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(DivergenceError, match=r"diverged at .* loss is .* beyond 1000") as caught:
        trained(name, folder, "model.lr_g=1", "model.lr_d=1", "budget.kclips=1")
    assert caught.value.exit_code == 6
    assert "the checkpoint before it is" in str(caught.value)
    status = json.loads((folder.path / "status.json").read_text())
    assert (status["state"], status["exit_code"]) == ("diverged", 6)
    model = load_model(folder.path)
    assert model.clips_seen % 16 == 0
    assert all(torch.isfinite(p).all() for p in model.parameters())
    names = {p.name for p in folder.checkpoints.iterdir()}
    assert f"kclip-{model.clips_seen / 1000:09.3f}.ckpt" in names
