"""Discriminators that are wider than the generator they teach."""

import pytest
import torch

from vgbench.config.compose import compose
from vgbench.errors import UsageError
from vgbench.models.checkpoint import build_model
from vgbench.types import VideoSpec

STYLED = [
    *("stylegan2-frames", "stylegan3-frames", "style-transfer"),
    *("styleganv", "stylesv", "styleinv"),
]


def option(model, tmp_path, value):
    words = [f"model={model}", "dataset=shapes", "budget=demo", "model.channel_base=512"]
    return compose([*words, f"model.channel_base_d={value}"], tmp_path).model


def sizes(config):
    with torch.device("meta"):
        model = build_model(config, VideoSpec(height=32, width=32), 0)
    return [sum(p.numel() for p in n.parameters()) for n in (model.generator, model.discriminator)]


@pytest.mark.parametrize("model", STYLED)
def test_only_the_discriminator_gets_wider(model, tmp_path):
    same, named, wide = (sizes(option(model, tmp_path, value)) for value in (0, 512, 1024))
    assert same == named
    assert wide[0] == same[0]
    assert wide[1] > same[1]


def test_the_stage_that_a_discriminator_is_copied_from_has_its_widths(tmp_path):
    config = option("stylesv", tmp_path, 1024)
    assert config.stages()[0].config.channel_base_d == 1024


def test_the_image_gan_of_styleinv_has_its_own(tmp_path):
    words = ["model=styleinv", "dataset=shapes", "model.image.channel_base_d=1024"]
    config = compose(words, tmp_path).model
    assert config.stages()[0].config.channel_base_d == 1024
    assert config.channel_base_d == 0


def test_a_negative_one_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"model.channel_base_d=-1: expected an integer >= 0"):
        option("stylesv", tmp_path, -1)
