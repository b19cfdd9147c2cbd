"""The inversion stage: its encoders, its losses and the latent space it makes."""

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.losses.perceptual import DiscriminatorDistance
from vgbench.models.inversion.encoder import build_encoder
from vgbench.models.inversion.losses import InversionObjective, latent_roughness
from vgbench.models.inverter_config import InversionLossOptions, InverterOptions
from vgbench.models.stylegan2.generator import Generator
from vgbench.models.stylegan3.generator import Generator as AliasFreeGenerator
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.stylegan2.image_discriminator import Discriminator
from vgbench.nn.stylegan2.options import Pyramid
from vgbench.nn.stylegan3.options import LayerSchedule

TINY = Pyramid(32, channel_base=256, channel_max=16)
NONE = {"mse": 0.0, "perceptual": 0.0, "latent_reg": 0.0}
SPACES = ["w", "wplus"]
W_DIM = 12


def made(latent_space="w"):
    torch.manual_seed(0)
    generator = Generator(TINY, z_dim=W_DIM, w_dim=W_DIM, mapping_layers=2)
    generator.mapping.w_avg.normal_()
    options = InverterOptions(latent_space, 16, (1, 1, 1, 1))
    encoder = build_encoder(options, 32, generator.num_ws, W_DIM)
    return LatentSpace(generator, encoder)


def images(n=4):
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)


def known(space, n=3):
    z = torch.randn(n, W_DIM, generator=torch.Generator().manual_seed(1))
    return space.generator.styles(z)[:, 0].detach()


@pytest.mark.parametrize("latent_space", SPACES)
@torch.no_grad()
def test_styles_are_offsets_from_the_mean_style(latent_space):
    space = made(latent_space).eval()
    ws = space.encode(images())
    assert ws.shape == (4, space.num_ws, space.w_dim)
    assert space.synthesis(ws).shape == (4, 3, 32, 32)
    offset = space.encoder(images()).view(4, -1, W_DIM)
    want = offset + space.generator.mapping.w_avg
    torch.testing.assert_close(ws, want.expand_as(ws))
    layers_differ = bool((ws[:, 1:] != ws[:, :1]).any())
    assert layers_differ == (latent_space == "wplus")


@torch.no_grad()
def test_one_style_is_rendered_in_every_layer():
    space = made()
    w = known(space)
    ws = w[:, None].expand(-1, space.num_ws, -1)
    assert torch.equal(space.render(w), space.synthesis(ws))


@torch.no_grad()
def test_any_styled_generator_has_a_latent_space():
    schedule = LayerSchedule(32, channel_base=256, channel_max=8)
    generator = AliasFreeGenerator(schedule, z_dim=W_DIM, w_dim=W_DIM)
    encoder = build_encoder(InverterOptions("wplus", 16, (1, 1, 1, 1)), 32, generator.num_ws, W_DIM)
    space = LatentSpace(generator, encoder).eval()
    assert space.synthesis(space.encode(images(2))).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("latent_space", SPACES)
def test_training_moves_the_encoder_and_nothing_of_the_generator(latent_space):
    space = made(latent_space).train()
    assert not space.generator.training
    before = {k: v.clone() for k, v in space.state_dict().items()}
    objective = InversionObjective(
        InversionLossOptions(), DiscriminatorDistance(Discriminator(TINY))
    )
    optimizer = torch.optim.Adam(space.encoder.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        objective(space, images(), known(space)).total.backward()
        optimizer.step()
    moved = {k for k, v in space.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {k for k in before if k.startswith("encoder.")}


@torch.no_grad()
def test_each_loss_is_what_it_says_times_its_weight():
    space = made().eval()
    objective = InversionObjective(
        InversionLossOptions(mse=2.0, perceptual=0.0, latent_reg=3.0, w_norm=0.5),
    )
    losses = objective(space, images(), known(space))
    ws = space.encode(images())
    read = space.encode(space.render(known(space)))[:, 0]
    want = {
        "mse": 2 * (space.synthesis(ws) - images()).square().mean(),
        "latent_reg": 3 * (read - known(space)).square().mean(),
        "w_norm": 0.5 * (ws - space.w_avg).square().sum(dim=(1, 2)).sqrt().mean(),
    }
    assert set(losses.parts) == set(want)
    for name, value in want.items():
        torch.testing.assert_close(losses.parts[name], value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(losses.total, sum(losses.parts.values()))


@torch.no_grad()
def test_latent_regression_alone_never_renders_real_images():
    space = made().eval()
    rendered = []
    space.generator.synthesis.register_forward_hook(lambda _, given, out: rendered.append(len(out)))
    options = InversionLossOptions(**(NONE | {"latent_reg": 1.0}))
    losses = InversionObjective(options)(space, images(), known(space))
    assert (set(losses.parts), rendered) == ({"latent_reg"}, [3])


def test_known_styles_are_learned():
    space = made().train()
    options = InversionLossOptions(**(NONE | {"latent_reg": 1.0}))
    objective = InversionObjective(options)
    optimizer = torch.optim.Adam(space.encoder.parameters(), lr=3e-3)
    first = last = None
    for _ in range(20):
        optimizer.zero_grad()
        last = objective(space, images(2), known(space, 8)).total
        last.backward()
        optimizer.step()
        first = last if first is None else first
    assert last < 0.3 * first


def test_losses_without_their_network_or_styles_are_refused():
    for options, message in (
        ({}, "perceptual=0.8 was given no network"),
        ({"perceptual": 0.0, "identity": 0.1}, "identity=0.1 was given no network"),
        ({"perceptual": 0.0, "latent_reg": 1.0}, "latent_reg needs styles"),
    ):
        objective = InversionObjective(InversionLossOptions(**{"latent_reg": 0.0, **options}))
        with pytest.raises(UsageError, match=message):
            objective(made(), images())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: InverterOptions("z"), "latent_space=z"),
        (lambda: InverterOptions(units=(1, 2)), r"units=\[1, 2\]"),
        (lambda: InversionLossOptions(mse=-1.0), "mse=-1"),
        (lambda: InversionLossOptions(**NONE), "all weights"),
    ],
)
def test_wrong_options_are_refused_by_name(build, message):
    with pytest.raises(UsageError, match=message):
        build()


def test_active_losses_are_named_for_the_record():
    assert InversionLossOptions(latent_reg=0.0).active == {"mse": 1.0, "perceptual": 0.8}


def test_roughness_is_the_mean_step_of_styles():
    ws = torch.zeros(2, 3, 4, 5)
    ws[:, 1:] = 1
    torch.testing.assert_close(latent_roughness(ws), torch.tensor(20**0.5 / 2))
