"""StyleVideoGAN against recorded tensors of our own reference of its definition, in float64."""

import re

import pytest
import torch

from tests.parity.conftest import assert_known, relative_error, under
from vgbench.models.stylevideogan.critic import Critic
from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.losses import (
    Standard,
    between,
    clip_gradient_norms,
    gradient_angle,
    gradient_penalty,
)
from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions

FILES = "stylevideogan_*.npz"
TOLERANCE = 1e-9
INPUTS = {"i", "s", "gap_mu", "gap_sigma", "real", "eta"}
OUTPUTS = {"l", "w", "d", "norm_grad_i", "norm_grad_s", "phi", "gap_per_sample", "gap_loss",
           "dL_dweight_hh_l3", "dL_dweight_ih_l0", "dL_dH0", "critic_real", "critic_fake",
           "gp_grad_norm", "gp_unweighted"}  # fmt: skip
# A recorded gradient is named after a weight of `nn.GRU`, or H0 for H's first one.
GRADIENT = r"dL_d(weight|bias)_(ih|hh)_l\d+|dL_dH0"
WEIGHT = (
    r"G\.(H|T)\.\d+\.\w+|G\.P\.(weight|bias)_(ih|hh)_l\d+|G\.A\.\d+\.\w+|C\.(E\.\d+|c\d+|out)\.\w+"
)


def tensor(arrays, name):
    return torch.tensor(arrays[name])


def linears(arrays, prefix):
    """Shapes `out, in` of the matrices of a recorded sequence, in order."""
    found = {int(k.split(".")[0]): v.shape for k, v in under(arrays, prefix).items() if v.ndim == 2}
    return [found[index] for index in sorted(found)]


def indices(arrays, pattern):
    found = [re.fullmatch(pattern, key) for key in arrays]
    return sorted({int(match[1]) for match in found if match})


def generator_options(arrays):
    hidden = [[rows for rows, _ in linears(arrays, part)[:-1]] for part in ("G.H.", "G.T.")]
    layers = len(indices(arrays, r"G\.P\.weight_ih_l(\d+)"))
    return GeneratorOptions(arrays["i"].shape[1], layers, *map(tuple, hidden))


def renamed_mlp(arrays, prefix, ours, norms):
    """Our names of a recorded sequence of layers; `norms` names its batch norms by index."""
    state = {}
    for key, value in under(arrays, prefix).items():
        index, leaf = key.split(".")
        shift = 2 if "norm_in" in norms.values() else 0
        name = norms.get(int(index), f"layers.{int(index) - shift}")
        state[f"{ours}.{name}.{leaf}"] = torch.tensor(value)
    return state


def generator_of(arrays):
    options = generator_options(arrays)
    network = Generator(options, *arrays["w"].shape[2:]).double().eval()
    norm_h = 2 * len(options.memory_widths) + 2
    norm_t = 2 * len(options.trunk_widths) + 4
    state = renamed_mlp(arrays, "G.H.", "memory", {norm_h: "norm"})
    state |= renamed_mlp(arrays, "G.T.", "trunk", {0: "norm_in", norm_t: "norm_out"})
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        cells = [tensor(arrays, f"G.P.{name}_l{q}") for q in range(options.layers)]
        state[f"recurrence.{name}"] = torch.stack(cells)
    for leaf in ("weight", "bias"):
        heads = [tensor(arrays, f"G.A.{j}.{leaf}") for j in range(network.num_ws)]
        state[f"heads.{leaf}"] = torch.cat(heads)
    network.load_state_dict(
        state | {f"scale.{k}": v for k, v in network.scale.state_dict().items()}
    )
    return network


def critic_of(arrays):
    embedding = [rows for rows, _ in linears(arrays, "C.E.")]
    convolutions = indices(arrays, r"C\.c(\d+)\.weight")
    kernels = [arrays[f"C.c{j}.weight"].shape for j in convolutions]
    options = CriticOptions(
        tuple(embedding[:-1]), embedding[-1], tuple(k[0] for k in kernels), kernels[0][2]
    )
    _, frames, num_ws, w_dim = arrays["w"].shape
    network = Critic(options, num_ws, w_dim, frames).double()
    state = {f"embedding.{k}": torch.tensor(v) for k, v in under(arrays, "C.E.").items()}
    for place, j in enumerate(convolutions):
        state |= {
            f"convolutions.{2 * place}.{leaf}": tensor(arrays, f"C.c{j}.{leaf}")
            for leaf in ("weight", "bias")
        }
    state |= {f"out.{k}": torch.tensor(v) for k, v in under(arrays, "C.out.").items()}
    network.load_state_dict(state)
    return network


def assert_close(arrays, name, got):
    error = relative_error(got.detach().numpy(), arrays[name], 1e-12)
    assert error <= TOLERANCE, f"{name}: relative error {error:.2e} > {TOLERANCE:.0e}"


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    rest = [k for k in arrays if not re.fullmatch(f"{WEIGHT}|{GRADIENT}", k)]
    assert_known(rest, INPUTS | OUTPUTS)
    assert_known(meta, {"note", "seed"}, "meta")
    assert {arrays[k].dtype.name for k in INPUTS} == {"float64"}


def test_codes_and_latents(recorded):
    arrays, _ = recorded
    network = generator_of(arrays)
    codes = network.codes(tensor(arrays, "i"), tensor(arrays, "s"))
    assert_close(arrays, "l", codes)
    assert_close(arrays, "w", network.scale.restore(network.latents(codes)))


def angle_of(arrays, network):
    first, motion = (tensor(arrays, name).requires_grad_() for name in ("i", "s"))
    standard = Standard(tensor(arrays, "gap_mu"), tensor(arrays, "gap_sigma"))
    return gradient_angle(network.codes(first, motion), first, motion, standard)


def test_gradient_angle(recorded):
    arrays, _ = recorded
    angle = angle_of(arrays, generator_of(arrays))
    assert_close(arrays, "d", angle.distance)
    assert_close(arrays, "norm_grad_i", angle.by_first)
    assert_close(arrays, "norm_grad_s", angle.by_motion)
    assert_close(arrays, "phi", angle.phi)
    assert_close(arrays, "gap_per_sample", angle.penalty)
    assert_close(arrays, "gap_loss", angle.penalty.mean())


def test_gradients_of_the_gradient_angle(recorded):
    arrays, _ = recorded
    network = generator_of(arrays)
    angle_of(arrays, network).penalty.mean().backward()
    names = [key for key in arrays if re.fullmatch(GRADIENT, key)]
    assert names, "the file has no gradients"
    for name in names:
        if name == "dL_dH0":
            got = network.memory.layers[0].weight.grad
        else:
            kind, cell = name.removeprefix("dL_d").rsplit("_l", 1)
            got = network.recurrence.get_parameter(kind).grad[int(cell)]
        assert_close(arrays, name, got)


@pytest.mark.parametrize(("name", "clips"), [("critic_real", "real"), ("critic_fake", "w")])
def test_scores(recorded, name, clips):
    arrays, _ = recorded
    assert_close(arrays, name, critic_of(arrays)(tensor(arrays, clips)))


def test_gradient_penalty(recorded):
    arrays, _ = recorded
    mix = tensor(arrays, "eta").flatten()
    points = between(tensor(arrays, "real"), tensor(arrays, "w"), mix)
    norms = clip_gradient_norms(critic_of(arrays), points)
    assert_close(arrays, "gp_grad_norm", norms)
    assert_close(arrays, "gp_unweighted", gradient_penalty(norms))
