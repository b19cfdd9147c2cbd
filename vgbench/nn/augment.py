"""Adaptive augmentation of what a discriminator sees: moves, turns and colours of whole clips.

All frames of a clip are transformed alike, and real and generated clips by the same distribution,
so a generator learns the data and not the augmentations as long as these are rare enough.

Source: "Training Generative Adversarial Networks with Limited Data" (ADA, NeurIPS 2020),
appendix B, the "bgc" pipeline; StyleGAN-V (CVPR 2022) for one draw per video.
Deviates: a turned or mirrored image is not shifted by the asymmetry of the wavelet filter, which
is 0.4 pixels in the published code; the strength stays within [0, 1].
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.nn.grid_sample import sample_bilinear
from vgbench.nn.noise import GeneratorLike, normal, uniform
from vgbench.nn.upfirdn import downsample2d, upsample2d

# Daubechies' least asymmetric wavelet of 12 taps (sym6), low-pass.
_SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_BORDER = len(_SYM6) // 4  # pixels that the filter reaches beyond the image
_CPU = torch.device("cpu")
# The filter is not quite symmetric: by so many pixels its centre of mass is off its middle.
_OFF_CENTRE = sum(i * tap for i, tap in enumerate(_SYM6)) / (2 * sum(_SYM6)) - (len(_SYM6) - 1) / 4


@dataclass(frozen=True)
class Dice:
    """Random numbers of `n` clips, on the CPU to be the same on every device.

    Attributes:
        n: Number of clips.
        generator: Where the numbers come from: one generator, or one per clip.
    """

    n: int
    generator: GeneratorLike

    def uniform(self, low: float, high: float) -> Float[Tensor, " n"]:
        """Returns numbers in [low, high)."""
        return low + (high - low) * uniform(self.n, (), self.generator, _CPU)

    def normal(self, std: float) -> Float[Tensor, " n"]:
        """Returns normal numbers of mean 0."""
        return std * normal(self.n, (), self.generator, _CPU)

    def maybe(self, strength: float, *values: Tensor, otherwise: float) -> list[Tensor]:
        """Returns the values of some clips, each chosen with probability `strength`."""
        chosen = self.uniform(0.0, 1.0) < strength
        return [torch.where(chosen, value, otherwise) for value in values]


def draw_geometry(dice: Dice, strength: float, width: int, height: int) -> Float[Tensor, "n 3 3"]:
    """Returns what moves each clip's pixels, in pixels from the centre: x to the right, y down.

    Args:
        dice: Random numbers.
        strength: Probability of each transformation.
        width: Columns of pixels.
        height: Rows of pixels.
    """
    whole = (dice.uniform(0.0, 2.0).floor(), dice.uniform(0.0, 4.0).floor())
    (mirrored,) = dice.maybe(strength, whole[0], otherwise=0.0)
    (quarters,) = dice.maybe(strength, whole[1], otherwise=0.0)
    x, y = dice.maybe(
        strength, dice.uniform(-0.125, 0.125), dice.uniform(-0.125, 0.125), otherwise=0.0
    )
    steps = [
        _scaling(1 - 2 * mirrored, torch.ones_like(mirrored)),
        _rotation(quarters * (math.pi / 2)),
        _translation((x * width).round(), (y * height).round()),
    ]
    # Two turns, before and after the stretch, at least one of which happens with `strength`.
    each = 1 - math.sqrt(1 - strength)
    (scale,) = dice.maybe(strength, torch.exp2(dice.normal(0.2)), otherwise=1.0)
    (before,) = dice.maybe(each, dice.uniform(-math.pi, math.pi), otherwise=0.0)
    (stretch,) = dice.maybe(strength, torch.exp2(dice.normal(0.2)), otherwise=1.0)
    (after,) = dice.maybe(each, dice.uniform(-math.pi, math.pi), otherwise=0.0)
    x, y = dice.maybe(strength, dice.normal(0.125), dice.normal(0.125), otherwise=0.0)
    steps += [
        _scaling(scale, scale),
        _rotation(before),
        _scaling(stretch, 1 / stretch),
        _rotation(after),
        _translation(x * width, y * height),
    ]
    return _composed(steps)


def draw_colours(dice: Dice, strength: float) -> Float[Tensor, "n 4 4"]:
    """Returns what is done to each clip's colours (r, g, b, 1).

    Args:
        dice: Random numbers.
        strength: Probability of each transformation.
    """
    (brightness,) = dice.maybe(strength, dice.normal(0.2), otherwise=0.0)
    (contrast,) = dice.maybe(strength, torch.exp2(dice.normal(0.5)), otherwise=1.0)
    (flipped,) = dice.maybe(strength, dice.uniform(0.0, 2.0).floor(), otherwise=0.0)
    (hue,) = dice.maybe(strength, dice.uniform(-math.pi, math.pi), otherwise=0.0)
    (saturation,) = dice.maybe(strength, torch.exp2(dice.normal(1.0)), otherwise=1.0)
    luma = torch.full((3, 3), 1 / 3)  # projection onto grey
    chroma = torch.eye(3) - luma
    # The cross product with the grey axis, which turns colours by a right angle around it.
    turn = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    brighter = torch.eye(4).repeat(dice.n, 1, 1)
    brighter[:, :3, 3] = brightness[:, None]
    return _composed(
        [
            brighter,
            _linear(_each(contrast, luma + chroma)),
            _linear(_each(1 - 2 * flipped, luma) + chroma),
            _linear(luma + _each(hue.cos(), chroma) + _each(hue.sin(), turn)),
            _linear(luma + _each(saturation, chroma)),
        ]
    )


def move_pixels(
    x: Float[Tensor, "n c h w"], geometry: Float[Tensor, "n 3 3"]
) -> Float[Tensor, "n c h w"]:
    """Returns moved images: mirrored at their edges, sampled at twice the rate, band-limited.

    Args:
        x: Images; all channels of one move alike.
        geometry: See `draw_geometry`.
    """
    h, w = x.shape[2:]
    lag = torch.full((len(x),), _OFF_CENTRE, device=geometry.device)
    inverse = _composed([_translation(-lag, -lag), geometry.inverse(), _translation(lag, lag)])
    margin_x, margin_y = _margins(inverse, w, h)
    f = torch.tensor(_SYM6, device=x.device)
    f = f / f.sum()
    x = F.pad(x, (margin_x, margin_x, margin_y, margin_y), mode="reflect")
    x = upsample2d(x, f)
    size = (2 * (w + 2 * _BORDER), 2 * (h + 2 * _BORDER))
    # From positions in [-1, 1] of the output to pixels at twice the rate, back, to [-1, 1].
    to_pixels = torch.tensor(size) / 2
    to_units = 2 / torch.tensor([x.shape[3], x.shape[2]])
    theta = torch.cat([inverse[:, :2, :2] * to_pixels, 2 * inverse[:, :2, 2:]], dim=2)
    theta = (theta * to_units[:, None]).to(x)
    grid = F.affine_grid(theta, [len(x), 1, size[1], size[0]], align_corners=False)
    moved = sample_bilinear(x, grid)
    return downsample2d(moved, f, padding=-2 * _BORDER, flip_filter=True)


def _margins(inverse: Float[Tensor, "n 3 3"], w: int, h: int) -> tuple[int, int]:
    """How far beyond its edges any image is looked at, as far as one reflection reaches."""
    x, y = (w - 1) / 2, (h - 1) / 2
    corners = torch.tensor([[-x, x, x, -x], [-y, -y, y, y], [1, 1, 1, 1]], device=inverse.device)
    reach_x, reach_y = (inverse @ corners)[:, :2].abs().amax(dim=(0, 2)).tolist()
    margins = math.ceil(reach_x - x) + 2 * _BORDER, math.ceil(reach_y - y) + 2 * _BORDER
    return min(max(margins[0], 0), w - 1), min(max(margins[1], 0), h - 1)


class Augmentation(nn.Module):
    """The "bgc" pipeline of ADA.

    Args:
        strength: Probability of each transformation.

    Attributes:
        strength: The same, `[]`; part of the state.
    """

    strength: Tensor

    def __init__(self, strength: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("strength", torch.tensor(strength))

    def forward(
        self, video: Float[Tensor, "b c t h w"], generator: GeneratorLike
    ) -> Float[Tensor, "b c t h w"]:
        """Returns the clips, each transformed by one draw for all its frames.

        Args:
            video: Clips in [-1, 1], of three colours.
            generator: Where random numbers come from: one generator, or one per clip.

        Raises:
            UsageError: If there are not three colours.
        """
        b, c, t, h, w = video.shape
        if c != 3:
            raise UsageError(f"augmentation needs RGB videos, got {c} channels")
        strength = float(self.strength)
        if strength == 0:
            return video
        dice = Dice(b, generator)
        # in few bits a position would be off by pixels; the numbers are drawn on the CPU
        with _full_precision("cpu"), _full_precision(video.device.type):
            video = video.to(torch.promote_types(video.dtype, torch.float32))
            geometry = draw_geometry(dice, strength, w, h)
            colours = draw_colours(dice, strength).to(video)
            moved = move_pixels(rearrange(video, "b c t h w -> b (c t) h w"), geometry)
            pixels = rearrange(moved, "b (c t) h w -> b c (t h w)", c=c)
            pixels = torch.baddbmm(colours[:, :3, 3:], colours[:, :3, :3], pixels)
        return rearrange(pixels, "b c (t h w) -> b c t h w", t=t, h=h)


class AdaptiveAugmentation(Augmentation):
    """The same with a probability that follows the overfitting of the discriminator.

    All that it remembers is part of the state.

    Source: ADA, section 3.1 (heuristic r_t).

    Args:
        strength: Probability of each transformation at the start.
        target: Overfitting to be held: the mean sign of D's logits of real clips.
        kclips: Clips, in thousands, in which the probability can go from 0 to 1.
    """

    signs: Tensor
    clips: Tensor

    def __init__(self, strength: float = 0.0, target: float = 0.6, kclips: float = 500.0) -> None:
        super().__init__(strength)
        self.target, self.kclips = target, kclips
        self.register_buffer("signs", torch.tensor(0.0))
        self.register_buffer("clips", torch.tensor(0.0))

    @torch.no_grad()
    def observe(self, sign: Float[Tensor, ""], clips: int) -> None:
        """Remembers the mean sign of D's logits of so many real clips."""
        self.signs += sign * clips
        self.clips += clips

    @torch.no_grad()
    def adapt(self) -> None:
        """Moves the probability by the clips since the last call, towards the target."""
        direction = (self.signs - self.target * self.clips).sign()
        self.strength.add_(direction * self.clips / (self.kclips * 1000)).clamp_(0, 1)
        self.signs.zero_()
        self.clips.zero_()


def _full_precision(device: str) -> torch.autocast:
    return torch.autocast(device, enabled=False)


def _composed(steps: list[Tensor]) -> Tensor:
    """The matrix that does all steps, the first one first."""
    total = steps[0]
    for step in steps[1:]:
        total = step @ total
    return total


def _each(factors: Float[Tensor, " n"], matrix: Float[Tensor, "3 3"]) -> Float[Tensor, "n 3 3"]:
    return factors[:, None, None] * matrix


def _linear(matrix: Float[Tensor, "n 3 3"]) -> Float[Tensor, "n 4 4"]:
    """The same map in homogeneous coordinates."""
    padded = F.pad(matrix, (0, 1, 0, 1))
    padded[:, 3, 3] = 1
    return padded


def _scaling(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _rotation(angle: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    matrix = torch.eye(3, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
    return matrix


def _translation(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Float[Tensor, "n 3 3"]:
    matrix = torch.eye(3, device=x.device).repeat(len(x), 1, 1)
    matrix[:, 0, 2], matrix[:, 1, 2] = x, y
    return matrix
