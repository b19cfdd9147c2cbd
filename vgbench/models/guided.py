"""Models whose losses look through networks that were trained elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor


class Guided(ABC):
    """A model whose options may name weights: `ModelConfig.weights`.

    They are no part of its checkpoints. A model that only samples does without them.
    """

    @abstractmethod
    def take_weights(self, name: str, weights: Mapping[str, Tensor]) -> None:
        """Takes a network that a loss needs; called for each before the first step of every run.

        Args:
            name: Name of its weights in the catalogue.
            weights: The weights by our names; see `vgbench.weights.store`.
        """
