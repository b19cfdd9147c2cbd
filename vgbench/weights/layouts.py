"""The ways in which published files name and shape the same tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from vgbench.errors import WeightsError

Shapes = Mapping[str, torch.Size]


def _keep(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True)
class Layout:
    """One way of storing a network.

    Attributes:
        name: What provenance calls it.
        first: Our name of a tensor that only this network has; a file in which it has its name of
            this layout, below any prefix, has this layout.
        rename: Our name of a tensor -> the file's.
        reshape: The file's tensor -> ours, apart from dropping axes of length 1.
        ignored: How names below the prefix begin whose tensors the network does not need.
    """

    name: str
    first: str
    rename: Callable[[str], str]
    reshape: Callable[[Tensor], Tensor] = _keep
    ignored: tuple[str, ...] = ()

    def prefix(self, tensors: Mapping[str, Tensor]) -> str | None:
        """Returns what stands before all names, or None if the file has another layout."""
        anchor = self.rename(self.first)
        for name in tensors:
            if name == anchor or name.endswith((f".{anchor}", f"/{anchor}")):
                return name.removesuffix(anchor)
        return None


# I3D ------------------------------------------------------------------------------------------

_HASSONY_BRANCHES = {
    "b0": "branch_0",
    "b1a": "branch_1.0",
    "b1b": "branch_1.1",
    "b2a": "branch_2.0",
    "b2b": "branch_2.1",
    "b3b": "branch_3.1",
}
_DEEPMIND_BRANCHES = {
    "b0": "Branch_0/Conv3d_0a_1x1",
    "b1a": "Branch_1/Conv3d_0a_1x1",
    "b1b": "Branch_1/Conv3d_0b_3x3",
    "b2a": "Branch_2/Conv3d_0a_1x1",
    "b2b": "Branch_2/Conv3d_0b_3x3",
    "b3b": "Branch_3/Conv3d_0b_1x1",
}
_DEEPMIND_LEAVES = {
    "conv3d.weight": "conv_3d/w",
    "conv3d.bias": "conv_3d/b",
    "bn.weight": "batch_norm/gamma",
    "bn.bias": "batch_norm/beta",
    "bn.running_mean": "batch_norm/moving_mean",
    "bn.running_var": "batch_norm/moving_variance",
}


def _split(name: str) -> tuple[str, str, str]:
    """Returns block, branch (or empty) and leaf of an I3D tensor's name."""
    path, kind, leaf = name.rsplit(".", 2)
    block, _, branch = path.partition(".")
    return block, branch, f"{kind}.{leaf}"


def _hassony(name: str) -> str:
    block, branch, leaf = _split(name)
    parts = ["conv3d_0c_1x1" if block == "logits" else block.lower()]
    if branch:
        parts.append(_HASSONY_BRANCHES[branch])
    return ".".join([*parts, leaf.replace("bn.", "batch3d.")])


def _deepmind(name: str) -> str:
    block, branch, leaf = _split(name)
    parts = ["Logits/Conv3d_0c_1x1" if block == "logits" else block]
    if (block, branch) == ("Mixed_5b", "b2b"):
        parts.append("Branch_2/Conv3d_0a_3x3")  # a slip in the original, 0b everywhere else
    elif branch:
        parts.append(_DEEPMIND_BRANCHES[branch])
    return "/".join([*parts, _DEEPMIND_LEAVES[leaf]])


def _from_tensorflow(tensor: Tensor) -> Tensor:
    if tensor.ndim == 5 and tensor.shape[:4] != (1, 1, 1, 1):
        return rearrange(tensor, "t h w i o -> o i t h w")
    return tensor


def to_tensorflow(tensor: Tensor) -> Tensor:
    """Returns a weight of ours with the axes in TensorFlow's order; other tensors unchanged."""
    if tensor.ndim == 5:
        return rearrange(tensor, "o i t h w -> t h w i o").contiguous()
    return tensor


# Inception ------------------------------------------------------------------------------------

_NVIDIA_BLOCKS = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
    "Mixed_5b": "mixed",
    "Mixed_5c": "mixed_1",
    "Mixed_5d": "mixed_2",
    "Mixed_6a": "mixed_3",
    "Mixed_6b": "mixed_4",
    "Mixed_6c": "mixed_5",
    "Mixed_6d": "mixed_6",
    "Mixed_6e": "mixed_7",
    "Mixed_7a": "mixed_8",
    "Mixed_7b": "mixed_9",
    "Mixed_7c": "mixed_10",
}
# A trailing _ stands for a branch of numbered convolutions.
_BRANCHES_A = {
    "branch1x1": "conv",
    "branch5x5_": "tower",
    "branch3x3dbl_": "tower_1",
    "branch_pool": "tower_2.conv",
}
_BRANCHES_C = {
    "branch1x1": "conv",
    "branch7x7_": "tower",
    "branch7x7dbl_": "tower_1",
    "branch_pool": "tower_2.conv",
}
_BRANCHES_E = {
    "branch1x1": "conv",
    "branch3x3_1": "tower_conv",
    "branch3x3_2a": "tower_mixed_conv",
    "branch3x3_2b": "tower_mixed_conv_1",
    "branch3x3dbl_1": "tower_1_conv",
    "branch3x3dbl_2": "tower_1_conv_1",
    "branch3x3dbl_3a": "tower_1_mixed_conv",
    "branch3x3dbl_3b": "tower_1_mixed_conv_1",
    "branch_pool": "tower_2_conv",
}
_NVIDIA_BRANCHES = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _BRANCHES_A),
    "Mixed_6a": {"branch3x3": "conv", "branch3x3dbl_": "tower"},
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _BRANCHES_C),
    "Mixed_7a": {"branch3x3_": "tower", "branch7x7x3_": "tower_1"},
    **dict.fromkeys(("Mixed_7b", "Mixed_7c"), _BRANCHES_E),
}
_NVIDIA_LEAVES = {
    "conv.weight": "weight",
    "bn.weight": "gamma",
    "bn.bias": "beta",
    "bn.running_mean": "mean",
    "bn.running_var": "var",
}


def _nvidia(name: str) -> str:
    if name.startswith("fc."):
        return name.replace("fc.", "output.")
    block, branch, leaf = _split(name)
    parts = ["layers", _NVIDIA_BLOCKS[block]]
    if branch:
        names = _NVIDIA_BRANCHES[block]
        parts.append(names[branch] if branch in names else _numbered(branch, names))
    return ".".join([*parts, _NVIDIA_LEAVES[leaf]])


def _numbered(branch: str, names: dict[str, str]) -> str:
    """Returns `tower.conv_{n-1}` for the n-th convolution of a branch, without number for n = 1."""
    stem, _, number = branch.rpartition("_")
    suffix = f"_{int(number) - 1}" if number != "1" else ""
    return f"{names[stem + '_']}.conv{suffix}"


_I3D, _INCEPTION = "Conv3d_1a_7x7.conv3d.weight", "Conv2d_1a_3x3.conv.weight"
_RESNEXT = "layer1.0.conv1.weight"  # the stem's "conv1.weight" ends many names
_CLASSIFIER, _FACES = "features.0.weight", "output_layer.3.weight"

LAYOUTS = (
    Layout("piergiaj", _I3D, str),
    Layout("stylegan-v", _I3D, _hassony),
    Layout("deepmind", _I3D, _deepmind, _from_tensorflow),
    Layout("pytorch-fid", _INCEPTION, str),
    Layout("nvidia", _INCEPTION, _nvidia),
    Layout("3d-resnets", _RESNEXT, str),
    # The heads of LPIPS beside them have no other names: `lin0.model.1.weight`.
    Layout("torchvision", _CLASSIFIER, str, ignored=("classifier.",)),
    Layout("insightface", _FACES, str),
)


def to_ours(tensors: Mapping[str, Tensor], shapes: Shapes) -> tuple[dict[str, Tensor], str]:
    """Returns the tensors of a file under our names, and the name of the file's layout.

    Scales of batch normalisations may be absent altogether; they are ones then. Counters of
    training batches are left out.

    Args:
        tensors: What the file holds.
        shapes: The state dict that the network needs.

    Returns:
        Float32 tensors of exactly `shapes`, and the layout.

    Raises:
        WeightsError: If no layout fits, or a tensor is missing, left over, of a wrong shape or
            not finite.
    """
    layout, prefix = _recognise(tensors, shapes)
    theirs = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked")
        and not name.removeprefix(prefix).startswith(layout.ignored)
    }
    names = {ours: layout.rename(ours) for ours in shapes}
    _check_classes(theirs, names, shapes)
    scales = {name for name in names if name.endswith(".bn.weight")}
    if not any(names[name] in theirs for name in scales):
        theirs |= {names[name]: torch.ones(shapes[name]) for name in scales}
    _check_names(theirs, set(names.values()), layout)
    converted = {ours: layout.reshape(theirs[name]) for ours, name in names.items()}
    return {name: _fit(name, value, shapes[name]) for name, value in converted.items()}, layout.name


def _recognise(tensors: Mapping[str, Tensor], shapes: Shapes) -> tuple[Layout, str]:
    for layout in LAYOUTS:
        prefix = layout.prefix(tensors)
        if prefix is not None and layout.first in shapes:
            return layout, prefix
        if prefix is not None:
            raise WeightsError(f"the file holds another network, in layout '{layout.name}'")
    some = ", ".join(sorted(tensors)[:3]) or "none"
    raise WeightsError(
        f"the file holds {len(tensors)} tensors ({some}, ...) in no known layout\n"
        f"  known layouts: {', '.join(layout.name for layout in LAYOUTS)}"
    )


def _check_classes(theirs: Mapping[str, Tensor], names: dict[str, str], shapes: Shapes) -> None:
    last = next((name for name in names if name in ("logits.conv3d.bias", "fc.bias")), None)
    found = theirs.get(names[last]) if last else None
    if last is not None and found is not None and found.numel() != shapes[last].numel():
        known = " (the Kinetics-600 checkpoint)" if found.numel() == 600 else ""
        raise WeightsError(
            f"the file holds a network of {found.numel()} classes{known}; "
            f"the one of {shapes[last].numel()} classes is needed"
        )


def _check_names(theirs: Mapping[str, Tensor], wanted: set[str], layout: Layout) -> None:
    missing, extra = sorted(wanted - set(theirs)), sorted(set(theirs) - wanted)
    if missing or extra:
        raise WeightsError(
            f"the file looks like layout '{layout.name}', but {len(missing)} tensors are missing"
            f" ({', '.join(missing[:3])}) and {len(extra)} are left over ({', '.join(extra[:3])})"
        )


def _fit(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    if [n for n in tensor.shape if n > 1] != [n for n in shape if n > 1]:
        raise WeightsError(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")
    fitted = tensor.to(torch.float32).reshape(shape).contiguous()
    if not fitted.isfinite().all():
        raise WeightsError(f"{name} holds numbers that are not finite")
    return fitted
