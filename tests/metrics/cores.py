"""Feature extractors that are cheap and can be made to fail."""

import torch

from vgbench.errors import UsageError
from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.metrics.extractors.precision import check_precision
from vgbench.weights.record import WeightsRef


class Brightness(FeatureExtractor):
    """Mean colours; `most` clips at a time fit into its memory."""

    name = "jet-2"
    dim = 3
    preprocess_id = "yuv601"
    weights = WeightsRef("brightness", "handcrafted")

    def __init__(self, most=1000):
        super().__init__()
        self.most, self.calls = most, []

    @classmethod
    def load(cls, weights_dir=None):
        return cls()

    def forward(self, clips):
        self.calls.append(len(clips))
        if len(clips) > self.most:
            raise torch.OutOfMemoryError("injected")
        return clips.float().mean(dim=(1, 2, 3))


def has_bf16():
    """Returns whether this CPU computes in bf16."""
    try:
        check_precision("bf16", torch.device("cpu"))
    except UsageError:
        return False
    return True
