"""Discriminators that are wider than the generator they teach."""

from dataclasses import replace

import pytest
import torch

from vgbench.config.compose import compose
from vgbench.errors import UsageError
from vgbench.models.checkpoint import build_model
from vgbench.models.stylesv.config import StyleSVConfig
from vgbench.types import VideoSpec

IMAGE_GANS = ("stylegan2-frames", "stylegan3-frames", "style-transfer")
VIDEO_GANS = ("styleganv", "stylesv", "styleinv")


def small(model, tmp_path, *words):
    return compose([f"model={model}", "dataset=shapes", "budget=demo", *words], tmp_path).model


def sizes(config):
    with torch.device("meta"):
        model = build_model(config, VideoSpec(height=32, width=32), 0)
    return [sum(p.numel() for p in n.parameters()) for n in (model.generator, model.discriminator)]


@pytest.mark.parametrize("model", [*IMAGE_GANS, *VIDEO_GANS])
def test_only_the_discriminator_gets_wider(model, tmp_path):
    config = replace(small(model, tmp_path), channel_base=512)
    same, named, wide = (sizes(replace(config, channel_base_d=base)) for base in (0, 512, 1024))
    assert same == named
    assert wide[0] == same[0]
    assert wide[1] > same[1]


def test_the_stage_that_a_discriminator_is_copied_from_has_its_widths():
    assert StyleSVConfig(channel_base_d=1024).stages()[0].config.channel_base_d == 1024


def test_the_image_gan_of_styleinv_has_its_own(tmp_path):
    config = small("styleinv", tmp_path, "model.image.channel_base_d=1024")
    assert config.stages()[0].config.channel_base_d == 1024
    assert config.channel_base_d == 0


def test_a_negative_one_is_refused():
    with pytest.raises(UsageError, match=r"model.channel_base_d=-1: expected an integer >= 0"):
        StyleSVConfig(channel_base_d=-1)
