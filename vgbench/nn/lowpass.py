"""Design of low-pass filters for alias-free networks."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def design_lowpass_filter(
    taps: int, cutoff: float, width: float, rate: float, radial: bool = False
) -> Float[Tensor, "..."] | None:
    """Returns a Kaiser-windowed low-pass filter that sums to one, or None for a single tap.

    Args:
        taps: Taps along one axis.
        cutoff: Where the filter passes half of the amplitude, in cycles per unit of length.
        width: Width of the transition from pass to stop band, in the same unit.
        rate: Samples per unit of length.
        radial: Whether the filter is round, a matrix of taps, instead of separable.

    Source: Kaiser's window method; "Alias-Free Generative Adversarial Networks" (NeurIPS 2021),
    appendix C.1 (`sinc`, and `jinc` for the radial one).
    """
    if taps == 1:
        return None
    position = (np.arange(taps) - (taps - 1) / 2) / rate
    window = np.kaiser(taps, _kaiser_beta(taps, width / (rate / 2)))
    if radial:
        f = _jinc(cutoff, np.hypot(position[:, None], position)) * np.outer(window, window)
    else:
        f = np.sinc(2 * cutoff * position) * window
    return torch.from_numpy(f / f.sum()).to(torch.float32)


def _kaiser_beta(taps: int, width: float) -> float:
    """Kaiser's formulas for the attenuation in dB and from it the window's parameter."""
    attenuation = 2.285 * (taps - 1) * np.pi * width + 7.95
    if attenuation > 50:
        return float(0.1102 * (attenuation - 8.7))
    if attenuation > 21:
        return float(0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21))
    return 0.0


def _jinc(cutoff: float, radius: np.ndarray) -> np.ndarray:
    """`J1(2 pi cutoff r) / (pi r)`, the ideal round low-pass; `cutoff` at the centre."""
    away = np.where(radius > 0, radius, 1.0)
    bessel = torch.special.bessel_j1(torch.from_numpy(2 * np.pi * cutoff * away)).numpy()
    return np.where(radius > 0, bessel / (np.pi * away), cutoff)
