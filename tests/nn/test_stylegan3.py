"""Alias-free layers: their schedule, equivariance and second weight."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from vgbench.errors import UsageError
from vgbench.nn.stylegan3.options import LayerSchedule, LowRankOptions, config_r
from vgbench.nn.stylegan3.synthesis import AliasFreeLayer, ImageSynthesis

TINY = LayerSchedule(32, channel_base=128, channel_max=16, num_layers=5)
BANDS = {
    256: (
        [36] * 3 + [52] * 2 + [84] * 2 + [148] * 3 + [276] * 3 + [256] * 2,
        [512] * 7 + [362, 256, 181, 128, 91, 64, 64, 3],
    ),
    64: ([36] * 4 + [52] * 4 + [84] * 5 + [64] * 2, [512] * 10 + [406, 323, 256, 256, 3]),
}
# Zeros at the ends of an axis, by how the sampling rate changes.
PADDING = {"kept": (9, 8), "doubled": (-6, -9), "cropped": (-11, -12), "colours": (0, 0)}


@pytest.mark.parametrize("resolution", BANDS)
def test_sizes_and_channels_are_those_of_configuration_t(resolution):
    bands = LayerSchedule(resolution).bands
    assert ([b.size for b in bands], [b.channels for b in bands]) == BANDS[resolution]


def test_padding_and_factors_follow_the_rates():
    for plan in LayerSchedule(256).layers:
        ratio = plan.after.rate / plan.before.rate
        kind = "doubled" if ratio == 2 else "kept"
        kind = "cropped" if plan.name == "L13_256_64" else kind
        kind = "colours" if plan.to_rgb else kind
        assert plan.padding == PADDING[kind] * 2, plan.name
        assert (plan.up, plan.down) == ((1, 1) if plan.to_rgb else (2 * ratio, 2)), plan.name


def test_frequencies_grow_geometrically_up_to_those_of_the_image():
    schedule = LayerSchedule(256)
    cutoffs = [band.cutoff for band in schedule.bands]
    assert cutoffs[0] == 2
    assert cutoffs[-3:] == pytest.approx([128] * 3)
    ratios = [high / low for low, high in pairwise(cutoffs[:13])]
    assert ratios == pytest.approx([64 ** (1 / 12)] * 12)
    for band in schedule.bands:
        assert band.cutoff <= band.rate / 2 <= band.cutoff + band.half_width


def network(schedule, seed=0):
    torch.manual_seed(seed)
    return ImageSynthesis(schedule, 8).eval()


def styles(schedule, n=1):
    return torch.randn(n, schedule.num_ws, 8, generator=torch.Generator().manual_seed(1))


def placed(synthesis, ws, angle=0.0, shift=0.0):
    """Images of which the input map is turned about its centre and moved along x."""
    cos, sin = math.cos(angle), math.sin(angle)
    move = torch.tensor([[cos, -sin, -shift], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    synthesis.input.transform.copy_(move)
    return synthesis(ws)


def distance(images, expected):
    """Error of the inner part over the standard deviation of the image."""
    images, expected = (x[..., 8:-8, 8:-8] for x in (images, expected))
    return float((images - expected).square().mean().sqrt() / expected.std())


@torch.no_grad()
def test_a_moved_input_moves_the_image():
    synthesis, ws = network(TINY), styles(TINY)
    still, moved = placed(synthesis, ws), placed(synthesis, ws, shift=4 / 32)
    assert still.std() > 1e-2
    assert distance(moved, still.roll(4, dims=-1)) < 0.05
    assert distance(moved, still) > 0.5


@torch.no_grad()
def test_a_turned_input_turns_the_image_of_configuration_r():
    found = {}
    for name, schedule in {"t": TINY, "r": config_r(TINY)}.items():
        synthesis, ws = network(schedule), styles(schedule)
        still, turned = placed(synthesis, ws), placed(synthesis, ws, angle=math.pi / 2)
        turns = [still.rot90(k, dims=(-2, -1)) for k in (1, 3)]
        found[name] = min(distance(turned, turn) for turn in turns)
    assert found["r"] < 1e-3
    assert found["t"] > 0.1


@torch.no_grad()
def test_running_magnitudes_move_when_asked():
    synthesis, ws = network(TINY), styles(TINY, 2)
    before = {name: value.clone() for name, value in synthesis.named_buffers()}
    plain = synthesis(ws)
    assert all(torch.equal(before[name], value) for name, value in synthesis.named_buffers())
    updated = synthesis(ws, update_emas=True)
    changed = {name for name, v in synthesis.named_buffers() if not torch.equal(before[name], v)}
    assert changed == {f"{name}.magnitude_ema" for name in synthesis.layer_names}
    assert not torch.equal(plain, updated)
    layer = synthesis.get_submodule(synthesis.layer_names[0])
    magnitude = synthesis.input(ws[:, 0]).square().mean()
    torch.testing.assert_close(layer.magnitude_ema, 0.999 + 0.001 * magnitude)


def low_rank_layer(compat):
    torch.manual_seed(0)
    return AliasFreeLayer(TINY.layers[1], 8, LowRankOptions(2, 6, compat))


@pytest.mark.parametrize("compat", [False, True], ids=["learned", "released"])
def test_the_second_weight_starts_silent_and_learns_unless_it_is_the_released_one(compat):
    layer, plan = low_rank_layer(compat), TINY.layers[1]
    x = torch.randn(2, plan.before.channels, plan.before.size, plan.before.size)
    w, v, goal = torch.randn(2, 8), torch.randn(2, 6), torch.randn(2, plan.after.channels, 1, 1)
    without = AliasFreeLayer(plan, 8)
    without.load_state_dict(layer.state_dict(), strict=False)
    assert torch.equal(layer(x, w, v), without(x, w))
    shared = dict(without.named_parameters())
    branch = {name: p for name, p in layer.named_parameters() if name not in shared}
    assert {"w1", "w2", "affine_t.weight", "affine_t.bias"} <= set(branch)
    start = {name: p.detach().clone() for name, p in branch.items()}
    optimizer = torch.optim.SGD(branch.values(), lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (layer(x, w, v) - goal).square().mean().backward()
        optimizer.step()
    moved = {name for name, p in branch.items() if not torch.equal(p, start[name])}
    assert moved == (set() if compat else set(branch))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: LayerSchedule(48), "no networks for 48x48 images; expected 8, 16, 32"),
        (lambda: replace(TINY, num_layers=2), "num_layers=2: expected more than num_critical=2"),
        (lambda: LowRankOptions(0, 4), "low rank 0: expected at least 1"),
    ],
    ids=["resolution", "layers", "rank"],
)
def test_wrong_options_are_refused_by_name(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong()
