"""Sizes and frequencies of alias-free networks; importing this module does not import torch.

A layer works at some sampling rate and keeps what lies below its cutoff. Cutoffs and stop bands
grow geometrically from layer to layer, up to those of the image. Frequencies are in cycles and
rates in samples per image width.

Source: "Alias-Free Generative Adversarial Networks" (StyleGAN3, NeurIPS 2021), section 3.2 and
appendix F.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from vgbench.errors import UsageError


@dataclass(frozen=True)
class Band:
    """What a map can hold.

    Attributes:
        size: Width and height in samples, a margin around the image included.
        channels: Channels.
        rate: Samples per image width.
        cutoff: Highest frequency that passes undamped by more than a half.
        half_width: Half of the transition from pass to stop band.
    """

    size: int
    channels: int
    rate: float
    cutoff: float
    half_width: float


@dataclass(frozen=True)
class LayerPlan:
    """How one layer turns a map into the next.

    Attributes:
        name: Name of the layer, also in state dicts.
        before: The map it is given.
        after: The map it returns.
        kernel: Kernel size of its convolution.
        inner_rate: Rate at which it is activated.
        filter_taps: Taps of a filter per factor of its resampling; 0 for no filters.
        radial: Whether the down-sampling filter is round.
        to_rgb: Whether it is the last layer, which has no activation and no demodulation.
        clamp: Largest magnitude before down-sampling; None for no limit.
        magnitude_ema_beta: Share of the old average in each update of the input's magnitude.
    """

    name: str
    before: Band
    after: Band
    kernel: int
    inner_rate: float
    filter_taps: int
    radial: bool
    to_rgb: bool
    clamp: float | None
    magnitude_ema_beta: float

    @property
    def up(self) -> int:
        """Factor of the up-sampling before the activation."""
        return int(self.inner_rate / self.before.rate)

    @property
    def down(self) -> int:
        """Factor of the down-sampling behind it."""
        return int(self.inner_rate / self.after.rate)

    def taps(self, factor: int) -> int:
        """Returns the taps of the filter for resampling by `factor`; 1 for no filter."""
        return self.filter_taps * factor if self.filter_taps and factor > 1 else 1

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Zeros around the up-sampled map that lead to the size afterwards; negative crops."""
        needed = (self.after.size - 1) * self.down + 1
        needed += self.taps(self.up) + self.taps(self.down) - 2
        total = needed - (self.before.size + self.kernel - 1) * self.up
        low = (total + self.up) // 2
        return low, total - low, low, total - low


@dataclass(frozen=True)
class LayerSchedule:
    """Options of an alias-free synthesis network; the defaults are StyleGAN3's configuration T.

    Attributes:
        resolution: Width and height of the images, a power of two, at least 8.
        img_channels: Colour channels.
        channel_base: Twice the channels times the cutoff, as long as `channel_max` allows.
        channel_max: Most channels of any map.
        num_layers: Layers before the one that makes colours.
        num_critical: Layers at the end that keep all that their sampling rate can hold.
        first_cutoff: Cutoff of the first layer.
        first_stopband: Its stop band.
        last_stopband_rel: Stop band of the last layers over their cutoff.
        margin: Samples around the image on each side, of all but the last two maps.
        output_scale: Factor of the last layer's output.
        kernel: Kernel size of the convolutions.
        filter_size: Taps of a low-pass filter per factor of its resampling.
        lrelu_upsampling: Factor by which maps are up-sampled for their activation.
        radial_filters: Whether down-sampling filters are round, where sampling is not critical.
        conv_clamp: Largest magnitude of an activation; None for no limit.
        magnitude_ema_beta: Share of the old average in each update of an input's magnitude.
    """

    resolution: int
    img_channels: int = 3
    channel_base: int = 16384
    channel_max: int = 512
    num_layers: int = 14
    num_critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband_rel: float = 2**0.3
    margin: int = 10
    output_scale: float = 0.25
    kernel: int = 3
    filter_size: int = 6
    lrelu_upsampling: int = 2
    radial_filters: bool = False
    conv_clamp: float | None = 256.0
    magnitude_ema_beta: float = 0.999

    def __post_init__(self) -> None:
        """Checks resolution and number of layers.

        Raises:
            UsageError: If there is no network for them.
        """
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise UsageError(
                f"StyleGAN3 has no networks for {self.resolution}x{self.resolution} images; "
                "expected 8, 16, 32, ..."
            )
        if self.num_layers <= self.num_critical:
            raise UsageError(
                f"num_layers={self.num_layers}: expected more than num_critical={self.num_critical}"
            )

    @property
    def num_ws(self) -> int:
        """Styles of one image: of the input, of each layer and of the colours."""
        return self.num_layers + 2

    @property
    def bands(self) -> tuple[Band, ...]:
        """What each layer's output can hold; the input is like the first."""
        return tuple(self._band(i) for i in range(self.num_layers + 1))

    @property
    def layers(self) -> tuple[LayerPlan, ...]:
        """The layers from the input to the colours."""
        bands = self.bands
        pairs = pairwise((bands[0], *bands))
        return tuple(self._layer(i, before, after) for i, (before, after) in enumerate(pairs))

    def _band(self, i: int) -> Band:
        nyquist = self.resolution / 2
        growth = min(i / (self.num_layers - self.num_critical), 1)
        cutoff = self.first_cutoff * (nyquist / self.first_cutoff) ** growth
        last_stopband = nyquist * self.last_stopband_rel
        stopband = self.first_stopband * (last_stopband / self.first_stopband) ** growth
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, self.resolution)))
        channels = round(min(self.channel_base / 2 / cutoff, self.channel_max))
        return Band(
            size=self.resolution if i >= self.num_layers - 1 else rate + 2 * self.margin,
            channels=self.img_channels if i == self.num_layers else channels,
            rate=float(rate),
            cutoff=cutoff,
            half_width=max(stopband, rate / 2) - cutoff,
        )

    def _layer(self, i: int, before: Band, after: Band) -> LayerPlan:
        to_rgb = i == self.num_layers
        return LayerPlan(
            name=f"L{i}_{after.size}_{after.channels}",
            before=before,
            after=after,
            kernel=1 if to_rgb else self.kernel,
            inner_rate=max(before.rate, after.rate) * (1 if to_rgb else self.lrelu_upsampling),
            filter_taps=0 if to_rgb else self.filter_size,
            radial=self.radial_filters and i < self.num_layers - self.num_critical,
            to_rgb=to_rgb,
            clamp=self.conv_clamp,
            magnitude_ema_beta=self.magnitude_ema_beta,
        )


def config_r(schedule: LayerSchedule) -> LayerSchedule:
    """Returns the schedule as configuration R, equivariant to rotation as well.

    Source: StyleGAN3, section 3.2 (flexible layers): 1x1 convolutions, twice the channels, round
    filters.
    """
    widths = {"channel_base": 2 * schedule.channel_base, "channel_max": 2 * schedule.channel_max}
    return replace(schedule, kernel=1, radial_filters=True, **widths)


@dataclass(frozen=True)
class LowRankOptions:
    """A second weight of each layer, of low rank and with styles of its own (StyleSV).

    Attributes:
        rank: Rank at every kernel tap.
        dim: Numbers of the code that its styles are made from.
        reference_compat: Whether it is that of the released code: both factors start at zero, so
            that none of it ever learns, and the scale of the colours' styles is missing. Otherwise
            the factors start as noise and a learned gain, at first zero, is on the branch.
    """

    rank: int
    dim: int
    reference_compat: bool = False

    def __post_init__(self) -> None:
        """Checks the rank.

        Raises:
            UsageError: If it is not positive.
        """
        if self.rank < 1:
            raise UsageError(f"low rank {self.rank}: expected at least 1")
