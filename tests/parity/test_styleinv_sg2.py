"""The StyleGAN2 image GAN against tensors recorded from the published networks."""

import math

import pytest
import torch

from tests.parity.conftest import assert_known, under
from tests.parity.video_discriminators import assert_close, load
from vgbench.losses.regularizers import path_lengths, r1_penalty
from vgbench.models.stylegan2.generator import Generator
from vgbench.nn.stylegan2.image_discriminator import Discriminator
from vgbench.nn.stylegan2.options import Pyramid

FILES = "styleinv_sg2*.npz"
VALUE, GRADIENT, ZERO = 1e-5, 1e-4, 1e-9
INPUTS = {"z", "x", "c", "pl_noise", "wmix"}
OUTPUTS = {"ws", "ws_trunc07", "img_const", "img_none", "img_mix_none", "logits_img_const",
           "logits_x", "r1_penalty", "pl_lengths"}  # fmt: skip


def pyramid_of(options):
    sizes = (options["img_channels"], options["channel_base"], options["channel_max"])
    return Pyramid(options["img_resolution"], *sizes, options.get("conv_clamp"))


def generator_of(arrays, meta):
    options = meta["G"]
    sizes = [options[name] for name in ("z_dim", "c_dim", "w_dim", "mapping_num_layers")]
    network = Generator(pyramid_of(options), *sizes, options.get("use_noise", True))
    return load(network, under(arrays, "sd/G.")).eval()


def discriminator_of(arrays, meta):
    options = meta["D"]
    layers = options.get("mapping_num_layers", 8)
    group = options["mbstd_group_size"]
    network = Discriminator(pyramid_of(options), options["c_dim"], layers, group)
    return load(network, under(arrays, "sd/D.")).eval()


def given(arrays, name):
    return torch.tensor(arrays[f"in/{name}"]) if f"in/{name}" in arrays else None


def check(arrays, name, got, tolerance=VALUE):
    assert_close(f"out/{name}", got, arrays[f"out/{name}"], tolerance, ZERO)


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    known = {f"in/{name}" for name in INPUTS} | {f"out/{name}" for name in OUTPUTS}
    assert_known([k for k in arrays if not k.startswith(("sd/G.", "sd/D."))], known)
    assert_known(meta, {"cls", "G", "D", "note"}, "meta")


@torch.no_grad()
def test_styles_and_truncation(recorded):
    arrays, meta = recorded
    network, z, c = generator_of(arrays, meta), given(arrays, "z"), given(arrays, "c")
    ws = network.styles(z, c)
    assert ws.shape[1] == network.num_ws
    check(arrays, "ws", ws[:, 0])
    check(arrays, "ws_trunc07", network.styles(z, c, 0.7)[:, -1])


@torch.no_grad()
def test_images(recorded):
    arrays, meta = recorded
    network, z, c = generator_of(arrays, meta), given(arrays, "z"), given(arrays, "c")
    for noise in ("const", "none"):
        check(arrays, f"img_{noise}", network(z, c, noise=noise))
    check(arrays, "img_mix_none", network.synthesis(given(arrays, "wmix"), "none"))


@pytest.mark.parametrize("name", ["x", "img_const"])
def test_logits(recorded, name):
    arrays, meta = recorded
    network = discriminator_of(arrays, meta)
    images = given(arrays, "x") if name == "x" else torch.tensor(arrays["out/img_const"])
    check(arrays, f"logits_{name}", network(images, given(arrays, "c"))[:, None])


def test_r1_penalty(recorded):
    arrays, meta = recorded
    x = given(arrays, "x").requires_grad_()
    logits = discriminator_of(arrays, meta)(x, given(arrays, "c"))
    check(arrays, "r1_penalty", r1_penalty(x, logits), GRADIENT)


def test_path_lengths(recorded):
    arrays, meta = recorded
    network = generator_of(arrays, meta)
    ws = network.styles(given(arrays, "z"), given(arrays, "c"))
    images = network.synthesis(ws, "none")
    # The recorded noise is divided by the root of the number of pixels already.
    noise = given(arrays, "pl_noise") * math.prod(images.shape[2:]) ** 0.5
    check(arrays, "pl_lengths", path_lengths(images, ws, noise), GRADIENT)
