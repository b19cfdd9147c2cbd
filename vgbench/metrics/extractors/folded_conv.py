"""Convolution, batch normalisation and ReLU as one operation, for inference."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vgbench.errors import WeightsError

# Shapes of inputs whose weights are kept in oneDNN's order at a time; a network sees two to three.
_KEPT_SHAPES = 4


class FoldedConv(nn.Module):
    """A convolution that absorbed its normalisation, and the ReLU behind it if there is one.

    On a CPU, oneDNN does all of it in one pass over weights that were put into the order its
    kernel reads them in, which PyTorch's own convolution does anew in every call (or, with one
    thread, replaces by a slower algorithm). Everywhere else, and where gradients are recorded,
    it is the plain convolution followed by the plain ReLU.

    Args:
        conv: A 2-D or 3-D convolution without bias, zero padded.
        norm: The normalisation behind it.
        relu: Whether a ReLU follows.
        dtype: Number format of weights and result.

    Raises:
        WeightsError: If a weight is not finite; oneDNN's ReLU would hide it in a zero.
    """

    def __init__(
        self,
        conv: nn.Conv2d | nn.Conv3d,
        norm: nn.BatchNorm2d | nn.BatchNorm3d,
        *,
        relu: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        folded = fuse_conv_bn_eval(conv, norm)
        assert folded.bias is not None  # the shift of the normalisation
        if not (folded.weight.isfinite().all() and folded.bias.isfinite().all()):
            raise WeightsError("the weights of the network are not finite; import them again")
        flat = isinstance(conv, nn.Conv2d)
        layout = torch.channels_last if flat else torch.channels_last_3d
        weight = folded.weight.detach().to(dtype).contiguous(memory_format=layout)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(folded.bias.detach().to(dtype), requires_grad=False)
        self.stride, self.groups, self.relu = tuple(conv.stride), conv.groups, relu
        self._packed: dict[tuple[tuple[int, ...], tuple[int, ...]], Tensor] = {}

    def forward(
        self, x: Float[Tensor, "b c *size"], padding: Sequence[int]
    ) -> Float[Tensor, "b c2 *size2"]:
        """Returns relu(conv(x)) in the format of the weights.

        Args:
            x: Activations, best with channels last in memory.
            padding: Zeros on either side of each axis.
        """
        x = x.to(self.weight.dtype)
        if x.device.type == "cpu" and can_prepack() and not torch.is_grad_enabled():
            return self._prepacked(x, tuple(padding))
        return self.plain(x, padding)

    def plain(
        self, x: Float[Tensor, "b c *size"], padding: Sequence[int]
    ) -> Float[Tensor, "b c2 *size2"]:
        """Returns the same by PyTorch's own convolution."""
        convolve = F.conv2d if x.ndim == 4 else F.conv3d
        out: Tensor = convolve(  # type: ignore[operator]
            x, self.weight, self.bias, self.stride, tuple(padding), 1, self.groups
        )
        return F.relu(out, inplace=not torch.is_grad_enabled()) if self.relu else out

    def _prepacked(self, x: Tensor, padding: tuple[int, ...]) -> Tensor:
        key = (tuple(x.shape), padding)
        if key not in self._packed:
            # In another order than the kernel for this input shape wants, oneDNN would reorder
            # in every call, by a loop that is slower than the convolution.
            if len(self._packed) >= _KEPT_SHAPES:
                self._packed.clear()
            self._packed[key] = self._reorder(x.shape, padding)
        dilation = [1] * len(padding)
        after = "relu" if self.relu else "none"
        out: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x,
            self._packed[key],
            self.bias,
            padding,
            self.stride,
            dilation,
            self.groups,
            after,
            [],
            "",
        )
        return out

    def _reorder(self, shape: torch.Size, padding: tuple[int, ...]) -> Tensor:
        reorder: Any = (
            torch._C._nn.mkldnn_reorder_conv2d_weight
            if len(padding) == 2
            else torch._C._nn.mkldnn_reorder_conv3d_weight
        )
        dilation = [1] * len(padding)
        packed: Tensor = reorder(
            self.weight.to_mkldnn(), padding, self.stride, dilation, self.groups, list(shape)
        )
        return packed


def can_prepack() -> bool:
    """Returns whether this build of PyTorch offers oneDNN's fused convolutions."""
    backend: Any = torch.backends.mkldnn
    return bool(
        backend.is_available()
        and backend.enabled
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch._C._nn, "mkldnn_reorder_conv3d_weight")
    )
