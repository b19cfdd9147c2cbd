"""Options of a method with stages that only the tests register: colours on top of a frozen G3AN."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vgbench.models.g3an.config import G3ANConfig
from vgbench.registry import MODELS
from vgbench.sampling import Contiguous
from vgbench.types import ModelConfig, SampleRequest, Stage


@dataclass(frozen=True)
class ColourOptions:
    """Options of one colour layer.

    Attributes:
        width: Hidden channels.
        strength: Share in [0, 1] of the colour that the layer may change.
    """

    width: int = 4
    strength: float = 0.5


@dataclass(frozen=True)
class ColouredConfig(ModelConfig):
    """Options of colour layers that are learned one after the other.

    With one layer there is one stage, the frozen generator; with two, the first layer is a stage
    of its own, which starts from the same generator.

    Attributes:
        layers: Colour layers, 0 to 2; 0 trains nothing and has no stages.
        channels: Width unit of the frozen generator.
        lr: Learning rate.
        colour: Each layer.
    """

    layers: int = 1
    channels: int = 2
    lr: float = 1e-3
    colour: ColourOptions = ColourOptions(width=3)

    target: ClassVar[str] = "tests.staged.module:Coloured"
    summary: ClassVar[str] = "colour layers on a frozen G3AN"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "default": {},
        "wide": {"colour": {"width": 8}, "lr": 5e-4},
        "strong": {"colour": {"strength": 1.0}},
    }
    budgets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "demo": {"budget": {"kclips": 0.016, "batch_size": 4}, "model": {"lr": 2e-3}},
        "short": {"model": {"preset": "strong", "lr": 3e-3}, "stages": {"base": {"kclips": 5}}},
    }

    @property
    def base(self) -> G3ANConfig:
        """Options of the frozen generator."""
        return G3ANConfig(channels=self.channels, use_attention=False, ema_kclips=0.02)

    @property
    def clips(self) -> SampleRequest:
        """How training clips are drawn from videos."""
        return SampleRequest(Contiguous(16))

    def stages(self) -> tuple[Stage, ...]:
        """Returns the frozen generator, and the layers below the last one."""
        base = Stage("base", "g3an", self.base)
        tint = Stage("tint", "coloured", replace(self, layers=1))
        return ((), (base,), (base, tint))[self.layers]


@contextmanager
def registered() -> Iterator[None]:
    """Makes the method known to this process while the block runs."""
    MODELS.register("coloured", ColouredConfig)
    try:
        yield
    finally:
        del MODELS._added["coloured"]
