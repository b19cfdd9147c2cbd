"""Files of other projects become the same networks of ours: their images are the same."""

import argparse
import math

import pytest
import torch
import torch.nn.functional as F

from tests.weights.stylegan_made import (
    SMALL,
    image_gan,
    made_encoder,
    nvidia_state,
    psp_file,
    rosinality_discriminator,
    rosinality_generator,
    save_nvidia,
)
from vgbench.errors import CheckpointError, WeightsError
from vgbench.models.checkpoint import build_model
from vgbench.models.image_stage import load_inversion, load_part
from vgbench.nn.encoder.inversion import WEncoder, WPlusEncoder
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.encoder.options import BackboneSize
from vgbench.registry import MODELS
from vgbench.training.artefacts import foreign_record, given_stage, write_artefact
from vgbench.types import Stage, record
from vgbench.weights.stylegan_convert import convert_networks

TOLERANCE = 2e-5


def config_of(made):
    return record(MODELS.get(made.model), made.options)


def loaded(made):
    """Returns the model that holds converted weights."""
    model = build_model(config_of(made), made.spec, seed=99).eval()
    for part, network in (("generator", model.sampler), ("discriminator", model.discriminator)):
        own = {k.removeprefix(f"{part}."): v for k, v in made.weights.items() if k.startswith(part)}
        if own:
            network.load_state_dict(own)
    return model


@torch.no_grad()
def images_of(model, count=4):
    z = torch.randn(count, model.config.z_dim, generator=torch.Generator().manual_seed(1))
    ws = model.sampler.styles(z, truncation_psi=0.7)
    return ws, model.sampler.synthesis(ws)


def assert_same(made, model):
    found = loaded(made)
    (ws, images), (own_ws, own) = images_of(found), images_of(model)
    assert own.std() > 0.05
    torch.testing.assert_close(ws, own_ws, rtol=0, atol=TOLERANCE)
    torch.testing.assert_close(images, own, rtol=0, atol=TOLERANCE)
    return found


NVIDIA = [
    ("stylegan2-frames", 16, {}),
    ("stylegan2-frames", 32, {"use_noise": False, "mapping_layers": 3, "channel_max": 9}),
    ("stylegan3-frames", 16, {}),
    ("stylegan3-frames", 32, {"layers": "R", "num_layers": 5, "channel_base": 64}),
]


@pytest.mark.parametrize(("name", "size", "options"), NVIDIA)
def test_nvidia(tmp_path, name, size, options):
    model = image_gan(name, size, mbstd_group_size=2, **options)
    networks = {"G_ema": nvidia_state(model.sampler), "D": nvidia_state(model.discriminator)}
    networks["G"] = networks["G_ema"]
    epilogue = {"D": {"epilogue_kwargs": {"mbstd_group_size": 2}}}
    save_nvidia(tmp_path / "a.pkl", networks, options=epilogue)
    made = convert_networks(name, tmp_path / "a.pkl")
    found = assert_same(made, model)
    assert made.source["layout"] == "nvidia"
    assert made.source["notes"] == []
    assert config_of(made) == model.config
    batch = images_of(model)[1]
    torch.testing.assert_close(found.discriminator(batch), model.discriminator(batch))


@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_nvidia_protocols(tmp_path, protocol):
    model = image_gan("stylegan2-frames", 8)
    save_nvidia(tmp_path / "a.pkl", {"G_ema": nvidia_state(model.sampler)}, protocol)
    made = convert_networks("stylegan2-frames", tmp_path / "a.pkl")
    assert_same(made, model)
    assert made.source["notes"] == ["the file has no discriminator"]


def test_classes(tmp_path):
    """A network with labels; its discriminator maps them by more layers than we have options."""
    model = image_gan("stylegan2-frames", 8, c_dim=3)
    other = image_gan("stylegan2-frames", 8, c_dim=3, mapping_layers=4)
    networks = {"G_ema": nvidia_state(model.sampler), "D": nvidia_state(other.discriminator)}
    save_nvidia(tmp_path / "a.pkl", networks)
    made = convert_networks("stylegan2-frames", tmp_path / "a.pkl")
    assert config_of(made) == model.config
    (note,) = made.source["notes"]
    assert note.startswith("the discriminator is left out: its discriminator lacks 0 tensors")
    assert {name.split(".")[0] for name in made.weights} == {"generator"}


def rosinality_file(model, **rest):
    return {"g_ema": rosinality_generator(model.sampler.state_dict()), **rest}


@pytest.mark.parametrize("old", [False, True])
def test_rosinality(tmp_path, old):
    model = image_gan("stylegan2-frames", 32)
    discriminator = rosinality_discriminator(model.discriminator.state_dict(), 32)
    average = model.sampler.mapping.w_avg
    content = rosinality_file(model, latent_avg=average, d=discriminator, ada_aug_p=0.5)
    content |= {"args": argparse.Namespace(lr=0.002, wandb=False), "g_optim": {"state": {}}}
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
    made = convert_networks("stylegan2-frames", tmp_path / "a.pt")
    found = assert_same(made, model)
    assert config_of(made) == model.config
    assert made.source["notes"] == []
    batch = images_of(model)[1]
    torch.testing.assert_close(found.discriminator(batch), model.discriminator(batch))


@torch.no_grad()
def test_rosinality_by_its_own_equations(tmp_path):
    """The file's tensors, rendered as rosinality's does, give the converted network's images."""
    model = image_gan("stylegan2-frames", 32)
    content = rosinality_file(model, latent_avg=model.sampler.mapping.w_avg)
    torch.save(content, tmp_path / "a.pt")
    found = loaded(convert_networks("stylegan2-frames", tmp_path / "a.pt"))
    z = torch.randn(2, 12, generator=torch.Generator().manual_seed(2))
    expected = rendered(content["g_ema"], z)
    images = found.sampler(z)
    assert expected.std() > 0.1
    torch.testing.assert_close(images, expected, rtol=0, atol=TOLERANCE)


def rendered(state, z):
    """Returns the images of latents: StyleGAN2 with a kernel for each sample, equations 1 and 3."""
    w = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    for i in range(1, 1 + sum(name.startswith("style") for name in state) // 2):
        weight, bias = state[f"style.{i}.weight"], state[f"style.{i}.bias"]
        w = activated(w @ weight.t() * 0.01 / math.sqrt(w.shape[1]) + 0.01 * bias)
    x = state["input.input"].repeat(len(z), 1, 1, 1)
    x = styled(state, "conv1", x, w, "noises.noise_0")
    image = coloured(state, "to_rgb1", x, w)
    for k in range(sum(name.endswith("upsample.kernel") for name in state)):
        x = styled(state, f"convs.{2 * k}", x, w, f"noises.noise_{2 * k + 1}", up=True)
        x = styled(state, f"convs.{2 * k + 1}", x, w, f"noises.noise_{2 * k + 2}")
        stuffed = F.pad(image[..., None, :, None], (0, 1, 0, 0, 0, 1)).flatten(4).flatten(2, 3)
        image = filtered(stuffed, state[f"to_rgbs.{k}.upsample.kernel"], (2, 1, 2, 1))
        image = image + coloured(state, f"to_rgbs.{k}", x, w)
    return image


def activated(x):
    return math.sqrt(2) * F.leaky_relu(x, 0.2)


def filtered(x, kernel, pads):
    return F.conv2d(F.pad(x, pads).flatten(0, 1)[:, None], kernel.flip(0, 1)[None, None]).view(
        *x.shape[:2], *[n + sum(pads[:2]) - 3 for n in x.shape[2:]]
    )


def convolved(state, name, x, w, demodulate, up=False):
    weight, modulation = state[f"{name}.conv.weight"][0], state[f"{name}.conv.modulation.weight"]
    styles = w @ modulation.t() / math.sqrt(w.shape[1]) + state[f"{name}.conv.modulation.bias"]
    results = []
    for sample, style in zip(x, styles, strict=True):
        kernel = weight / math.sqrt(weight[0].numel()) * style[:, None, None]
        if demodulate:
            kernel = kernel * (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if up:
            y = F.conv_transpose2d(sample[None], kernel.transpose(0, 1), stride=2)
            results.append(filtered(y, state[f"{name}.conv.blur.kernel"], (1, 1, 1, 1)))
        else:
            results.append(F.conv2d(sample[None], kernel, padding=kernel.shape[-1] // 2))
    return torch.cat(results)


def styled(state, name, x, w, noise, up=False):
    y = convolved(state, name, x, w, demodulate=True, up=up)
    y = y + state[f"{name}.noise.weight"] * state[noise]
    return activated(y + state[f"{name}.activate.bias"].view(1, -1, 1, 1))


def coloured(state, name, x, w):
    return convolved(state, name, x, w, demodulate=False) + state[f"{name}.bias"]


def test_the_mean_style_is_estimated_where_it_is_missing(tmp_path):
    model = image_gan("stylegan2-frames", 8)
    torch.save(rosinality_file(model), tmp_path / "a.pt")
    made = convert_networks("stylegan2-frames", tmp_path / "a.pt")
    with torch.no_grad():
        drawn = torch.randn(50_000, 12, generator=torch.Generator().manual_seed(8))
        styles = model.sampler.mapping(drawn)
    difference = made.weights["generator.mapping.w_avg"] - styles.mean(dim=0)
    assert (difference.abs() < 5 * styles.std(dim=0) / math.sqrt(20_000)).all()
    assert "estimated from 20000 latents" in made.source["notes"][0]


def inverted(made, size=32):
    """Returns the styles that converted networks read from images, and the images."""
    image_model = build_model(
        record(MODELS.get("stylegan2-frames"), SMALL["stylegan2-frames"]), made.spec, 0
    )
    num_ws = image_model.sampler.num_ws
    options = made.options["encoder"]
    body = BackboneSize(options["base_width"], options["units"])
    is_wide = options["latent_space"] == "wplus"
    encoder = WPlusEncoder(body, size, num_ws, 12) if is_wide else WEncoder(body, 12)
    for part, network in (("image", image_model.sampler), ("encoder", encoder)):
        own = {k.removeprefix(f"{part}."): v for k, v in made.weights.items() if k.startswith(part)}
        network.load_state_dict(own)
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(3))
    return LatentSpace(image_model.sampler, encoder.eval()).encode(images), images


@torch.no_grad()
@pytest.mark.parametrize("center", ["alike", "differing", "absent"])
def test_psp(tmp_path, center):
    model = image_gan("stylegan2-frames", 32)
    num_ws, average = model.sampler.num_ws, model.sampler.mapping.w_avg
    encoder = made_encoder(WPlusEncoder, 32, num_ws)
    rows = average.repeat(num_ws, 1)
    if center == "differing":
        rows = rows + torch.randn(num_ws, 12, generator=torch.Generator().manual_seed(6))
    rest = {} if center == "absent" else {"latent_avg": rows}
    torch.save(psp_file(model, encoder, **rest), tmp_path / "a.pt")
    made = convert_networks("inversion", tmp_path / "a.pt")
    sizes = {"base_width": 16, "units": (1, 2, 1, 1), "resolution": 0}
    assert made.options["encoder"] == {"latent_space": "wplus", **sizes}
    assert made.source["layout"] == "psp"
    styles, images = inverted(made)
    expected = encoder(images) + (0 if center == "absent" else rows)
    torch.testing.assert_close(styles, expected, rtol=0, atol=TOLERANCE)
    if center == "alike":
        assert torch.equal(made.weights["image.mapping.w_avg"], average)
        assert_same(convert_networks("stylegan2-frames", tmp_path / "a.pt"), model)


@torch.no_grad()
def test_psp_of_one_style(tmp_path):
    model, encoder = image_gan("stylegan2-frames", 32), made_encoder(WEncoder)
    average = model.sampler.mapping.w_avg
    torch.save(psp_file(model, encoder, latent_avg=average[None]), tmp_path / "a.pt")
    made = convert_networks("inversion", tmp_path / "a.pt")
    assert made.options["encoder"]["latent_space"] == "w"
    styles, images = inverted(made)
    expected = (encoder(images) + average)[:, None].expand_as(styles)
    torch.testing.assert_close(styles, expected, rtol=0, atol=TOLERANCE)


def started(made, folder, **encoder):
    """Returns the inversion that starts from converted networks, as a run would have it."""
    if not folder.exists():
        record_ = foreign_record(made.model, made.options, made.spec, made.source)
        write_artefact(folder, made.weights, record_)
    given = {**made.options, "encoder": {**made.options["encoder"], **encoder}}
    config = record(MODELS.get("inversion"), given)
    ready = given_stage(Stage("inversion", "inversion", config), folder, made.spec)
    model = build_model(config, made.spec, seed=5).eval()
    load_part(model.generator.generator, ready.load(), "image")
    load_inversion(model.generator, ready.load())
    return model


@torch.no_grad()
@pytest.mark.parametrize("is_wide", [True, False])
def test_psp_of_images_larger_than_its_encoder_reads(tmp_path, is_wide, monkeypatch):
    monkeypatch.setattr("vgbench.weights.stylegan_convert._PSP_SIDE", 16)
    model = image_gan("stylegan2-frames", 32)
    sizes = (16, model.sampler.num_ws) if is_wide else ()
    encoder = made_encoder(WPlusEncoder if is_wide else WEncoder, *sizes)
    average = model.sampler.mapping.w_avg
    torch.save(psp_file(model, encoder, latent_avg=average[None]), tmp_path / "a.pt")
    made = convert_networks("inversion", tmp_path / "a.pt")
    assert made.options["encoder"]["resolution"] == 16
    found = started(made, tmp_path / "psp")
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    small = images.unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean(dim=(3, 5))
    offsets = encoder(small) if is_wide else encoder(small)[:, None]
    styles = found.generator.encode(images)
    torch.testing.assert_close(styles, (offsets + average).expand_as(styles), rtol=0, atol=1e-5)
    with pytest.raises(CheckpointError, match=r"encoder.resolution=16 \(expected 0\)"):
        started(made, tmp_path / "psp", resolution=0)


def test_files_without_a_whole_encoder(tmp_path):
    model = image_gan("stylegan2-frames", 32)
    torch.save(rosinality_file(model), tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="layout 'rosinality' has no encoder"):
        convert_networks("inversion", tmp_path / "a.pt")
    content = psp_file(model, made_encoder(WPlusEncoder, 32, model.sampler.num_ws))
    state = content["state_dict"]
    state["encoder.decoder.weight"] = torch.ones(1)  # only what comes first is a prefix
    torch.save(content, tmp_path / "b.pt")
    with pytest.raises(CheckpointError, match=r"lacks 0 tensors .* unknown \(decoder.weight\)"):
        convert_networks("inversion", tmp_path / "b.pt")
    del state["encoder.body.0.res_layer.3.weight"]
    torch.save(content, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="its encoder is incomplete"):
        convert_networks("inversion", tmp_path / "c.pt")


# What is refused -------------------------------------------------------------------------------


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="is not a file"):
        convert_networks("stylegan2-frames", tmp_path / "a.pt")


def test_another_model(tmp_path):
    model = image_gan("stylegan3-frames")
    save_nvidia(tmp_path / "a.pkl", {"G_ema": nvidia_state(model.sampler)})
    with pytest.raises(CheckpointError, match="holds 'stylegan3-frames', not 'stylegan2-frames'"):
        convert_networks("stylegan2-frames", tmp_path / "a.pkl")


def changed(name, change):
    def apply(state):
        state[name] = change(state[name].clone())

    return apply


SYNTHESIS = "synthesis.b16.conv0"
REFUSED = {
    "missing": (lambda s: s.pop(f"{SYNTHESIS}.bias"), r"lacks 1 tensors \(synthesis.b16.conv0.b"),
    "unknown": (lambda s: s.update({"synthesis.time.w": torch.ones(1)}), "1 that are unknown"),
    "shape": (changed(f"{SYNTHESIS}.weight", lambda w: w[1:]), r"expected \(8, 16, 3, 3\)"),
    "widths": (changed("synthesis.b8.conv1.affine.weight", lambda w: w[:2]), "of no StyleGAN"),
    "empty": (dict.clear, "incomplete or of another kind"),
    "nan": (changed(f"{SYNTHESIS}.bias", lambda b: b * torch.nan), "not finite"),
    "filter": (changed(f"{SYNTHESIS}.resample_filter", lambda f: f.roll(1)), r"not the filter"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_generators(tmp_path, case):
    change, message = REFUSED[case]
    state = nvidia_state(image_gan("stylegan2-frames").sampler)
    change(state)
    save_nvidia(tmp_path / "a.pkl", {"G_ema": state})
    with pytest.raises(CheckpointError, match=message) as refusal:
        convert_networks("stylegan2-frames", tmp_path / "a.pkl")
    assert str(refusal.value).startswith(str(tmp_path / "a.pkl"))


def test_other_filters_of_stylegan3(tmp_path):
    state = nvidia_state(image_gan("stylegan3-frames").sampler)
    state["synthesis.L1_24_16.up_filter"] = state["synthesis.L1_24_16.up_filter"].roll(1)
    save_nvidia(tmp_path / "a.pkl", {"G_ema": state})
    with pytest.raises(CheckpointError, match=r"L1_24_16\.up_filter is another filter"):
        convert_networks("stylegan3-frames", tmp_path / "a.pkl")


def test_options_that_shapes_do_not_show(tmp_path):
    networks = {"G_ema": nvidia_state(image_gan("stylegan2-frames").sampler)}
    options = {"G_ema": {"synthesis_kwargs": {"architecture": "resnet"}}}
    save_nvidia(tmp_path / "a.pkl", networks, options=options)
    with pytest.raises(CheckpointError, match="architecture='resnet'"):
        convert_networks("stylegan2-frames", tmp_path / "a.pkl")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {"a": torch.ones(1)}}, "no StyleGAN networks"),
        ({"g_ema": {"style.1.weight": 3}}, "not a state dict of tensors"),
        ({"g_ema": {"style.x.weight": torch.ones(1)}}, "1 of 1 tensors have unknown names"),
        ({"g_ema": {"conv1.conv.strange": torch.ones(1)}}, "1 of 1 tensors have unknown names"),
        ([1], "holds list"),
    ],
)
def test_other_torch_files(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=message):
        convert_networks("stylegan2-frames", tmp_path / "a.pt")
