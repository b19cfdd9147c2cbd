"""The metric `rhythm16`: how strongly the brightness of each part of the picture swings, and how.

The features are temporal amplitude spectra: a still video has none, whatever it shows.
"""

from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vgbench.metrics.extractors.base import FeatureExtractor
from vgbench.metrics.protocol import EvalProtocol
from vgbench.video import check_clips
from vgbench.weights.record import WeightsRef

PARTS, FREQUENCIES = 4, 8


class Rhythm(FeatureExtractor):
    """Amplitudes of the first 8 frequencies of the brightness in 4x4 parts; no weights."""

    name = "rhythm"
    dim = PARTS**2 * FREQUENCIES
    preprocess_id = "mean-of-parts"
    weights = WeightsRef("rhythm", "handcrafted")

    @classmethod
    def load(cls, weights_dir: Path | None = None) -> "Rhythm":
        """Returns the extractor; there is nothing to read."""
        return cls().eval()

    def forward(self, clips: UInt8[Tensor, "b t h w c"]) -> Float[Tensor, "b dim"]:
        """Returns one float32 vector per uint8 clip."""
        brightness = check_clips(clips).to(torch.float32).mean(dim=-1) / 255
        parts = rearrange(adaptive_avg_pool2d(brightness, PARTS), "b t h w -> b (h w) t")
        amplitudes = torch.fft.rfft(parts).abs()[..., 1 : 1 + FREQUENCIES]
        return rearrange(amplitudes, "b p f -> b (p f)")


RHYTHM16 = EvalProtocol(
    metric="rhythm16",
    variant="ripple",
    statistic="energy",
    extractor="rhythm",
    preprocess="mean-of-parts",
    frames=16,
    n_real=256,
    null_splits=24,
)
