"""Image encoders: sizes, what is shared between temporal styles, and what depends on what."""

import pytest
import torch

from vgbench.errors import CheckpointError, UsageError
from vgbench.nn.encoder.arcface import ArcFace
from vgbench.nn.encoder.inversion import WEncoder, WPlusEncoder
from vgbench.nn.encoder.modulated import ModulatedEncoder
from vgbench.nn.encoder.options import BackboneSize, Modulation

FULL, TINY = BackboneSize(), BackboneSize(16, (1, 1, 1, 1))
SMALL = BackboneSize(16, (2, 1, 2, 1))
KINDS = [Modulation(kind, after) for kind in ("adain", "modconv") for after in ("stage", "unit")]


def count(network):
    return sum(p.numel() for p in network.parameters())


SIZES = [
    (lambda: WEncoder(FULL), 31_212_736),
    (lambda: WEncoder(FULL).body, 30_948_160),
    (lambda: ArcFace(), 43_797_696),
    (lambda: ModulatedEncoder(FULL, Modulation()), 39_451_456),
    (lambda: ModulatedEncoder(FULL, Modulation()).adains, 8_238_720),
    (lambda: ModulatedEncoder(FULL, Modulation("modconv")), 38_814_656),
    (lambda: ModulatedEncoder(FULL, Modulation(after="unit")), 75_246_912),
]


@pytest.mark.parametrize(("build", "parameters"), SIZES)
def test_numbers_of_parameters_are_those_of_the_paper(build, parameters):
    with torch.device("meta"):
        assert count(build()) == parameters


@pytest.mark.parametrize(
    ("size", "millions"),
    [(TINY, 0.84), (BackboneSize(16, (2, 2, 2, 2)), 1.24), (BackboneSize(32, (2, 2, 2, 2)), 4.94)],
)
def test_numbers_of_parameters_of_small_encoders(size, millions):
    width = size.widths[-1]
    with torch.device("meta"):
        network = ModulatedEncoder(size, Modulation(), style_dim=width, w_dim=width)
    assert round(count(network) / 1e6, 2) == millions


def made(modulation=KINDS[0], size=SMALL):
    torch.manual_seed(0)
    network = ModulatedEncoder(size, modulation, style_dim=6, w_dim=10).double().eval()
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_()
    return network


def inputs(b=2, t=3, side=32):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(b, 3, side, side, generator=generator)
    return images.double(), torch.randn(b, t, 6, generator=generator).double()


@pytest.mark.parametrize("modulation", KINDS, ids=str)
@torch.no_grad()
def test_each_style_is_encoded_as_if_alone(modulation):
    network, (images, styles) = made(modulation), inputs()
    w = network.modulated(images, styles)
    for b in range(2):
        for t in range(3):
            alone = network.modulated(images[b : b + 1], styles[b : b + 1, t : t + 1])
            torch.testing.assert_close(w[b, t], alone[0, 0])
    assert (w[:, 0] - w[:, 1]).abs().max() > 1e-3


@torch.no_grad()
def test_what_precedes_the_first_block_is_computed_once_per_image():
    network, (images, styles) = made(), inputs(t=5)
    seen = []
    network.body.register_forward_hook(lambda *_: seen.append("whole"))
    for unit in network.body:
        unit.register_forward_hook(lambda _, given, out: seen.append(len(out)))
    network.modulated(images, styles)
    assert seen == [2, 2, 10, 10, 10, 10]
    trunk = network.trunk(images)
    del seen[:]
    network.under(trunk, styles[:, :2])
    assert seen == [4, 4, 4, 4]


@torch.no_grad()
def test_batch_statistics_are_those_of_repeated_images():
    network, (images, styles) = made().train(), inputs(t=4)
    w = network.modulated(images, styles)
    repeated = made().train()
    one_by_one = repeated.modulated(images.repeat_interleave(4, dim=0), styles.reshape(8, 1, 6))
    torch.testing.assert_close(w.reshape(8, 1, 10), one_by_one)


def test_gradients_reach_images_and_styles():
    network, (images, styles) = made(size=TINY), inputs(1, 2)
    styles.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: network.modulated(images, s)[..., :2], styles, nondet_tol=1e-9
    )


@torch.no_grad()
def test_a_modulated_encoder_starts_from_a_plain_one():
    plain, network = WEncoder(SMALL, w_dim=10).double().eval(), made()
    blocks = {k: v.clone() for k, v in network.adains.state_dict().items()}
    network.start_from(plain.state_dict())
    images, _ = inputs()
    assert torch.equal(network(images), plain(images))
    assert all(torch.equal(v, blocks[k]) for k, v in network.adains.state_dict().items())


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda s: s.pop("linear.bias"), "linear.bias"),
        (lambda s: s.update(other=torch.zeros(1)), "other"),
        (lambda s: s.update({"linear.bias": torch.zeros(3)}), "linear.bias"),
    ],
)
def test_foreign_weights_are_refused_by_name(spoil, named):
    state = WEncoder(SMALL, w_dim=10).state_dict()
    spoil(state)
    with pytest.raises(CheckpointError, match=named):
        made().start_from(state)


def test_images_without_a_pattern_in_the_last_map_are_refused():
    images, styles = inputs(side=16)
    with pytest.raises(UsageError, match="16x16"):
        made().modulated(images, styles)


@pytest.mark.parametrize(
    "options", [{"base_width": 8}, {"units": (1, 1, 1)}, {"units": (1, 1, 0, 1)}]
)
def test_impossible_sizes_are_refused(options):
    with pytest.raises(UsageError):
        BackboneSize(**options)


@pytest.mark.parametrize(("resolution", "num_ws"), [(16, 6), (32, 8), (64, 10)])
@torch.no_grad()
def test_styles_per_layer(resolution, num_ws):
    network = WPlusEncoder(TINY, resolution, num_ws, w_dim=10).eval()
    ws = network(torch.randn(2, 3, resolution, resolution))
    assert ws.shape == (2, num_ws, 10)
    depths = [len(head.convs) // 2 for head in network.styles]
    coarse = max(resolution.bit_length() - 5, 1)
    wanted = [coarse] * 3 + [resolution.bit_length() - 4] * 4 + [resolution.bit_length() - 3] * 9
    assert depths == wanted[:num_ws]


def test_full_size_pyramid_has_the_published_names():
    with torch.device("meta"):
        names = set(WPlusEncoder(FULL, 256, 18).state_dict())
    wanted = {
        "styles.17.convs.10.weight",
        "styles.0.convs.6.bias",
        "styles.3.convs.8.weight",
        "styles.9.linear.weight",
        "latlayer1.weight",
        "latlayer2.bias",
        "body.23.res_layer.5.fc2.weight",
        "body.3.shortcut_layer.1.running_var",
        "input_layer.2.weight",
    }
    assert wanted <= names
    assert not {"styles.18.linear.weight", "styles.17.convs.12.weight"} & names


@torch.no_grad()
def test_coarse_styles_see_the_last_map_only():
    network = WPlusEncoder(TINY, 64, 10, w_dim=8).eval()
    images = torch.randn(1, 3, 64, 64)
    before = network(images)
    network.latlayer1.weight.zero_()
    moved = (network(images) - before).abs().amax(dim=2)[0] > 0
    assert moved.tolist() == [False] * 3 + [True] * 7


@torch.no_grad()
def test_embeddings_of_faces_are_unit_vectors():
    network = ArcFace(TINY).eval()
    embedded = network(torch.randn(2, 3, 112, 112))
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2))
