"""Reading the files in which StyleGAN's networks are published; nothing in them is executed."""

import argparse
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vgbench.errors import CheckpointError, VGBenchError, WeightsError
from vgbench.weights.nvidia_pickle import StoredModule, read_nvidia_pickle
from vgbench.weights.stylegan_layouts import (
    Tensors,
    discriminator_from_rosinality,
    from_nvidia,
    generator_from_rosinality,
)
from vgbench.weights.torch_file import RefusedError, load_plain

# How files begin that `torch.save` wrote before it wrote archives.
_OLD_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")

# Options of NVIDIA's generators that do not show in their tensors, and what our networks do.
_ACCEPTED: Mapping[str, tuple[Any, ...]] = {
    "architecture": ("skip",),
    "activation": ("lrelu",),
    "lr_multiplier": (0.01,),
    "conv_clamp": (256, None),
    "output_scale": (0.25,),
    "lrelu_upsampling": (2,),
}


@dataclass(frozen=True)
class PublishedNetworks:
    """The networks of a file, by our names.

    Attributes:
        layout: Who names them so in the file: `nvidia`, `rosinality` or `psp`.
        generator: Of the average that samples; maybe without `mapping.w_avg`.
        discriminator: Of the image GAN, if it is there.
        encoder: Of images to styles, if it is there.
        encoder_center: What is added to the encoder's output; None for nothing.
        options: Of the image GAN, as far as they do not show in tensors.
    """

    layout: str
    generator: Tensors
    discriminator: Tensors | None = None
    encoder: Tensors | None = None
    encoder_center: Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read_networks(path: Path) -> PublishedNetworks:
    """Returns the networks of a file.

    Args:
        path: A `.pkl` of StyleGAN2-ADA-PyTorch or StyleGAN3, a `.pt` of
            rosinality/stylegan2-pytorch or of pixel2style2pixel.

    Raises:
        WeightsError: If there is no such file.
        CheckpointError: If it is none of these, is damaged, or holds more than networks.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is not a file")
    try:
        return _from_pickle(path) if _is_plain_pickle(path) else _from_torch(path)
    except VGBenchError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except RefusedError as error:
        raise CheckpointError(
            f"{path} holds more than networks: {error}\n  refused; nothing in it was executed"
        ) from error
    except Exception as error:  # a damaged or foreign file may fail in any way
        raise CheckpointError(
            f"{path} is damaged or no file of StyleGAN networks ({_first_line(error)})\n"
            "  accepted: .pkl of StyleGAN2-ADA-PyTorch or StyleGAN3, .pt of rosinality/"
            "stylegan2-pytorch or pixel2style2pixel"
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _is_plain_pickle(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(len(_OLD_TORCH))
    return start[:1] == b"\x80" and start != _OLD_TORCH and not zipfile.is_zipfile(path)


def _from_pickle(path: Path) -> PublishedNetworks:
    modules = read_nvidia_pickle(path)
    if "G_ema" not in modules:
        found = ", ".join(modules) or "none"
        raise CheckpointError(f"it has no network 'G_ema'; its networks: {found}")
    generator, discriminator = modules["G_ema"], modules.get("D")
    _check_options(_flat(generator.options))
    group = _flat(discriminator.options).get("mbstd_group_size") if discriminator else None
    return PublishedNetworks(
        "nvidia",
        from_nvidia(dict(generator.tensors())),
        _tensors_of(discriminator),
        options={"mbstd_group_size": group} if isinstance(group, int) else {},
    )


def _tensors_of(module: StoredModule | None) -> Tensors | None:
    return None if module is None else from_nvidia(dict(module.tensors()))


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options and those of their groups (`synthesis_kwargs`, ...) side by side."""
    flat: dict[str, Any] = {}
    for name, value in options.items():
        flat |= _flat(value) if isinstance(value, Mapping) else {str(name): value}
    return flat


def _check_options(options: Mapping[str, Any]) -> None:
    for name, accepted in _ACCEPTED.items():
        if name in options and options[name] not in accepted:
            raise CheckpointError(
                f"its generator has {name}={options[name]!r}; there are networks for "
                f"{' or '.join(map(repr, accepted))} only"
            )


def _from_torch(path: Path) -> PublishedNetworks:
    if zipfile.is_zipfile(path):
        _check_entries(path)
    # Training files of rosinality's hold their options as such an object.
    with torch.serialization.safe_globals([argparse.Namespace]):
        content = load_plain(path)
    if not isinstance(content, Mapping):
        raise CheckpointError(f"it holds {type(content).__name__}, not a dict of networks")
    if "g_ema" in content:
        return _from_rosinality(content)
    state = content.get("state_dict")
    if isinstance(state, Mapping) and any(str(name).startswith("decoder.") for name in state):
        return _from_psp(content, _tensors(state, "state_dict"))
    found = ", ".join(map(str, list(content)[:3]))
    raise CheckpointError(
        f"it holds no StyleGAN networks ({found}, ...)\n"
        "  accepted: 'g_ema' of rosinality/stylegan2-pytorch, 'state_dict' with 'encoder.*' and "
        "'decoder.*' of pixel2style2pixel"
    )


def _check_entries(path: Path) -> None:
    """Refuses an archive made to write beside itself, although nothing is ever extracted."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            parts = name.replace("\\", "/").split("/")
            if ".." in parts or not parts[0]:
                raise RefusedError(f"its entry {name!r} leads out of the archive")


def _from_rosinality(content: Mapping[str, Any]) -> PublishedNetworks:
    generator = generator_from_rosinality(_tensors(content["g_ema"], "g_ema"))
    average = content.get("latent_avg")
    if isinstance(average, Tensor):
        generator["mapping.w_avg"] = average
    discriminator = None
    if "d" in content:
        discriminator = discriminator_from_rosinality(_tensors(content["d"], "d"))
    return PublishedNetworks("rosinality", generator, discriminator)


def _from_psp(content: Mapping[str, Any], state: Tensors) -> PublishedNetworks:
    generator = generator_from_rosinality(_part(state, "decoder."))
    center = content.get("latent_avg")
    if isinstance(center, Tensor):
        # A row per style, usually all the same; the mean in double precision leaves them so.
        rows = center.double().reshape(-1, center.shape[-1])
        generator["mapping.w_avg"] = rows.mean(dim=0).float()
    else:
        center = None
    return PublishedNetworks(
        "psp", generator, encoder=_part(state, "encoder."), encoder_center=center
    )


def _part(state: Tensors, prefix: str) -> dict[str, Tensor]:
    names = [name for name in state if name.startswith(prefix)]
    return {name.removeprefix(prefix): state[name] for name in names}


def _tensors(state: Any, name: str) -> Tensors:
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"its '{name}' is not a state dict of tensors")
    return {str(key): value for key, value in state.items()}
