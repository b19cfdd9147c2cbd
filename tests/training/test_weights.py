"""Weights that losses need: given before the first step, the same ones to the last."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.models.small_styleinv import built, inversion, trained, transfer
from tests.weights.test_loss_weights import images, published
from vgbench.config.schema import RunConfig, TrainerConfig
from vgbench.data.config import ShapesConfig
from vgbench.errors import UsageError, WeightsError
from vgbench.models.inverter_config import InversionLossOptions
from vgbench.training.weights import give_weights, needed_weights
from vgbench.weights.store import WeightStore


@pytest.fixture
def config(tmp_path):
    """A run of an inversion that looks through LPIPS with drawn weights, which are installed."""
    files, *_ = published("lpips-alex", tmp_path)
    WeightStore(tmp_path / "store").import_weights("lpips-alex", *files)
    loss = InversionLossOptions(mse=0.0, perceptual_net="lpips-alex", latent_reg=0.0)
    trainer = TrainerConfig(weights_dir=str(tmp_path / "store"))
    return RunConfig("inversion", "shapes", inversion(loss=loss), ShapesConfig(), trainer=trainer)


def test_the_loss_looks_through_the_weights_that_are_installed(config):
    model = built(config.model)
    with pytest.raises(UsageError, match=r"loss.perceptual=0.8 was given no network"):
        trained(model, 1)
    give_weights(config, model)
    model.train()
    fake, real = images(32)
    tensors, _ = WeightStore(Path(config.trainer.weights_dir)).load("lpips-alex")
    assert torch.equal(model.objective.perceptual.features[0].weight, tensors["features.0.weight"])
    assert not model.objective.perceptual.training
    assert model.objective.perceptual(fake, real) > 0
    _, scalars = trained(model, 1)
    assert scalars.keys() == {"perceptual"}
    assert not [name for name in model.state_dict() if name.startswith("objective.")]


def test_style_transfer_looks_through_them_too(config):
    model = built(transfer(perceptual_net="lpips-alex", lr_g=0.01))
    config = replace(config, model_name="style-transfer", model=model.config)
    give_weights(config, model)
    model.start_from("image", built(transfer().stages()[0].config, 1).export())
    losses = [float(trained(model, 1)[1]["perceptual"]) for _ in range(2)]
    assert losses[0] == pytest.approx(0.0, abs=1e-6)  # nothing has moved yet
    assert losses[1] > 1e-5
    names = {name.split(".")[0] for name in model.export()}
    assert names == {"generator", "discriminator", "parent"}
    assert model.config.remark() == "trained on adversarial 1, perceptual 30 (lpips-alex)"


def test_a_run_goes_on_with_the_weights_it_began_with(config, tmp_path):
    model = built(config.model)
    model.provenance = {"weights": needed_weights(config)}
    contents = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(contents)
    torch.save(contents, tmp_path / "last.ckpt")
    give_weights(config, model, tmp_path / "last.ckpt")
    heads = torch.load(tmp_path / "heads.pth")
    torch.save({name: 2 * value for name, value in heads.items()}, tmp_path / "heads.pth")
    files = tmp_path / "trunk.pth", tmp_path / "heads.pth"
    WeightStore(tmp_path / "store").import_weights("lpips-alex", *files)
    with pytest.raises(WeightsError, match="was trained with other weights 'lpips-alex'"):
        give_weights(config, model, tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ()),
        ({"perceptual_net": "lpips-vgg"}, ("lpips-vgg",)),
        ({"perceptual_net": "lpips-vgg", "perceptual": 0.0}, ()),
        ({"identity": 0.1}, ("arcface",)),
        ({"perceptual_net": "lpips-alex", "identity": 0.1}, ("lpips-alex", "arcface")),
    ],
)
def test_only_losses_in_use_need_weights(options, names):
    assert inversion(loss=InversionLossOptions(**options)).weights() == names
    assert transfer(**options).weights() == names
