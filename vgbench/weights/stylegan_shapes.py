"""Options of StyleGAN's networks, read off the shapes of their tensors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import ceil, inf
from typing import Any

from vgbench.errors import CheckpointError, UsageError
from vgbench.registry import MODELS
from vgbench.types import ModelConfig, VideoSpec, record
from vgbench.weights.stylegan_layouts import Tensors

STYLEGAN2, STYLEGAN3, INVERSION = "stylegan2-frames", "stylegan3-frames", "inversion"

_LAYER = re.compile(r"synthesis\.(L\d+_(\d+)_(\d+))\.weight")


@dataclass(frozen=True)
class Found:
    """A model that tensors fit.

    Attributes:
        model: Its registered name.
        config: Its options.
        spec: The images it makes.
    """

    model: str
    config: ModelConfig
    spec: VideoSpec


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an encoder from images to styles.

    Attributes:
        base_width: Channels of the first stage.
        units: Residual units per stage.
        img_channels: Colour channels.
        w_dim: Numbers per style.
        num_ws: Styles per image; 0 if one style is for all layers.
        resolution: Width and height of the images that it reads; 0 if shapes do not tell.
    """

    base_width: int
    units: tuple[int, ...]
    img_channels: int
    w_dim: int
    num_ws: int = 0
    resolution: int = 0

    @property
    def options(self) -> dict[str, Any]:
        """The options of the inversion stage's encoder that ask for it."""
        space = "wplus" if self.num_ws else "w"
        sizes = {"base_width": self.base_width, "units": self.units}
        return {"latent_space": space, **sizes, "resolution": self.resolution}


def find_encoder(encoder: Tensors) -> EncoderShape:
    """Returns the sizes of the encoder that tensors are of.

    Args:
        encoder: State dict of pixel2style2pixel's encoder of W+ (`GradualStyleEncoder`) or of W
            (`BackboneEncoderUsingLastLayerIntoW`).

    Raises:
        CheckpointError: If they are of neither.
    """
    try:
        base_width, colours = encoder["input_layer.0.weight"].shape[:2]
        units = _count(encoder, r"body\.\d+\.res_layer\.3\.weight")
        widths = [len(encoder[f"body.{i}.res_layer.3.weight"]) for i in range(units)]
        body = (base_width, tuple(len(list(run)) for _, run in groupby(widths)), colours)
        if "linear.weight" in encoder:
            return EncoderShape(*body, len(encoder["linear.weight"]))
        heads = _count(encoder, r"styles\.\d+\.linear\.weight")
        # The fourth style is read from maps 8 times smaller than the image.
        halvings = _count(encoder, r"styles\.3\.convs\.\d+\.weight")
        w_dim = len(encoder["styles.0.linear.weight"])
        return EncoderShape(*body, w_dim, heads, 8 << halvings)
    except (KeyError, ValueError, TypeError, UsageError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"its encoder is incomplete or of another kind ({reason})") from error


def find_image_gan(generator: Tensors, options: Mapping[str, Any]) -> Found:
    """Returns the image GAN of which `generator` is the generator.

    Of options that many networks share, e.g. of the channels of a small network, the roundest that
    fits is taken.

    Args:
        generator: State dict of the generator.
        options: Options that shapes do not tell.

    Raises:
        CheckpointError: If they are of no generator that is known.
    """
    try:
        given = {**_mapping_options(generator), **options}
        if "synthesis.b4.const" in generator:
            return _stylegan2(generator, given)
        if "synthesis.input.freqs" in generator:
            return _stylegan3(generator, given)
    except (KeyError, IndexError, ValueError, UsageError) as error:
        raise CheckpointError(
            f"its generator is incomplete or of another kind ({error})"
        ) from error
    some = ", ".join(sorted(generator)[:3]) or "none"
    raise CheckpointError(f"its generator is neither StyleGAN2 nor StyleGAN3 (tensors: {some})")


def _mapping_options(generator: Tensors) -> dict[str, int]:
    w_dim, inputs = generator["mapping.fc0.weight"].shape
    embedding = generator.get("mapping.embed.weight")
    return {
        "z_dim": inputs - (w_dim if embedding is not None else 0),
        "w_dim": w_dim,
        "c_dim": 0 if embedding is None else embedding.shape[1],
        "mapping_layers": _count(generator, r"mapping\.fc\d+\.weight"),
    }


def _stylegan2(generator: Tensors, given: dict[str, Any]) -> Found:
    names = (re.fullmatch(r"synthesis\.b(\d+)\.conv1\.affine\.weight", name) for name in generator)
    widths = {int(found[1]): len(generator[found[0]]) for found in names if found}
    resolution, channel_max = max(widths), max(widths.values())
    low = max(r * c for r, c in widths.items())
    high = min((r * (c + 1) for r, c in widths.items() if c < channel_max), default=inf)
    given |= {
        "channel_base": _roundest(low, high, widths),
        "channel_max": channel_max,
        "use_noise": "synthesis.b4.conv1.noise_strength" in generator,
    }
    colours = generator["synthesis.b4.torgb.bias"].numel()
    spec = VideoSpec(colours, resolution, resolution)
    return Found(STYLEGAN2, record(MODELS.get(STYLEGAN2), given), spec)


def _stylegan3(generator: Tensors, given: dict[str, Any]) -> Found:
    matches = [found for name in generator if (found := _LAYER.fullmatch(name))]
    matches.sort(key=lambda found: int(found[1][1:].split("_")[0]))
    names, sizes = [m[1] for m in matches], [int(m[2]) for m in matches]
    *widths, colours = (int(m[3]) for m in matches)
    spec = VideoSpec(colours, sizes[-1], sizes[-1])
    # Configuration R has 1x1 kernels and twice the channels that its options say.
    wider = 2 if generator[f"synthesis.{names[0]}.weight"].shape[-1] == 1 else 1
    given |= {"num_layers": len(widths), "layers": "R" if wider == 2 else "T"}
    channel_max = ceil(max(widths) / wider)

    def config(**options: int) -> Any:
        return record(MODELS.get(STYLEGAN3), {**given, **options})

    bands = config(margin=0).schedule(spec).bands
    factors = [2 * band.cutoff / wider for band in bands]
    low = max(f * (c - 0.5) for f, c in zip(factors, widths, strict=False))
    bounded = (
        f * (c + 0.5) for f, c in zip(factors, widths, strict=False) if c < channel_max * wider
    )
    found = config(
        margin=(sizes[0] - bands[0].size) // 2,
        channel_base=_roundest(low, min(bounded, default=inf), widths),
        channel_max=channel_max,
    )
    expected = [layer.name for layer in found.schedule(spec).layers]
    if names != expected:
        raise CheckpointError(
            f"its layers ({', '.join(names[:3])}, ...) are of no StyleGAN3 that is known; the "
            f"nearest one has {', '.join(expected[:3])}, ..."
        )
    return Found(STYLEGAN3, found, spec)


def _roundest(low: int | float, high: int | float, widths: object) -> int:
    """Returns the number in [low, high) that the largest power of two divides, the smallest such.

    Raises:
        CheckpointError: If there is none; `widths` are what it would have to explain.
    """
    if high == inf:
        return ceil(low)
    for power in reversed(range(ceil(high).bit_length())):
        number = ceil(low / (1 << power)) << power
        if number < high:
            return number
    raise CheckpointError(f"its widths are of no StyleGAN that is known: {widths}")


def _count(tensors: Tensors, pattern: str) -> int:
    return sum(re.fullmatch(pattern, name) is not None for name in tensors)
