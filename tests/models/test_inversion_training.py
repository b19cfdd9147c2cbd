"""The inversion as a model: it learns to read styles, and nothing else of it moves."""

import pytest
import torch

from tests.models.small_styleinv import (
    built,
    copied,
    image_gan,
    inversion,
    per_video,
    real_clips,
    resumed,
    trained,
    unchanged,
)
from vgbench.errors import CheckpointError, UsageError
from vgbench.models.image_stage_config import ImageOptions
from vgbench.models.inverter_config import InversionLossOptions, InverterOptions


@pytest.mark.parametrize("space", ["w", "wplus"])
def test_only_the_encoder_is_trained(space):
    model = built(inversion(latent_space=space))
    image, judge = copied(model.generator.generator), copied(model.objective.perceptual.blocks)
    encoder = copied(model.generator.encoder)
    _, scalars = trained(model, 2)
    assert unchanged(model.generator.generator, image)
    assert unchanged(model.objective.perceptual.blocks, judge)
    assert not unchanged(model.generator.encoder, encoder)
    assert scalars.keys() == {"mse", "perceptual", "latent_reg"}
    assert model.sample(2, 1, per_video(0, 1)).shape == (2, 3, 1, 32, 32)
    assert model.reconstruct(torch.zeros(2, 3, 5, 32, 32)).shape == (2, 3, 5, 32, 32)


def test_styles_of_generated_images_are_learned():
    model = built(inversion(loss=InversionLossOptions(mse=0.0, perceptual=0.0, latent_reg=1.0)))
    optimizers, first = trained(model, 1)
    losses = [float(trained(model, 1, optimizers)[1]["latent_reg"]) for _ in range(60)]
    assert sum(losses[-20:]) / 20 < 0.7 * float(first["latent_reg"])


def test_resuming_is_exact():
    whole, second = resumed(inversion(), steps=3)
    assert unchanged(second, copied(whole))


def test_it_starts_from_the_image_gan_and_looks_through_its_discriminator():
    model, image = built(inversion()), image_gan(1)
    model.start_from("image", image.export())
    assert unchanged(model.generator.generator, copied(image.sampler))
    blocks = model.objective.perceptual.blocks.state_dict()
    assert torch.equal(blocks["0.conv0.weight"], image.discriminator.b32.conv0.weight)
    exported = model.export()
    assert {name.split(".")[0] for name in exported} == {"encoder", "image"}
    assert torch.equal(exported["image.mapping.w_avg"], image.sampler.mapping.w_avg)
    with pytest.raises(CheckpointError, match="no weights of a stage 'inversion'"):
        model.start_from("inversion", {})


def test_fidelity_is_that_of_the_pixels():
    model = built(inversion())
    video = real_clips(model, n=2).video.expand(-1, -1, 3, -1, -1)
    found = model.fidelity(video)
    error = (model.reconstruct(video) - video).square().mean()
    assert found.psnr == pytest.approx(float(10 * torch.log10(4 / error)), abs=1e-4)
    assert found.latent_roughness == pytest.approx(0.0, abs=1e-5)  # nothing moves
    assert model.fidelity(torch.rand(2, 3, 3, 32, 32)).latent_roughness > 1e-3
    assert f"PSNR {found.psnr:.2f} dB" in "; ".join(model.remarks(video))
    losses = "mse 1, perceptual 0.8 (discriminator), latent_reg 1"
    assert model.config.remark() == f"trained on {losses}"


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: inversion(lr=0.0), "model.lr=0.0: expected a float > 0"),
        (lambda: inversion(beta1=1.0), r"model.beta1=1.0: expected a float in \[0, 1\)"),
        (
            lambda: InversionLossOptions(perceptual_net="vgg"),
            "perceptual_net=vgg: expected one of discriminator, lpips-alex, lpips-vgg",
        ),
        (lambda: InversionLossOptions(identity=-1.0), "loss.identity=-1.0: expected a float >= 0"),
        (lambda: InverterOptions(resolution=24), "resolution=24: expected 0 or a power of two"),
        (lambda: inversion(z_dim=0), "model.z_dim=0: expected an integer >= 1"),
        (lambda: ImageOptions(r1_gamma=-1.0), "model.image.r1_gamma=-1.0: expected"),
    ],
)
def test_wrong_options_are_refused(build, message):
    with pytest.raises(UsageError, match=message):
        build()
