"""StyleGAN2's networks: sizes, styles, noise, and the video discriminators built of its blocks."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from vgbench.errors import UsageError
from vgbench.losses.regularizers import path_lengths, r1_penalty
from vgbench.models.stylegan2.generator import Generator
from vgbench.nn.styled_generator import mixed
from vgbench.nn.stylegan2.first_frame_discriminator import FirstFrameDiscriminator
from vgbench.nn.stylegan2.image_discriminator import Discriminator
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.time_distances import TimeDistances
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator

TINY = Pyramid(32, channel_base=256, channel_max=16)
MEAN = FrameFusion(merge="mean")


def count(network):
    return sum(p.numel() for p in network.parameters())


def on_paper(build):
    """Builds a network without memory for its weights."""
    with torch.device("meta"):
        return build()


SIZES = [
    (lambda: Generator(Pyramid(256)), 24_767_458),
    (lambda: Generator(Pyramid(256)).mapping, 2_101_248),
    (lambda: Generator(Pyramid(256), use_noise=False), 24_767_445),
    (lambda: Generator(Pyramid(512, channel_base=32768)), 30_276_583),
    (lambda: Generator(Pyramid(1024, channel_base=32768)), 30_370_060),
    (lambda: Discriminator(Pyramid(256)), 24_001_089),
    (lambda: Discriminator(Pyramid(512, channel_base=32768)), 28_982_849),
    (lambda: Discriminator(Pyramid(1024, channel_base=32768)), 29_012_513),
    (lambda: VideoDiscriminator(Pyramid(256), FrameFusion()), 25_333_568),
    (lambda: VideoDiscriminator(Pyramid(64), FrameFusion()), 24_739_840),
    (lambda: VideoDiscriminator(Pyramid(256), FrameFusion(1)), 21_379_393),
    (lambda: VideoDiscriminator(Pyramid(64), FrameFusion(1)), 20_785_665),
    (lambda: VideoDiscriminator(Pyramid(256), replace(MEAN, temporal_shift=True)), 25_333_824),
    (lambda: VideoDiscriminator(Pyramid(64), MEAN), 24_740_096),
    (lambda: VideoDiscriminator(Pyramid(256), replace(MEAN, frames=1)), 24_001_089),
    (lambda: VideoDiscriminator(Pyramid(64), replace(MEAN, frames=1)), 23_407_361),
    (lambda: VideoDiscriminator(Pyramid(256), FrameFusion(4, max_frames=128)), 26_547_008),
    (lambda: FirstFrameDiscriminator(Pyramid(256), FrameFusion(4, max_frames=128)), 40_835_392),
]


@pytest.mark.parametrize(("build", "parameters"), SIZES)
def test_numbers_of_parameters_are_those_of_the_papers(build, parameters):
    assert count(on_paper(build)) == parameters


def tiny_generator(**options):
    torch.manual_seed(0)
    network = Generator(TINY, 8, 0, 12, 2, **options)
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            nn.init.constant_(parameter, 0.3)
    return network


@torch.no_grad()
def test_each_layer_listens_to_its_own_style():
    network = tiny_generator(use_noise=False)
    a, b = network.styles(torch.randn(2, 8))[:, None]
    whole = network.synthesis(a)
    assert whole.shape == (1, 3, 32, 32)
    assert network.num_ws == a.shape[1] == 8
    changes = []
    for cut in range(network.num_ws):
        both = mixed(a, b, torch.tensor([cut]))
        assert torch.equal(both[:, :cut], a[:, :cut])
        assert torch.equal(both[:, cut:], b[:, cut:])
        changes.append((network.synthesis(both) - whole).abs().mean().item())
    assert all(change > 0 for change in changes)
    assert torch.equal(mixed(a, b, torch.tensor([network.num_ws])), a)


@torch.no_grad()
def test_noise_comes_from_where_it_is_asked():
    network, z = tiny_generator(), torch.randn(2, 8)
    const, none = network(z), network(z, noise="none")
    assert torch.equal(const, network(z))
    assert (const - none).abs().max() > 1e-3
    draws = [[torch.Generator().manual_seed(seed) for seed in seeds] for seeds in ((1, 2), (2, 1))]
    first, second = (network(z[:1].expand(2, -1), noise=generators) for generators in draws)
    torch.testing.assert_close(first, second.flip(0))
    assert (first[0] - first[1]).abs().max() > 1e-3
    silent = tiny_generator(use_noise=False)
    assert torch.equal(silent(z), silent(z, noise="none"))


def test_penalties_reach_every_weight():
    network = tiny_generator()
    ws = network.styles(torch.randn(2, 8))
    images = network.synthesis(ws)
    path_lengths(images, ws, torch.randn_like(images)).mean().backward()
    critic = Discriminator(TINY, c_dim=3, mapping_layers=2)
    real, label = torch.randn(4, 3, 32, 32, requires_grad=True), torch.randn(4, 3)
    (r1_penalty(real, critic(real, label)) + critic(real, label)).mean().backward()
    for owner in (network, critic):
        for name, parameter in owner.named_parameters():
            # Neither the last bias nor the colours' changes how far an image moves.
            expected = "torgb.bias" not in name
            assert (parameter.grad is not None and bool(parameter.grad.any())) == expected, name


def clip(frames=3, n=4):
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.rand(n, 3, frames, 32, 32, generator=generator) - 1


def times(frames=3, n=4):
    return torch.arange(frames).float().expand(n, -1) * torch.arange(1.0, n + 1)[:, None]


def build(fusion, kind=VideoDiscriminator, **options):
    torch.manual_seed(0)
    return kind(TINY, fusion, **options)


@torch.no_grad()
@pytest.mark.parametrize("merge", ["concat", "mean"])
@pytest.mark.parametrize("shift", [False, True])
def test_logits_depend_on_pixels_order_and_time(merge, shift):
    network = build(FrameFusion(merge=merge, temporal_shift=shift))
    logits = network(clip(), times())
    assert logits.shape == (4,)
    swapped = network(clip()[:, :, [1, 0, 2]], times())
    ordered = merge == "concat" or shift
    assert torch.allclose(swapped, logits, atol=1e-6) != ordered
    assert not torch.allclose(network(clip(), 2 * times()), logits, atol=1e-6)
    blind = build(FrameFusion(merge=merge, temporal_shift=shift, use_time=False))
    assert torch.equal(blind(clip(), 2 * times()), blind(clip(), times()))


@torch.no_grad()
def test_evenly_spaced_frames_need_one_distance():
    network = build(FrameFusion(5, uniform=True, max_frames=64))
    assert network.time_encoder.dim == 256 + 2 * 6
    late = times(5).clone()
    late[:, 2:] += 1
    assert torch.equal(network(clip(5), times(5)), network(clip(5), late))


def test_frozen_layers_take_no_gradient_and_their_block_does_not_shift():
    fusion = replace(MEAN, temporal_shift=True)
    free, frozen = build(fusion), build(fusion, freeze_layers=3)
    names = [name for name, p in frozen.named_parameters() if not p.requires_grad]
    assert {name.rpartition(".")[0] for name in names} == {"b32.fromrgb", "b32.conv0", "b32.conv1"}
    assert free.b32.shift_frames == 3
    assert frozen.b32.shift_frames == free.b16.shift_frames == 0
    six = build(fusion, freeze_layers=6)
    assert not six.b16.conv1.weight.requires_grad
    assert six.b16.skip.weight.requires_grad


@torch.no_grad()
def test_the_first_frame_is_a_condition():
    network = build(FrameFusion(4, max_frames=64), FirstFrameDiscriminator)
    logits = network(clip(4), times(4))
    changed = clip(4).clone()
    changed[:, :, 0] *= 0.5
    assert not torch.allclose(network(changed, times(4)), logits, atol=1e-6)
    earlier = times(4).clone()
    earlier[:, 0] -= 5  # how long ago it was is not looked at
    assert torch.equal(network(clip(4), earlier), logits)


def test_time_code_by_hand():
    encoder = TimeDistances(max_frames=100, count=2)
    code = encoder(torch.tensor([[0.0, 3.0, 9.6, 50.0]])).view(2, -1)
    assert torch.equal(code[0, :256], encoder.const_embed.weight[3])
    assert torch.equal(code[1, :256], encoder.const_embed.weight[7])
    angles = torch.tensor([torch.pi * 6.6 * 2**i / 128 for i in range(7)])
    torch.testing.assert_close(code[1, 256:263], angles.sin(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(code[1, 263:], angles.cos(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Pyramid(48), "no networks for 48x48 images; expected 8, 16, 32"),
        (lambda: build(FrameFusion(resolution=32)), "merged at 32x32.* expected one of 8, 16"),
        (lambda: build(MEAN)(clip(4), times(4)), r"built for \(batch, 3, 3, 32, 32\)"),
        (lambda: Discriminator(TINY)(clip()[:, :, 0, 4:]), r"built for \(batch, 3, 32, 32\)"),
        (lambda: build(MEAN, c_dim=2)(clip(), times()), "needs labels of 2 numbers"),
    ],
    ids=["resolution", "fusion", "clip", "image", "label"],
)
def test_wrong_sizes_are_refused_by_name(wrong, message):
    with pytest.raises(UsageError, match=message):
        wrong()
