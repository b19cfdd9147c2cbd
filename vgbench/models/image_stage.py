"""The image GAN that another model starts from, as networks and as weights."""

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vgbench.errors import CheckpointError
from vgbench.models.checkpoint import build_model
from vgbench.models.style_training import StyleGAN
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.nn.styled_generator import StyledGenerator
from vgbench.types import Stage, VideoSpec


class ImageNetworks(NamedTuple):
    """The untrained networks of an image GAN.

    Attributes:
        generator: Its generator.
        discriminator: Its discriminator.
    """

    generator: StyledGenerator
    discriminator: nn.Module


def image_networks(stage: Stage, spec: VideoSpec, seed: int) -> ImageNetworks:
    """Returns the networks of the stage `image`, whose weights are still to come.

    Args:
        stage: The stage.
        spec: The videos.
        seed: Seed of their untrained weights.
    """
    gan = build_model(stage.config, spec, seed)
    assert isinstance(gan, StyleGAN)
    assert isinstance(gan.generator, StyledGenerator)
    return ImageNetworks(gan.generator, gan.discriminator)


def load_part(network: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Gives a network the weights that a finished stage has under a name.

    Args:
        network: The network.
        weights: What the stage exports.
        name: Name of the part, e.g. `generator`.

    Raises:
        CheckpointError: If they are not those of such a network, or there are none.
    """
    prefix = f"{name}."
    part = {key.removeprefix(prefix): w for key, w in weights.items() if key.startswith(prefix)}
    if not part:
        raise CheckpointError(
            f"the stage comes without its {name}; files of published networks may hold only some\n"
            "  give one that has it, or train the stage: leave out model.init"
        )
    own = {key: value.shape for key, value in network.state_dict().items()}
    given = {key: value.shape for key, value in part.items()}
    if own != given:
        other = sorted(key for key in {*own, *given} if own.get(key) != given.get(key))
        raise CheckpointError(
            f"the stage's {name} is another network: it differs in {len(other)} entries, e.g. "
            f"'{other[0]}'; train it with the same options"
        )
    network.load_state_dict(part)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    """Returns whether two networks are the same, bit for bit."""
    first, second = a.state_dict(), b.state_dict()
    return first.keys() == second.keys() and all(
        torch.equal(first[name].cpu(), second[name].cpu()) for name in first
    )


def load_inversion(space: LatentSpace, weights: Mapping[str, Tensor]) -> None:
    """Gives a latent space the encoder of the finished stage `inversion`.

    Args:
        space: It has the weights of the stage `image` already.
        weights: What the stage exports.

    Raises:
        CheckpointError: If they do not fit, or the encoder is of another image generator.
    """
    inverted = copy.deepcopy(space.generator)
    load_part(inverted, weights, "image")
    if not same_weights(inverted, space.generator):
        raise CheckpointError(
            "the inversion was trained with another image GAN than the stage 'image' has\n"
            "  give both of one run: model.init.image=… model.init.inversion=…, or neither"
        )
    load_part(space.encoder, weights, "encoder")


def finetuned(space: LatentSpace, style: nn.Module) -> StyledGenerator:
    """Returns an image generator that has the same styles as a latent space.

    Args:
        space: The styles and their own generator.
        style: The other generator.

    Raises:
        CheckpointError: If its styles are others: it was not finetuned from that generator.
    """
    own = space.generator.mapping
    if not isinstance(style, StyledGenerator) or not same_weights(style.mapping, own):
        raise CheckpointError(
            "the style was not finetuned from this model's image GAN: their mapping networks "
            "differ\n  vgbench run model=style-transfer dataset=… model.init.image=ARTEFACT with "
            "the artefact that this model started from      (vgbench ls artefacts)"
        )
    return style
