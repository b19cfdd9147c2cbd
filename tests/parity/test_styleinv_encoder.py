"""StyleInV's modulated inversion encoder against tensors recorded from the published one."""

import re

import torch

from tests.parity.conftest import assert_known, some, under
from tests.parity.styleinv import backbone_of, check, modulation_of
from tests.parity.video_discriminators import load
from vgbench.nn.encoder.modulated import ModulatedEncoder

FILES = "styleinv_encoder*.npz"
OPTIONS = {"cls", "base_width", "units", "widths", "out_dim", "se_reduction", "style_dim",
           "adain_mode", "use_modulation", "normalize_adain", "lr_multiplier", "note"}  # fmt: skip
OUTPUTS = {"w", "w_ignore_adain", "w_flip_normalize", "h_input", "w_train_mode"}
AROUND = re.compile(r"out/h_body(\d+)_(before|after)")


def build(arrays, meta):
    network = ModulatedEncoder(
        backbone_of(meta), modulation_of(meta), meta["style_dim"], meta["out_dim"],
        arrays["in/x"].shape[1],
    )  # fmt: skip
    return load(network, under(arrays, "sd/")).eval()


def inputs(arrays):
    return torch.tensor(arrays["in/x"]), torch.tensor(arrays["in/style"])[:, None]


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    known = {f"out/{name}" for name in OUTPUTS} | {"in/x", "in/style"}
    entries = [k for k in arrays if not (k.startswith("sd/") or AROUND.fullmatch(k))]
    assert_known(entries, known)
    assert_known(meta, OPTIONS, "meta")
    if "widths" in meta:
        size = backbone_of(meta)
        assert [size.base_width, *size.widths] == meta["widths"]


@torch.no_grad()
def test_styles_with_and_without_modulation(recorded):
    arrays, meta = recorded
    network, (x, style) = build(arrays, meta), inputs(arrays)
    check(arrays, "w", network.modulated(x, style)[:, 0])
    check(arrays, "w_ignore_adain", network(x))
    check(arrays, "h_input", network.input_layer(x)[:, :4, ::4, ::4])


@torch.no_grad()
def test_the_other_normalisation(recorded):
    arrays, meta = recorded
    some("out/w_flip_normalize" in arrays, "output of the other normalisation")
    other = build(arrays, meta | {"normalize_adain": not meta["normalize_adain"]})
    check(arrays, "w_flip_normalize", other.modulated(*inputs(arrays))[:, 0])


@torch.no_grad()
def test_maps_around_each_block(recorded):
    arrays, meta = recorded
    network = build(arrays, meta)
    wanted = [AROUND.fullmatch(key) for key in arrays]
    places = {int(found[1]) for found in wanted if found}
    assert places == set(network.places), f"blocks after units {sorted(places)}"
    seen = {}
    for place, block in zip(network.places, network.adains, strict=True):
        block.register_forward_hook(
            lambda _, given, out, place=place: seen.update({place: (given[0], out)})
        )
    network.modulated(*inputs(arrays))
    for place in places:
        for name, maps in zip(("before", "after"), seen[place], strict=True):
            check(arrays, f"h_body{place}_{name}", maps.mean(dim=(2, 3)))


@torch.no_grad()
def test_statistics_of_the_batch(recorded):
    arrays, meta = recorded
    network = build(arrays, meta).train()
    check(arrays, "w_train_mode", network.modulated(*inputs(arrays))[:, 0])
