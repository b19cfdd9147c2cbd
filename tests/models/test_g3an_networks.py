"""Sizes, switches and attention of the G3AN networks."""

import pytest
import torch
from einops import rearrange
from torch import nn

from vgbench.errors import UsageError
from vgbench.models.g3an import attention
from vgbench.models.g3an.attention import FactorizedSelfAttention, attend
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.discriminator import ImageDiscriminator, VideoDiscriminator
from vgbench.models.g3an.generator import Generator, block_plans
from vgbench.nn.channels_last import StillAndMoving
from vgbench.types import VideoSpec


def size_of(network):
    parameters = sum(p.numel() for p in network.parameters())
    return parameters, sum(b.numel() for b in network.buffers())


# Parameters and buffers counted in the published networks.
GENERATORS = {
    ("1p2d", True): (23_090_437, 82_020),
    ("1p2d", False): (22_925_955, 79_844),
    ("2p1d", True): (27_219_205, 101_532),
    ("2p1d", False): (27_054_723, 99_356),
    ("3d", True): (65_975_237, 196_727),
    ("3d", False): (65_810_755, 194_551),
}


@pytest.mark.parametrize(("options", "counts"), GENERATORS.items(), ids=str)
def test_generator_size(options, counts):
    mode, use_attention = options
    with torch.device("meta"):
        network = Generator(G3ANConfig(mode=mode, use_attention=use_attention), VideoSpec())
    assert size_of(network) == counts


def test_generator_size_by_part():
    with torch.device("meta"):
        network = Generator(G3ANConfig(), VideoSpec())
    sizes = {name: size_of(part)[0] for name, part in network.named_children()}
    assert sizes == {
        "block1": 5_552_128,
        "block2": 11_540_480,
        "block3": 4_721_664,
        "block4": 886_272,
        "block5": 221_952,
        "fsa": 164_482,
        "to_rgb": 3_459,
    }


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"channels": 16}, 1_700_677),
        ({"channels": 32}, 6_115_973),
        ({"channels": 8, "appearance_dim": 32, "motion_dim": 6}, 386_085),
    ],
)
def test_narrow_generator_size(options, parameters):
    assert size_of(Generator(G3ANConfig(**options), VideoSpec()))[0] == parameters


def test_discriminator_sizes():
    wide, spec = G3ANConfig(), VideoSpec()
    assert size_of(VideoDiscriminator(wide, spec)) == (8_347_009, 23_729)
    assert size_of(ImageDiscriminator(wide, spec)) == (2_764_737, 16_369)
    for channels, video, image in ((32, 2_088_641, 694_241), (8, 131_249, 44_537)):
        narrow = G3ANConfig(channels=channels)
        assert size_of(VideoDiscriminator(narrow, spec))[0] == video
        assert size_of(ImageDiscriminator(narrow, spec))[0] == image


def test_all_blocks_double_space_and_two_double_time():
    for n in range(3, 8):
        plans = block_plans([1] * n)
        assert [plan.time.stride for plan in plans] == [1, 2, 2, *[1] * (n - 3)]
        assert [plan.space.stride for plan in plans] == [1, *[2] * (n - 1)]


SWITCHES = {
    "default": {},
    "2p1d": {"mode": "2p1d"},
    "3d": {"mode": "3d", "d_v": "3d"},
    "no attention": {"use_attention": False},
    "no spatial stream": {"use_s_stream": False},
    "no temporal stream": {"use_t_stream": False},
    "video stream only": {"use_s_stream": False, "use_t_stream": False},
    "attention first": {"fsa_after_block": 1},
    "20 frames": {"frames": 20},
}


@pytest.mark.parametrize("size", [16, 32, 64, 128])
@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_every_switch_at_every_resolution(size, switches):
    options = {"channels": 4, "appearance_dim": 6, "motion_dim": 3, "fsa_after_block": 2}
    config, spec = G3ANConfig(**options | switches), VideoSpec(3, size, size)
    frames = config.frames
    zm = torch.randn(2, frames // 4 - 3, 3)
    video = Generator(config, spec)(torch.randn(2, 6), zm)
    assert video.shape == (2, 3, frames, size, size)
    assert video.abs().max() <= 1
    logits = VideoDiscriminator(config, spec)(video) + ImageDiscriminator(config, spec)(
        video[:, :, 1]
    )
    assert logits.shape == (2,)
    logits.sum().backward()


def test_fsa_can_follow_every_block():
    for block in range(1, 6):
        config = G3ANConfig(channels=8, fsa_after_block=block)
        network = Generator(config, VideoSpec())
        assert network.fsa.tsa.v_conv.bias.numel() == 2 * config.widths(VideoSpec())[block - 1]


@pytest.mark.parametrize(
    "shape", [(2, 3, 15, 32, 32), (2, 3, 17, 32, 32), (2, 3, 16, 64, 64), (2, 1, 16, 32, 32)]
)
def test_video_discriminator_refuses_other_sizes(shape):
    network = VideoDiscriminator(G3ANConfig(channels=4), VideoSpec(3, 32, 32))
    with pytest.raises(UsageError, match=r"built for \(batch, 3, 16, 32, 32\), got \(2, "):
        network(torch.zeros(shape))


def test_image_discriminator_refuses_other_sizes():
    network = ImageDiscriminator(G3ANConfig(channels=4), VideoSpec(3, 32, 32))
    with pytest.raises(UsageError, match=r"built for \(batch, 3, 32, 32\), got \(2, 3, 64, 64\)"):
        network(torch.zeros(2, 3, 64, 64))


def test_initialisation():
    torch.manual_seed(0)
    network = Generator(G3ANConfig(), VideoSpec())
    std = {n: p.std(correction=0).item() for n, p in network.named_parameters()}
    # Measured in the published networks: transposed convolutions keep PyTorch's default.
    assert std["block2.conv_s.0.weight_orig"] == pytest.approx(0.0064, rel=0.02)
    assert std["block2.conv_t.0.weight_orig"] == pytest.approx(0.0128, rel=0.02)
    assert std["to_rgb.0.weight"] == pytest.approx(0.02, rel=0.1)
    assert std["fsa.ssa.v_conv.weight_orig"] == pytest.approx(0.02, rel=0.05)
    norm = network.get_parameter("block2.conv_v.1.weight")
    assert norm.mean().item() == pytest.approx(1, abs=0.005)
    assert norm.std().item() == pytest.approx(0.02, rel=0.2)
    assert not network.get_parameter("block2.conv_v.1.bias").any()
    assert network.get_parameter("fsa.tsa.gamma").item() == 0
    for kind in (VideoDiscriminator, ImageDiscriminator):
        weight = kind(G3ANConfig(), VideoSpec()).get_parameter("net.4.weight_orig")
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_normalisation_layers_can_be_synchronised():
    network = Generator(G3ANConfig(channels=4), VideoSpec(3, 32, 32))
    names = set(network.state_dict())
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    assert isinstance(synced.get_submodule("block1.conv_v.1"), nn.SyncBatchNorm)
    assert set(synced.state_dict()) == names


def sequences(n=6, dtype=torch.float64):
    """Queries and keys of two numbers and values of three; two samples of five sequences."""
    torch.manual_seed(0)
    return torch.randn(2, 5, n, 7, dtype=dtype, requires_grad=True)


def direct(qkv):
    q, k, v = qkv.split([2, 2, 3], dim=-1)
    return torch.softmax(q @ k.mT, dim=-1) @ v


@pytest.mark.parametrize("numbers", [1, 72, 10**6], ids=["one by one", "in pairs", "at once"])
def test_attention_is_exact_whatever_is_held_at_a_time(monkeypatch, numbers):
    monkeypatch.setattr(attention, "_AT_A_TIME", numbers)
    qkv = sequences()
    got, want = attend(qkv, 2), direct(qkv)
    torch.testing.assert_close(got, want)
    cotangent = torch.randn_like(want)
    grads = (torch.autograd.grad(y, qkv, cotangent) for y in (got, want))
    torch.testing.assert_close(*grads)
    assert torch.autograd.gradcheck(attend, (qkv, 2))


def test_attention_never_saves_score_maps():
    qkv = sequences(n=64, dtype=torch.float32)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, id):
        attend(qkv, 2)
    assert max(sizes) < qkv.shape[0] * qkv.shape[1] * 64 * 64


@pytest.mark.parametrize("layout", ["fixed", "reference"])
def test_fsa_starts_as_identity(layout):
    x = torch.randn(2, 4, 3, 5, 16)
    assert torch.equal(FactorizedSelfAttention(16, layout)(x), x)


def test_temporal_attention_of_one_pixel_is_that_pixels_alone():
    torch.manual_seed(0)
    tsa = FactorizedSelfAttention(16, "fixed").eval().tsa
    nn.init.ones_(tsa.gamma)
    x = torch.randn(1, 4, 2, 2, 16)
    torch.testing.assert_close(tsa(x)[:, :, 1:, 1:], tsa(x[:, :, 1:, 1:]))


def test_spatial_attention_follows_a_permutation_of_pixels():
    torch.manual_seed(0)
    ssa = FactorizedSelfAttention(16, "fixed").eval().ssa
    nn.init.ones_(ssa.gamma)
    x = torch.randn(1, 4, 2, 3, 16)
    turned = ssa(rearrange(x, "b t h w c -> b t w h c"))
    torch.testing.assert_close(rearrange(turned, "b t w h c -> b t h w c"), ssa(x))


def test_attention_takes_still_channels_unrepeated():
    torch.manual_seed(0)
    fsa = FactorizedSelfAttention(16, "fixed").double().eval()
    nn.init.ones_(fsa.tsa.gamma)
    still = torch.randn(2, 1, 3, 3, 8, dtype=torch.float64)
    x = StillAndMoving(still, torch.randn(2, 4, 3, 3, 8, dtype=torch.float64))
    torch.testing.assert_close(fsa(x), fsa(x.dense()))
