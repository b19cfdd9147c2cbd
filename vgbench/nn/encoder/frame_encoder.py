"""What a method needs that trains on latents of frames."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class FrameEncoder(Protocol):
    """What turns pictures into latents, usually a frozen network."""

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n l d"]:
        """Returns the latents of pictures in [-1, 1]."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Returns all that decides the latents."""
        ...
