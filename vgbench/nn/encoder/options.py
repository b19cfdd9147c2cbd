"""Sizes of image encoders; importing this module does not import torch."""

from dataclasses import dataclass
from typing import Literal

from vgbench.errors import UsageError

STAGES = 4


@dataclass(frozen=True)
class BackboneSize:
    """Widths and depths of an IR-SE backbone.

    Each of the four stages halves the map. The defaults are IR-SE-50 with its last stages as
    in pixel2style2pixel.

    Attributes:
        base_width: Channels of the first stage; the others have 2, 4 and 8 times as many.
        units: Residual units per stage.
        reduction: By how much squeeze-and-excitation narrows the channels.
    """

    base_width: int = 64
    units: tuple[int, ...] = (3, 4, 14, 3)
    reduction: int = 16

    def __post_init__(self) -> None:
        """Checks the sizes.

        Raises:
            UsageError: If there is no such backbone.
        """
        object.__setattr__(self, "units", tuple(self.units))
        if len(self.units) != STAGES or min(self.units) < 1:
            raise UsageError(f"units={list(self.units)}: expected {STAGES} numbers of at least 1")
        if not 1 <= self.reduction <= self.base_width:
            raise UsageError(
                f"base_width={self.base_width}, reduction={self.reduction}: expected at least one "
                "channel after the reduction; use a base_width of 16 or more"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.base_width * factor for factor in (1, 2, 4, 8))

    @property
    def stage_ends(self) -> tuple[int, ...]:
        """Number of the last unit of each stage."""
        return tuple(sum(self.units[: i + 1]) - 1 for i in range(STAGES))


@dataclass(frozen=True)
class Modulation:
    """How a style changes the maps of an encoder.

    Attributes:
        kind: `adain`: residual blocks with adaptive instance normalisation; `modconv`: with
            StyleGAN2's modulated convolutions.
        after: A block follows each `stage` or each `unit`.
        normalize: Whether the sum of block and shortcut is divided by the root of two, for
            `adain`; `modconv` always is.
    """

    kind: Literal["adain", "modconv"] = "adain"
    after: Literal["stage", "unit"] = "stage"
    normalize: bool = True

    def places(self, size: BackboneSize) -> tuple[int, ...]:
        """Returns the numbers of the units that a block follows."""
        return size.stage_ends if self.after == "stage" else tuple(range(sum(size.units)))
