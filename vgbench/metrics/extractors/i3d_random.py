"""`i3d-random:SEED`: the architecture of I3D with drawn weights, an option for studies.

Drawn weights are no substitute for trained ones: on real clips these features barely see frozen
or shuffled frames, which `jet` sees well. They need no file, though, and different seeds show how
much of a response is the architecture's.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from vgbench.metrics.extractors.i3d import I3D, MIXED, I3DLogits
from vgbench.metrics.extractors.precision import Precision
from vgbench.metrics.extractors.resize import I3D_SIDE
from vgbench.weights.record import WeightsRef
from vgbench.weights.store import tensors_sha256

# Activations whose channel means and deviations are the features, and their channels.
TAPS = {"Conv3d_2c_3x3": 192} | {
    name: row[0] + row[2] + row[4] + row[5]
    for name, row in MIXED.items()
    if name in ("Mixed_3c", "Mixed_4f", "Mixed_5c")
}
_CALIBRATION_CLIPS = 8
_CALIBRATION_FRAMES = 16
_CALIBRATION_GRIDS = (4, 8, 16, 32)


class I3DRandom(I3DLogits):
    """Channel means and deviations of four layers of an I3D whose weights are drawn.

    A parameter is `low + (high - low) u`, u the unit draws of its name (`unit_draws`): weights of
    convolutions in +-sqrt(6 / fan-in), scales in 0.7..1.3, shifts in +-0.2. Means and variances of
    the normalisations are those of `calibration_clips`.
    """

    name = "i3d-random"
    dim = 2 * sum(TAPS.values())
    takes_seed: ClassVar[bool] = True

    @classmethod
    def load(
        cls,
        weights_dir: Path | None = None,
        *,
        preprocess: str | None = None,
        precision: Precision = "fp32",
        bn_eps: float | None = None,
        seed: int = 0,
    ) -> "I3DRandom":
        """Returns the extractor of a seed; no weights are read.

        Args:
            weights_dir: Ignored.
            preprocess: As for `i3d`.
            precision: Number format of its arithmetic.
            bn_eps: Constant of the normalisations; None takes I3D's.
            seed: Key of the weights.
        """
        net = I3D()
        drawn = drawn_parameters(net, seed)
        net.load_state_dict(drawn, strict=False)
        for norm in (m for m in net.modules() if isinstance(m, nn.BatchNorm3d)):
            norm.eps = bn_eps or norm.eps
        calibrate(net)
        weights = WeightsRef(f"{cls.name}:{seed}", "random", tensors_sha256(drawn))
        return cls(net, weights, preprocess=preprocess, precision=precision)

    def features(self, clips: UInt8[Tensor, "b t h w 3"]) -> Float[Tensor, "b 5056"]:
        """Returns means, then deviations, of each layer of `TAPS`."""
        x = self.reader(clips)(0, clips.shape[1])
        found = []
        for name, activations in self.net.endpoints(x):
            if name in TAPS:
                values = rearrange(activations, "b c t h w -> b c (t h w)").float()
                found += [values.mean(dim=2), values.std(dim=2, correction=0)]
        return torch.cat(found, dim=1)


def unit_draws(seed: int, name: str, n: int) -> Float64[np.ndarray, "n"]:
    """Returns `n` numbers in [0, 1) keyed by (seed, name): 53 bits of raw Philox words.

    The raw stream is the same in every version of NumPy.
    """
    philox = np.random.Philox(key=seed * 2**32 + zlib.crc32(name.encode()), counter=0)
    draws: Float64[np.ndarray, "n"] = (philox.random_raw(n) >> np.uint64(11)) * 2.0**-53
    return draws


def drawn_parameters(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Returns a value for every parameter of `net`; see `I3DRandom`."""
    drawn = {}
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            bound = (6 / parameter[0].numel()) ** 0.5
            low, high = -bound, bound
        else:
            low, high = (0.7, 1.3) if name.endswith("weight") else (-0.2, 0.2)
        values = low + (high - low) * unit_draws(seed, name, parameter.numel())
        drawn[name] = torch.from_numpy(values.astype(np.float32)).reshape(parameter.shape)
    return drawn


@torch.no_grad()
def calibrate(net: I3D) -> None:
    """Sets mean and variance of every normalisation to those of the calibration clips."""
    clips = torch.stack(list(calibration_clips()))
    x = rearrange(clips, "b t h w c -> b c t h w")
    x = x.contiguous(memory_format=torch.channels_last_3d)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm3d)]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0  # what is kept is the last batch, and there is one
    for _ in net.endpoints(x):
        pass
    net.eval()


def calibration_clips() -> Iterator[Float[Tensor, "t h w 3"]]:
    """Yields the clips that calibrate: sums of four textures, each moving its own way.

    Texture g of clip k is a g x g grid of unit draws (key `calibration/k/g`, seed 0), enlarged
    bilinearly and rolled by a whole number of pixels per frame in -4..4 along both axes (key
    `calibration/k/g/step`); the sum is scaled to -1..1.
    """
    for k in range(_CALIBRATION_CLIPS):
        total = torch.zeros(_CALIBRATION_FRAMES, 3, I3D_SIDE, I3D_SIDE)
        for g in _CALIBRATION_GRIDS:
            draws = unit_draws(0, f"calibration/{k}/{g}", 3 * g * g).astype(np.float32)
            grid = torch.from_numpy(draws).reshape(1, 3, g, g)
            texture = F.interpolate(grid, size=(I3D_SIDE, I3D_SIDE), mode="bilinear")[0]
            down, right = (9 * unit_draws(0, f"calibration/{k}/{g}/step", 2)).astype(int) - 4
            for t in range(_CALIBRATION_FRAMES):
                total[t] += texture.roll((t * int(down), t * int(right)), dims=(1, 2))
        yield rearrange(total / len(_CALIBRATION_GRIDS) * 2 - 1, "t c h w -> t h w c")
