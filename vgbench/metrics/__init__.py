"""Feature extractors, protocols, distances and the evaluator.

The torchmetrics are loaded when they are asked for: torch and torchmetrics take seconds to import.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vgbench.metrics.in_loop import (
        EnergyVideoDistance,
        FrechetInceptionDistance,
        FrechetVideoDistance,
        KernelVideoDistance,
    )

__all__ = [
    "EnergyVideoDistance",
    "FrechetInceptionDistance",
    "FrechetVideoDistance",
    "KernelVideoDistance",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from vgbench.metrics import in_loop

        return getattr(in_loop, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
