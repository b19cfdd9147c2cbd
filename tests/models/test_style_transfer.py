"""Finetuning an image GAN: which layers move, and what the others stay true to."""

import pytest
import torch

from tests.models.small_styleinv import (
    built,
    copied,
    image_gan,
    per_video,
    resumed,
    trained,
    transfer,
    unchanged,
)
from vgbench.errors import CheckpointError, UsageError
from vgbench.models.stylegan2.transfer import StyleTransfer
from vgbench.types import VideoSpec


def started(**options):
    model, image = built(transfer(**options)), image_gan(1)
    model.start_from("image", image.export())
    return model, image


@pytest.mark.parametrize("cut", [4, 16, 32])
def test_layers_below_the_cut_stay_bit_for_bit(cut):
    model, image = started(finetune_from=cut)
    before, parent = copied(image.sampler), copied(model.parent)
    trained(model, 2)
    for network in (model.generator, model.sampler):
        after = network.state_dict()
        moved = {name for name in before if not torch.equal(before[name], after[name])}
        sizes = {int(name.split(".")[1].removeprefix("b")) for name in moved}
        assert sizes == {size for size in (4, 8, 16, 32) if size >= cut}
    assert unchanged(model.parent, parent)
    assert model.sample(1, 1, per_video(0)).shape == (1, 3, 1, 32, 32)


def test_it_starts_as_the_image_gan():
    model, image = started()
    weights = copied(image.sampler)
    assert all(unchanged(n, weights) for n in (model.generator, model.sampler, model.parent))
    assert unchanged(model.discriminator, copied(image.discriminator))
    _, scalars = trained(model, 1)
    assert float(scalars["perceptual"]) == 0.0  # nothing has moved yet
    _, scalars = trained(model, 1)
    assert float(scalars["perceptual"]) > 0.0
    with pytest.raises(CheckpointError, match="no weights of a stage 'style'"):
        model.start_from("style", {})


@pytest.mark.parametrize("noise", [True, False])
def test_a_weight_on_the_look_holds_images_back(noise):
    apart = []
    for weight in (0.0, 300.0):
        model = built(transfer(perceptual=weight, use_noise=noise, lr_g=0.01))
        trained(model, 4)
        ws = model.parent.styles(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)))
        images, before = model.generator.synthesis(ws), model.parent.synthesis(ws)
        apart.append(float((images - before).detach().abs().mean()))
    assert apart[1] < apart[0]


def test_resuming_is_exact():
    whole, second = resumed(transfer(r1_interval=2), steps=3)
    assert unchanged(second, copied(whole))


def test_the_stage_has_the_same_networks_and_must_be_given():
    (stage,) = transfer(style_mixing=0.5).stages()
    assert (stage.name, stage.model, stage.given) == ("image", "stylegan2-frames", True)
    assert stage.config.style_mixing == 0.5
    assert not hasattr(stage.config, "finetune_from")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finetune_from": 24}, "model.finetune_from=24: expected a power of two"),
        ({"finetune_from": 64}, "images of 32x32 have no such layers"),
        ({"perceptual": -1.0}, "model.perceptual=-1.0: expected a float >= 0"),
        ({"identity": -1.0}, "model.identity=-1.0: expected a float >= 0"),
        ({"perceptual_net": "vgg"}, "perceptual_net=vgg: expected one of"),
        ({"pl_weight": 2.0, "pl_interval": 4}, "model.pl_weight=2.0: the layers below are frozen"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        StyleTransfer(transfer(**options), VideoSpec(height=32, width=32))
