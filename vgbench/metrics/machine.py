"""The device that computes features, and what to do when its memory does not suffice."""

from dataclasses import dataclass, field

import torch
from jaxtyping import UInt8
from torch import Tensor

from vgbench.errors import UsageError
from vgbench.metrics.extractors.base import FeatureExtractor, NetworkExtractor


@dataclass
class Machine:
    """Where features are computed.

    Attributes:
        device: Device of the extractors.
        batch_size: Clips read at a time.
        is_auto: Whether fewer go through a network at a time when memory does not suffice.
        limit: How many at most go through it together; halved as needed.
    """

    device: torch.device
    batch_size: int
    is_auto: bool = False
    limit: int = field(init=False)

    def __post_init__(self) -> None:
        self.limit = self.batch_size

    def features(self, net: FeatureExtractor, samples: UInt8[Tensor, "n t h w 3"]) -> list[Tensor]:
        """Returns features on the device, in parts; a GPU may still be computing them.

        Raises:
            UsageError: If the memory of the device does not suffice.
        """
        parts: list[Tensor] = []
        done = 0
        while done < len(samples):
            part = samples[done : done + self.limit]
            try:
                parts.append(net(self._on_device(part)))
            except torch.OutOfMemoryError as error:
                self._halve(len(part), net, error)
                continue
            done += len(part)
        return parts

    def _on_device(self, samples: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return samples.to(self.device)
        return samples.pin_memory().to(self.device, non_blocking=True)

    def _halve(self, size: int, net: FeatureExtractor, error: torch.OutOfMemoryError) -> None:
        if not self.is_auto:
            raise UsageError(
                f"out of memory with {size} clips at a time on {self.device}\n"
                "  batch size 'auto' goes on with fewer; it does not change the numbers"
            ) from error
        if size == 1:
            raise UsageError(
                f"one clip does not fit into the memory of {self.device}; evaluate on the CPU"
            ) from error
        self.limit = size // 2
        if isinstance(net, NetworkExtractor):
            net.gpu_group = min(net.gpu_group, self.limit)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
