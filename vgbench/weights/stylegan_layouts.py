"""The ways in which published files name the tensors of StyleGAN's networks.

Our names are NVIDIA's. Resampling filters, which those files hold and our networks make
themselves, are compared and left out.

Source: NVlabs/stylegan2-ada-pytorch `training/networks.py`, NVlabs/stylegan3
`training/networks_stylegan3.py`, rosinality/stylegan2-pytorch `model.py`; the two namings of
StyleGAN2 hold the same numbers, no kernel is turned.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vgbench.errors import CheckpointError

Tensors = Mapping[str, Tensor]

_RESAMPLING = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64

_CONV = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}
_RGB = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "bias": "bias",
}
_RESIDUAL = {
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.1.weight": "skip.weight",
}
_EPILOGUE = {
    "final_conv.0.weight": "b4.conv.weight",
    "final_conv.1.bias": "b4.conv.bias",
    "final_linear.0.weight": "b4.fc.weight",
    "final_linear.0.bias": "b4.fc.bias",
    "final_linear.1.weight": "b4.out.weight",
    "final_linear.1.bias": "b4.out.bias",
}


def from_nvidia(tensors: Tensors) -> dict[str, Tensor]:
    """Returns the tensors of a network of NVIDIA's under our names.

    Raises:
        CheckpointError: If it resamples with another filter than ours does.
    """
    return _without_filters(tensors, "resample_filter")


def generator_from_rosinality(tensors: Tensors) -> dict[str, Tensor]:
    """Returns the tensors of a StyleGAN2 generator under our names, but for `mapping.w_avg`.

    Raises:
        CheckpointError: If a name is unknown, or it resamples with another filter than ours does.
    """
    return _renamed(_without_filters(tensors, "kernel"), _generator_name)


def discriminator_from_rosinality(tensors: Tensors) -> dict[str, Tensor]:
    """Returns the tensors of a StyleGAN2 discriminator under our names; raises as for one."""
    own = _without_filters(tensors, "kernel")
    blocks = {int(name.split(".")[1]) for name in own if re.match(r"convs\.\d\d?\.", name)}
    resolution = 4 << max(blocks, default=0)
    return _renamed(own, lambda name: _discriminator_name(name, resolution))


def _without_filters(tensors: Tensors, name: str) -> dict[str, Tensor]:
    kept = {}
    for key, tensor in tensors.items():
        if key.rpartition(".")[2] != name:
            kept[key] = tensor
        elif not _is_ours(tensor.float()):
            raise CheckpointError(
                f"{key} is not the filter [1, 3, 3, 1] of StyleGAN2; there is no network for it"
            )
    return kept


def _is_ours(filter_: Tensor) -> bool:
    """Returns whether a filter is ours, as it is or times 4, for up-sampling by 2."""
    return filter_.shape == _RESAMPLING.shape and any(
        torch.allclose(filter_, gain * _RESAMPLING, atol=1e-6) for gain in (1, 4)
    )


def _renamed(tensors: Tensors, rename: Callable[[str], str | None]) -> dict[str, Tensor]:
    names = {theirs: rename(theirs) for theirs in tensors}
    strange = [theirs for theirs, ours in names.items() if ours is None]
    if strange:
        raise CheckpointError(
            f"{len(strange)} of {len(names)} tensors have unknown names: {', '.join(strange[:3])}"
        )
    return {str(ours): tensors[theirs] for theirs, ours in names.items()}


def _generator_name(name: str) -> str | None:
    if name == "input.input":
        return "synthesis.b4.const"
    if found := re.fullmatch(r"style\.([1-9]\d?)\.(weight|bias)", name):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}"  # the first layer only normalises
    if found := re.fullmatch(r"noises\.noise_(\d\d?)", name):
        return f"synthesis.{_conv(int(found[1]))}.noise_const"
    found = re.fullmatch(r"(conv|to_rgb)(?:1|s\.(\d\d?))\.(.+)", name)
    if found is None:
        return None
    place = 0 if found[2] is None else int(found[2]) + 1
    if found[1] == "to_rgb":
        leaf, block = _RGB.get(found[3]), f"b{4 << place}.torgb"
    else:
        leaf, block = _CONV.get(found[3]), _conv(place)
    return leaf and f"synthesis.{block}.{leaf}"


def _conv(i: int) -> str:
    """Returns our name of the i-th convolution from the 4x4 one."""
    return f"b{4 << (i + 1) // 2}.conv{(i + 1) % 2}"


def _discriminator_name(name: str, resolution: int) -> str | None:
    if name in _EPILOGUE:
        return _EPILOGUE[name]
    found = re.fullmatch(r"convs\.(\d\d?)\.(.+)", name)
    if found is None:
        return None
    if int(found[1]) == 0:
        kind = {"0.weight": "weight", "1.bias": "bias"}.get(found[2])
        return kind and f"b{resolution}.fromrgb.{kind}"
    leaf = _RESIDUAL.get(found[2])
    return leaf and f"b{resolution >> int(found[1]) - 1}.{leaf}"
