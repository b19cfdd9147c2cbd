"""StyleVideoGAN's networks: sizes, the recurrence against `nn.GRU`, state and precision."""

import pytest
import torch
from torch import nn

from vgbench.errors import UsageError
from vgbench.models.stylevideogan.critic import Critic
from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.latents import Moments
from vgbench.models.stylevideogan.mlp import LeakyReLU
from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions, TrainingOptions
from vgbench.models.stylevideogan.recurrence import StackedGRU

SMALL = GeneratorOptions(z_dim=6, memory_widths=(8, 8, 12), trunk_widths=(8, 9))


def size(network):
    return sum(p.numel() for p in network.parameters())


def gru_of(stacked):
    """`nn.GRU` with the same weights."""
    cells = nn.GRU(stacked.weight_hh.shape[2], stacked.weight_hh.shape[2], stacked.layers)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        for q in range(stacked.layers):
            cells.get_parameter(f"{name}_l{q}").data = getattr(stacked, name)[q].detach().clone()
    return cells.to(stacked.weight_hh.dtype)


def cell_loop(stacked, inputs, state):
    """The recurrence as it is written: time outside, depth inside."""
    memories, outputs = list(state), []
    weights = (stacked.weight_ih, stacked.weight_hh, stacked.bias_ih, stacked.bias_hh)
    for x in inputs.unbind(1):
        for q in range(stacked.layers):
            x = memories[q] = torch.gru_cell(x, memories[q], *(w[q] for w in weights))
        outputs.append(x)
    return torch.stack(outputs, 1), torch.stack(memories)


@pytest.mark.parametrize("num_ws", [18, 14])
def test_sizes_are_the_methods(num_ws):
    with torch.device("meta"):
        generator = Generator(GeneratorOptions(), num_ws, 512)
        critic = Critic(CriticOptions(), num_ws, 512, 25)
    want = {18: (4_951_104, 56_638_273), 14: (3_900_480, 34_286_465)}[num_ws]
    assert (size(generator), size(critic)) == want
    parts = (generator.memory, generator.recurrence, generator.trunk)
    assert [size(part) for part in parts] == [21_824, 25_344, 176_128]
    if num_ws == 18:
        assert size(generator.heads) == 4_727_808
        assert size(critic.embedding) == 56_585_984


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
@pytest.mark.parametrize("layers", [1, 2, 4])
def test_recurrence_equals_gru_and_the_loop_over_cells(steps, layers):
    torch.manual_seed(0)
    stacked = StackedGRU(5, layers).double()
    inputs = torch.randn(3, steps, 5, dtype=torch.float64)
    state = torch.randn(layers, 3, 5, dtype=torch.float64)
    outputs, last = stacked(inputs, state)
    want, want_last = gru_of(stacked)(inputs.transpose(0, 1), state)
    torch.testing.assert_close(outputs, want.transpose(0, 1), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(last, want_last, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(
        cell_loop(stacked, inputs, state), (outputs, last), rtol=1e-12, atol=1e-14
    )


def test_leaky_relu_is_torchs_and_has_no_curvature():
    torch.manual_seed(0)
    x = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    y, want = LeakyReLU(0.2)(x), torch.nn.functional.leaky_relu(x, 0.2)
    assert torch.equal(y, want)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (theirs,) = torch.autograd.grad(want.sum(), x)
    assert torch.equal(slope, theirs)
    assert not slope.requires_grad
    assert torch.autograd.gradgradcheck(lambda x: LeakyReLU(0.2)(x).square(), (x,))


def test_recurrence_has_a_second_derivative():
    torch.manual_seed(0)
    stacked = StackedGRU(2, 3).double()
    inputs = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    state = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, h: stacked(x, h).outputs, (inputs, state))


def test_recurrence_goes_on_from_its_state():
    torch.manual_seed(0)
    stacked, inputs = StackedGRU(4, 4), torch.randn(2, 10, 4)
    whole = stacked(inputs, torch.zeros(4, 2, 4))
    start = stacked(inputs[:, :3], torch.zeros(4, 2, 4))
    rest = stacked(inputs[:, 3:], start.state)
    torch.testing.assert_close(torch.cat((start.outputs, rest.outputs), 1), whole.outputs)
    torch.testing.assert_close(rest.state, whole.state)


def test_first_code_is_the_first_frame_and_the_last_memory():
    generator = Generator(SMALL, 4, 10).eval()
    first, motion = torch.randn(1, 6), torch.randn(1, 5, 6)
    assert torch.equal(generator.codes(first, motion)[:, 0], first)
    assert torch.equal(generator.first_state(first)[-1], first)
    assert generator(first, motion).shape == (1, 6, 4, 10)


def test_made_memories_are_as_spread_as_codes():
    memories = Generator(GeneratorOptions(), 4, 10).memory(10 * torch.randn(64, 32))
    assert memories.shape == (3, 64, 32)
    torch.testing.assert_close(memories.mean(dim=1), torch.zeros(3, 32), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        memories.var(dim=1, correction=0), torch.ones(3, 32), atol=0.02, rtol=0
    )


def test_style_vectors_are_affine_maps_of_the_same_features():
    generator = Generator(SMALL, 4, 10).eval()
    codes = torch.randn(2, 3, 6)
    features = generator.trunk(codes.flatten(0, 1)).view(2, 3, 10)
    for j in range(4):
        rows = slice(10 * j, 10 * (j + 1))
        want = features @ generator.heads.weight[rows].t() + generator.heads.bias[rows]
        torch.testing.assert_close(generator.latents(codes)[:, :, j], want)


def test_heads_with_activation_normalise_their_outputs():
    options = GeneratorOptions(z_dim=6, trunk_widths=(8,), head="lrelu_bn", norm_std=0.0)
    latents = Generator(options, 4, 10).latents(torch.randn(16, 8, 6))
    spread = latents.flatten(0, 1).std(dim=0, correction=0)
    torch.testing.assert_close(spread, torch.ones(4, 10), atol=0.05, rtol=0)


@pytest.mark.parametrize("norm", ["per_dim", "none"])
def test_scale_is_fitted_only_if_asked_for_and_travels_with_the_weights(norm):
    moments = Moments(torch.randn(4, 10), torch.rand(4, 10) + 0.5)
    options = GeneratorOptions(z_dim=6, trunk_widths=(8,), latent_norm=norm)
    generator = Generator(options, 4, 10)
    generator.fit_scale(moments)
    ws = torch.randn(2, 3, 4, 10)
    standard = generator.scale.standardize(ws)
    want = (ws - moments.mean) / moments.std if norm == "per_dim" else ws
    torch.testing.assert_close(standard, want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(generator.scale.restore(standard), ws)
    other = Generator(options, 4, 10)
    other.load_state_dict(generator.state_dict())
    assert torch.equal(other.scale.mean, generator.scale.mean)


def test_codes_keep_full_precision_under_autocast():
    generator = Generator(SMALL, 4, 10).eval()
    first, motion = torch.randn(2, 6), torch.randn(2, 5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        codes, latents = generator.codes(first, motion), generator(first, motion)
    assert torch.equal(codes, generator.codes(first, motion))
    assert latents.dtype == torch.bfloat16


@pytest.mark.parametrize(("frames", "kept"), [(16, 4), (24, 6), (25, 7), (32, 8), (1, 1)])
def test_critic_fits_every_length(frames, kept):
    critic = Critic(CriticOptions(embed_widths=(8,)), 2, 8, frames)
    assert critic.out.in_features == 128 * kept
    assert critic(torch.randn(3, frames, 2, 8)).shape == (3,)


def test_critic_sees_each_clip_by_itself():
    critic = Critic(CriticOptions(embed_widths=(8,)), 2, 8, 6)
    clips = torch.randn(3, 6, 2, 8)
    torch.testing.assert_close(critic(clips)[1:2], critic(clips[1:2]))


def test_embedding_halves_five_times():
    assert CriticOptions().widths(9216) == (9216, 4608, 2304, 1152, 576, 288, 32)
    assert CriticOptions().widths(64) == (64, 32, 32, 32, 32, 32, 32)
    assert CriticOptions(embed_widths=(64,)).widths(64) == (64, 64, 32)


def test_first_weights():
    torch.manual_seed(0)
    critic = Critic(CriticOptions(embed_widths=(8,)), 2, 8, 6)
    assert float(critic.convolutions[2].weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    scales = Generator(GeneratorOptions(), 2, 512).trunk.norm_out.weight.detach()
    assert float(scales.mean()) == pytest.approx(1, abs=0.005)
    assert float(scales.std()) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        (GeneratorOptions, {"head": "tanh"}),
        (GeneratorOptions, {"layers": 1}),
        (GeneratorOptions, {"trunk_widths": (8, 0)}),
        (GeneratorOptions, {"latent_norm": "batch"}),
        (CriticOptions, {"kernel": 4}),
        (CriticOptions, {"embed_dim": 0}),
        (TrainingOptions, {"frames": 1}),
        (TrainingOptions, {"betas": (0.5,)}),
        (TrainingOptions, {"angle_decay": 1.0}),
        (TrainingOptions, {"angle_reduce": "sum"}),
        (TrainingOptions, {"lr": 0.0}),
    ],
)
def test_wrong_options_are_refused_by_name(record, wrong):
    (name,) = wrong
    with pytest.raises(UsageError, match=f"{name}=.*expected"):
        record(**wrong)
