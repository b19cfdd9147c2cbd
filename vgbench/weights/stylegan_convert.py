"""From a published file of StyleGAN's networks to the weights of a model of ours."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vgbench.errors import CheckpointError
from vgbench.registry import load_target
from vgbench.types import VideoSpec
from vgbench.weights.store import file_digests
from vgbench.weights.stylegan_files import PublishedNetworks, read_networks
from vgbench.weights.stylegan_layouts import Tensors
from vgbench.weights.stylegan_shapes import (
    INVERSION,
    STYLEGAN2,
    STYLEGAN3,
    EncoderShape,
    Found,
    find_encoder,
    find_image_gan,
)

MODELS_OF_FILES = (STYLEGAN2, STYLEGAN3, INVERSION)

_MEAN, _LATENTS, _AT_ONCE = "mapping.w_avg", 20_000, 2_000
# What pixel2style2pixel resizes images to before it encodes them, however large they are.
_PSP_SIDE = 256
# Options of the image GAN that the inversion stage shares with it.
_SHARED = ("z_dim", "w_dim", "channel_base", "channel_max")


@dataclass(frozen=True)
class Converted:
    """A model with the weights of a published file.

    Attributes:
        model: Its name.
        options: What is known of its options.
        spec: The images of its generator.
        weights: As it exports them: `generator.*` and, if the file has it, `discriminator.*`; of
            an inversion `image.*` and `encoder.*`.
        source: The file: its name, size, digest and layout, and remarks on what was done.
    """

    model: str
    options: dict[str, Any]
    spec: VideoSpec
    weights: dict[str, Tensor]
    source: dict[str, Any]


def convert_networks(name: str, path: Path) -> Converted:
    """Returns the networks of a published file as those of a model.

    Deviates: our maps are limited to +-256, as StyleGAN2-ADA's and StyleGAN3's are by default;
    rosinality's are not, so images differ where a map of theirs exceeds that.

    Args:
        name: The model that the file is meant to hold, one of `MODELS_OF_FILES`.
        path: See `read_networks`.

    Raises:
        WeightsError: If there is no such file.
        CheckpointError: If it cannot be read, holds another model, or lacks parts of it.
    """
    published = read_networks(path)
    notes: list[str] = []
    try:
        found = find_image_gan(published.generator, published.options)
        if name not in (found.model, INVERSION):
            raise CheckpointError(f"it holds '{found.model}', not '{name}'")
        model = load_target(found.config.target)(found.config, found.spec, 0)
        generator, options = _generator(model, published, notes), asdict(found.config)
        if name == INVERSION:
            encoder, options = _encoder(published, generator[_MEAN], found)
            parts = {"image": generator, "encoder": encoder}
        else:
            parts = {"generator": generator, **_discriminator(model, published, notes)}
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    weights = {f"{part}.{k}": v for part, state in parts.items() for k, v in state.items()}
    size, _, sha256 = file_digests(path)
    about = {"file": path.name, "size": size, "sha256": sha256, "layout": published.layout}
    return Converted(name, options, found.spec, weights, {**about, "notes": notes})


def _generator(model: Any, published: PublishedNetworks, notes: list[str]) -> dict[str, Tensor]:
    network, generator = model.sampler, dict(published.generator)
    expected = network.state_dict()
    is_known = _MEAN in generator
    if not is_known:
        generator[_MEAN] = torch.zeros_like(expected[_MEAN])
    fitted = _fitted("generator", generator, expected)
    if not is_known:
        network.load_state_dict(fitted)
        fitted[_MEAN] = _mean_style(network.mapping, model.config.z_dim)
        notes.append(f"the mean style is not in the file: estimated from {_LATENTS} latents")
    return fitted


@torch.no_grad()
def _mean_style(mapping: nn.Module, z_dim: int) -> Tensor:
    """Returns the mean of the styles of random latents, always the same."""
    drawn = torch.Generator().manual_seed(0)
    total: Tensor = torch.zeros(())
    for _ in range(_LATENTS // _AT_ONCE):
        total = total + mapping(torch.randn(_AT_ONCE, z_dim, generator=drawn)).sum(dim=0)
    return total / _LATENTS


def _discriminator(
    model: Any, published: PublishedNetworks, notes: list[str]
) -> dict[str, dict[str, Tensor]]:
    """Returns the discriminator by its name, or nothing and a remark."""
    if published.discriminator is None:
        notes.append("the file has no discriminator")
        return {}
    expected, name = model.discriminator.state_dict(), "discriminator"
    try:
        return {name: _fitted(name, published.discriminator, expected)}
    except _MisfitError as error:
        notes.append(f"the discriminator is left out: {error}")
        return {}


def _encoder(
    published: PublishedNetworks, mean: Tensor, found: Found
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns the encoder and the options of the inversion stage that has it.

    It predicts what is to be added to the mean style.
    """
    if published.encoder is None:
        raise CheckpointError(f"a file of layout '{published.layout}' has no encoder")
    if found.model != STYLEGAN2:
        raise CheckpointError(f"its generator is '{found.model}'; expected '{STYLEGAN2}'")
    shape, side = find_encoder(published.encoder), found.spec.height
    if not shape.resolution and side > _PSP_SIDE:
        shape = replace(shape, resolution=_PSP_SIDE)
    network = _encoder_network(shape)
    counters = {
        name: value
        for name, value in network.state_dict().items()
        if name.endswith("num_batches_tracked")  # files of old versions of torch have none
    }
    fitted = _fitted("encoder", {**counters, **published.encoder}, network.state_dict())
    _center(fitted, shape, published.encoder_center, mean)
    encoder = shape.options
    if shape.resolution == side:
        encoder["resolution"] = 0
    widths = {name: getattr(found.config, name) for name in _SHARED}
    image = {name: getattr(found.config, name) for name in ("mapping_layers", "use_noise")}
    return fitted, {**widths, "image": image, "encoder": encoder}


def _encoder_network(shape: EncoderShape) -> nn.Module:
    kind = "WPlusEncoder" if shape.num_ws else "WEncoder"
    size = load_target("vgbench.nn.encoder.options:BackboneSize")(shape.base_width, shape.units)
    sizes = (shape.resolution, shape.num_ws) if shape.num_ws else ()
    network: nn.Module = load_target(f"vgbench.nn.encoder.inversion:{kind}")(
        size, *sizes, shape.w_dim, shape.img_channels
    )
    return network


def _center(
    encoder: dict[str, Tensor], shape: EncoderShape, center: Tensor | None, mean: Tensor
) -> None:
    """Moves into the biases what the file's center has over the generator's mean style."""
    rows = max(shape.num_ws, 1)
    own = torch.zeros_like(mean) if center is None else center.to(mean.dtype)
    offsets = own.expand(rows, -1) - mean
    for j, offset in enumerate(offsets):
        name = f"styles.{j}.linear.bias" if shape.num_ws else "linear.bias"
        encoder[name] = encoder[name] + offset


class _MisfitError(CheckpointError):
    """Tensors of other names or shapes than a network's."""


def _fitted(network: str, tensors: Tensors, expected: Tensors) -> dict[str, Tensor]:
    """Returns tensors in the shapes of a network, which may differ by axes of length 1."""
    _check(network, tensors, expected)
    fitted = {}
    for name, own in expected.items():
        value = tensors[name].detach().to(own.dtype).reshape(own.shape).contiguous()
        if not value.isfinite().all():
            raise CheckpointError(f"{network}.{name} holds numbers that are not finite")
        # Filters follow from frequencies that do not show in shapes.
        if name.endswith("_filter") and not torch.allclose(value, own, atol=1e-5):
            raise CheckpointError(f"{network}.{name} is another filter; there is no network for it")
        fitted[name] = value
    return fitted


def _check(network: str, tensors: Tensors, expected: Tensors) -> None:
    missing, extra = sorted(expected.keys() - tensors), sorted(tensors.keys() - expected)
    if missing or extra:
        raise _MisfitError(
            f"its {network} lacks {len(missing)} tensors ({', '.join(missing[:3])}) and has "
            f"{len(extra)} that are unknown ({', '.join(extra[:3])})"
        )
    for name, own in expected.items():
        if _sizes(tensors[name]) != _sizes(own):
            raise _MisfitError(
                f"{network}.{name} has shape {tuple(tensors[name].shape)}, expected "
                f"{tuple(own.shape)}"
            )


def _sizes(tensor: Tensor) -> list[int]:
    return [size for size in tensor.shape if size > 1]
