"""Stacked GRU cells, unrolled along the diagonals of time and depth."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Unrolled(NamedTuple):
    """What the cells make of a sequence.

    Attributes:
        outputs: Memory of the last cell after each step.
        state: Memories of all cells after the last step.
    """

    outputs: Float[Tensor, "b k z"]
    state: Float[Tensor, "q b z"]


class StackedGRU(nn.Module):
    """GRU cells one upon another, each fed with the memory of the one below; equals `nn.GRU`.

    Cell q at step k needs cell q - 1 at step k and itself at step k - 1. All pairs of the same
    q + k are therefore computed together, in one batched product: a quarter of the operations of
    a loop over four cells. Made of plain operations only, so it can be differentiated twice on
    every device, which cuDNN's GRU cannot.

    Args:
        size: Numbers per input, memory and output.
        layers: Number of cells.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder" (EMNLP 2014),
    equations 5 to 8, with the reset gate behind the product as in `nn.GRU`.
    """

    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.layers = layers
        bound = 1 / math.sqrt(size)  # the first weights of `nn.GRU`
        for name in ("ih", "hh"):
            weight, bias = torch.empty(layers, 3 * size, size), torch.empty(layers, 3 * size)
            self.register_parameter(f"weight_{name}", nn.Parameter(weight.uniform_(-bound, bound)))
            self.register_parameter(f"bias_{name}", nn.Parameter(bias.uniform_(-bound, bound)))

    def forward(self, inputs: Float[Tensor, "b k z"], state: Float[Tensor, "q b z"]) -> Unrolled:
        """Returns the outputs of at least one step and the state after the last.

        Args:
            inputs: Inputs of the lowest cell.
            state: First memories, the lowest cell first.
        """
        steps, memories, outputs = inputs.unbind(dim=1), list(state.unbind(dim=0)), []
        for diagonal in range(len(steps) + self.layers - 1):
            low, high = max(0, diagonal - len(steps) + 1), min(self.layers, diagonal + 1)
            lowest = steps[diagonal] if low == 0 else memories[low - 1]
            below = torch.stack([lowest, *memories[low : high - 1]])
            new = self._cells(below, torch.stack(memories[low:high]), slice(low, high))
            memories[low:high] = new.unbind(dim=0)
            if high == self.layers:
                outputs.append(memories[-1])
        return Unrolled(torch.stack(outputs, dim=1), torch.stack(memories))

    def _cells(
        self, inputs: Float[Tensor, "a b z"], memories: Float[Tensor, "a b z"], cells: slice
    ) -> Float[Tensor, "a b z"]:
        from_input = torch.baddbmm(
            self.bias_ih[cells, None], inputs, self.weight_ih[cells].transpose(1, 2)
        )
        from_memory = torch.baddbmm(
            self.bias_hh[cells, None], memories, self.weight_hh[cells].transpose(1, 2)
        )
        reset_in, update_in, new_in = from_input.chunk(3, dim=2)
        reset_mem, update_mem, new_mem = from_memory.chunk(3, dim=2)
        reset = torch.sigmoid(reset_in + reset_mem)
        update = torch.sigmoid(update_in + update_mem)
        new = torch.tanh(new_in + reset * new_mem)
        return new + update * (memories - new)
