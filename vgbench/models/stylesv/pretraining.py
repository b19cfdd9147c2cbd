"""From an image GAN to a video GAN that starts with its pictures.

Source: StyleSV (ICLR 2023), section 3.2; genforce/StyleSV `src/training/training_loop.py`.
Deviates: the image generator has no layers of motion, so those of the video generator are set to
pass the content through; in the published code they are part of the image generator.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vgbench.errors import CheckpointError
from vgbench.models.stylesv.generator import Generator
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator

# Parts of a generator that an image generator lacks.
_OF_MOTION = {"motion_encoder", "motion_affine", "motion_mask", "affine_w", "w1", "w2", "affine_t",
              "gain_t"}  # fmt: skip
# Parts of a discriminator that describe times and labels.
_OF_CONDITION = {"time_encoder", "mapping"}


@torch.no_grad()
def start_generator(generator: Generator, image: Mapping[str, Tensor]) -> None:
    """Copies an image generator's weights; with a motion mask of zeros, every frame is its image.

    Args:
        generator: The video generator, changed in place.
        image: State dict of the generator of `stylegan3-frames` with the same layers and widths.

    Raises:
        CheckpointError: If it has others.
    """
    state = generator.state_dict()
    _check_names(state, image, _OF_MOTION, "generator")
    for name, value in image.items():
        _copy(state[name], value, f"generator.{name}")
    synthesis = generator.synthesis
    shift = synthesis.get_submodule("input.motion_affine").get_parameter("bias")
    shift.zero_()
    if "synthesis.affine_w.weight" in state:
        _pass_content(synthesis.get_submodule("affine_w"))


def _pass_content(fused: nn.Module) -> None:
    """Makes a layer of style and motion return the style, plus what it made of the motion."""
    weight = fused.get_parameter("weight")
    out_features, in_features = weight.shape
    # equalised: weights are divided by this root when they are used
    weight[:, :out_features] = torch.eye(out_features) * math.sqrt(in_features)
    fused.get_parameter("bias").zero_()


@torch.no_grad()
def start_discriminator(discriminator: VideoDiscriminator, image: Mapping[str, Tensor]) -> None:
    """Copies an image discriminator's weights.

    It ends in one number and the video discriminator in a vector that is multiplied with the
    condition, so the one output row fills all rows. Layers of times and labels keep their values,
    and so do the two blocks whose widths differ if frames are joined by `concat`.

    Args:
        discriminator: The video discriminator, changed in place.
        image: State dict of an image discriminator of the same widths.

    Raises:
        CheckpointError: If it has others, or there is none.
    """
    if not image:
        raise CheckpointError(
            "the image GAN comes without a discriminator, which the video discriminator starts "
            "from\n  give one with a discriminator, or leave out model.init.image"
        )
    fusion, state, kept = discriminator.fusion, discriminator.state_dict(), set(_OF_CONDITION)
    if fusion.merge == "concat":
        kept |= {f"b{fusion.resolution}", f"b{2 * fusion.resolution}"}
    image = {name: value for name, value in image.items() if name.split(".")[0] not in kept}
    _check_names(state, image, kept, "discriminator")
    for name, value in image.items():
        fills = name.startswith("b4.out.") and len(value) == 1
        _copy(state[name], value.expand_as(state[name]) if fills else value, name)


def _check_names(
    state: Mapping[str, Tensor], image: Mapping[str, Tensor], own: set[str], network: str
) -> None:
    expected = {name for name in state if not own & set(name.split("."))}
    differing = sorted(expected ^ set(image))
    if differing:
        raise CheckpointError(
            f"the image {network} has other layers, e.g. '{differing[0]}'; train it with the same "
            "options, or leave out model.init.image"
        )


def _copy(target: Tensor, value: Tensor, name: str) -> None:
    if target.shape != value.shape:
        raise CheckpointError(
            f"the image GAN's {name} has shape {tuple(value.shape)}, expected "
            f"{tuple(target.shape)}; train it with the same options"
        )
    target.copy_(value)
