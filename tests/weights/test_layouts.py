import numpy as np
import pytest
import torch

from tests.weights.made import (
    deepmind_names,
    drawn_state,
    i3d_state,
    inception_state,
    stylegan_v_names,
)
from vgbench.errors import WeightsError
from vgbench.metrics.extractors.resnext import ResNeXt101
from vgbench.weights.catalog import read_catalog
from vgbench.weights.layouts import to_ours, to_tensorflow
from vgbench.weights.store import network_shapes

I3D_SHAPES = network_shapes(read_catalog()["i3d-k400"])
RESNEXT_SHAPES = network_shapes(read_catalog()["resnext101-k400"])
INCEPTION_SHAPES = network_shapes(read_catalog()["inception-2015"])


def as_tensors(variables):
    return {name: torch.from_numpy(value.copy()) for name, value in variables.items()}


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name in want:
        assert torch.equal(got[name], want[name]), name
        assert got[name].is_contiguous()


def i3d_files():
    state = i3d_state()
    counters = {k.replace("running_var", "num_batches_tracked"): torch.tensor(3) for k in state}
    no_scales = {k: v for k, v in state.items() if not k.endswith("bn.weight")}
    prefixed = {f"model.{k}": v for k, v in stylegan_v_names(state).items()}
    return {
        "piergiaj": state,
        "piergiaj with counters": {
            **{k: v for k, v in counters.items() if k.endswith("tracked")},
            **state,
        },
        "piergiaj without scales": no_scales,
        "stylegan-v": stylegan_v_names(state),
        "stylegan-v below a prefix": prefixed,
        "deepmind checkpoint": as_tensors(deepmind_names(state)),
        "deepmind hub module": as_tensors(deepmind_names(state, bn_axes=5)),
    }


@pytest.mark.parametrize("kind", list(i3d_files()))
def test_all_i3d_files_give_the_same_tensors(kind):
    tensors, layout = to_ours(i3d_files()[kind], I3D_SHAPES)
    assert layout == kind.split()[0]
    assert_same(tensors, i3d_state())


def test_deepmind_has_230_variables():
    variables = deepmind_names(i3d_state())
    assert len(variables) == 230
    assert "RGB/inception_i3d/Mixed_5b/Branch_2/Conv3d_0a_3x3/conv_3d/w" in variables
    assert sum(v.nbytes for v in variables.values()) == 50_818_176


def test_scales_are_kept():
    state = i3d_state(scales=True)
    assert_same(to_ours(stylegan_v_names(state), I3D_SHAPES)[0], state)


def nvidia_names(state):
    """Returns the Inception tensors as NVIDIA's TorchScript names them, written from its graph."""
    blocks = ["Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c"]
    blocks += ["Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c"]
    stem = ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"]
    leaves = {"conv.weight": "weight", "bn.bias": "beta", "bn.running_mean": "mean"}
    leaves["bn.running_var"] = "var"
    numbered = {"1": "conv", "2": "conv_1", "3": "conv_2", "4": "conv_3", "5": "conv_4"}
    towers = {
        "Mixed_5": {"branch5x5": "tower", "branch3x3dbl": "tower_1"},
        "Mixed_6a": {"branch3x3dbl": "tower"},
        "Mixed_6": {"branch7x7": "tower", "branch7x7dbl": "tower_1"},
        "Mixed_7a": {"branch3x3": "tower", "branch7x7x3": "tower_1"},
    }
    forked = {"branch3x3_1": "tower_conv", "branch3x3_2a": "tower_mixed_conv"}
    forked |= {"branch3x3_2b": "tower_mixed_conv_1", "branch3x3dbl_1": "tower_1_conv"}
    forked |= {"branch3x3dbl_2": "tower_1_conv_1", "branch3x3dbl_3a": "tower_1_mixed_conv"}
    forked |= {"branch3x3dbl_3b": "tower_1_mixed_conv_1", "branch_pool": "tower_2_conv"}

    def unit(block, branch):
        if branch in ("branch1x1", "branch3x3"):
            return "conv"
        if block in ("Mixed_7b", "Mixed_7c"):
            return forked[branch]
        if branch == "branch_pool":
            return "tower_2.conv"
        name, _, number = branch.rpartition("_")
        group = next(towers[key] for key in (block, block[:7]) if key in towers)
        return f"{group[name]}.{numbered[number]}"

    renamed = {"output.weight": state["fc.weight"], "output.bias": state["fc.bias"]}
    for name, tensor in state.items():
        block, *branch = name.split(".")
        if block == "fc":
            continue
        *branch, kind, leaf = branch
        if (kind, leaf) == ("bn", "weight"):
            continue
        if block in stem:
            i = stem.index(block)
            path = f"conv_{i}" if i else "conv"
        else:
            i = blocks.index(block)
            path = (f"mixed_{i}" if i else "mixed") + "." + unit(block, branch[0])
        renamed[f"layers.{path}.{leaves[f'{kind}.{leaf}']}"] = tensor
    return renamed


def test_inception_files_give_the_same_tensors():
    state = inception_state(scales=False)
    assert_same(to_ours(state, INCEPTION_SHAPES)[0], state)
    tensors, layout = to_ours(nvidia_names(state), INCEPTION_SHAPES)
    assert layout == "nvidia"
    assert_same(tensors, state)


def test_a_resnext_as_its_makers_saved_it():
    state = drawn_state(ResNeXt101)
    theirs = {f"module.{name}": tensor for name, tensor in reversed(state.items())}
    theirs |= {"module.bn1.num_batches_tracked": torch.tensor(9)}
    tensors, layout = to_ours(theirs, RESNEXT_SHAPES)
    assert layout == "3d-resnets"
    assert_same(tensors, state)
    # names of the published file
    names = {"conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "fc.bias"}
    names |= {"layer3.22.conv2.weight", "layer4.2.bn3.bias", "layer1.0.downsample.1.running_mean"}
    assert names <= state.keys()
    theirs["module.fc.bias"] = torch.zeros(600)
    with pytest.raises(WeightsError, match="600 classes"):
        to_ours(theirs, RESNEXT_SHAPES)
    with pytest.raises(WeightsError, match="another network, in layout '3d-resnets'"):
        to_ours(theirs, I3D_SHAPES)


def test_to_tensorflow_is_the_inverse():
    state = i3d_state()
    variables = deepmind_names(state)
    for name, ours in (("Conv3d_1a_7x7", "Conv3d_1a_7x7.conv3d.weight"),):
        want = variables[f"RGB/inception_i3d/{name}/conv_3d/w"]
        assert np.array_equal(to_tensorflow(state[ours]).numpy(), want)


def broken(change):
    state = dict(i3d_state())
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("Mixed_4e.b2b.bn.bias"), r"1 tensors are missing \(Mixed_4e.b2b.bn.bias"),
        (lambda s: s.pop("Mixed_4e.b0.bn.weight"), r"1 tensors are missing \(Mixed_4e.b0.bn.w"),
        (lambda s: s.update(head=torch.zeros(1)), r"1 are left over \(head"),
        (
            lambda s: s.update({"Mixed_3b.b0.bn.bias": torch.zeros(65)}),
            r"Mixed_3b.b0.bn.bias has shape \(65,\), expected \(64,\)",
        ),
        (
            lambda s: s.update({"Mixed_3b.b0.bn.bias": torch.full((64,), torch.nan)}),
            "Mixed_3b.b0.bn.bias holds numbers that are not finite",
        ),
        (
            lambda s: s.update({"logits.conv3d.bias": torch.zeros(600)}),
            r"600 classes \(the Kinetics-600 checkpoint\); the one of 400 classes is needed",
        ),
        (lambda s: s.clear(), "holds 0 tensors"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(WeightsError, match=message):
        to_ours(broken(change), I3D_SHAPES)


def test_kinetics_600_is_refused_by_name():
    state = dict(i3d_state())
    state["logits.conv3d.weight"] = torch.zeros(600, 1024, 1, 1, 1)
    state["logits.conv3d.bias"] = torch.zeros(600)
    variables = deepmind_names(state, prefix="")
    slots = {f"{k}/Momentum": v for k, v in variables.items() if k.endswith(("w", "b", "beta"))}
    assert len(variables | slots) == 346
    with pytest.raises(WeightsError, match="Kinetics-600"):
        to_ours(as_tensors(variables | slots), I3D_SHAPES)


def test_another_network_is_named():
    with pytest.raises(WeightsError, match="another network, in layout 'pytorch-fid'"):
        to_ours(inception_state(), I3D_SHAPES)
    with pytest.raises(WeightsError, match="another network, in layout 'piergiaj'"):
        to_ours(i3d_state(), INCEPTION_SHAPES)
