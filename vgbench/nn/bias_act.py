"""Bias, activation, gain and clamp."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vgbench.errors import UsageError


class Activation(NamedTuple):
    """An activation and the gain that keeps the variance of a unit normal input roughly one."""

    function: Callable[[Tensor], Tensor]
    gain: float = 1.0


ACTIVATIONS = {
    "linear": Activation(lambda x: x),
    "relu": Activation(torch.relu, math.sqrt(2)),
    "lrelu": Activation(lambda x: F.leaky_relu(x, 0.2), math.sqrt(2)),
    "tanh": Activation(torch.tanh),
    "sigmoid": Activation(torch.sigmoid),
    "elu": Activation(F.elu),
    "selu": Activation(F.selu),
    "softplus": Activation(F.softplus),
    "swish": Activation(F.silu, math.sqrt(2)),
}


def bias_act(
    x: Float[Tensor, "..."],
    b: Float[Tensor, " c"] | None = None,
    act: str = "linear",
    gain: float | None = None,
    clamp: float | None = None,
    dim: int = 1,
    alpha: float | None = None,
) -> Float[Tensor, "..."]:
    """Returns `clamp(gain * act(x + b))`.

    Args:
        x: Any map.
        b: One value per entry of axis `dim`.
        act: Name of the activation.
        gain: Factor after it; None for the activation's own.
        clamp: Largest magnitude of the result, gain included; None for no limit.
        dim: Axis of the bias.
        alpha: Slope of `lrelu` below zero; None for 0.2.

    Raises:
        UsageError: If there is no such activation.
    """
    if act not in ACTIVATIONS:
        raise UsageError(f"act={act}: expected one of {', '.join(ACTIVATIONS)}")
    if b is not None:
        shape = [1] * x.ndim
        shape[dim] = -1
        x = x + b.to(x.dtype).view(shape)
    function, own_gain = ACTIVATIONS[act]
    x = F.leaky_relu(x, alpha) if act == "lrelu" and alpha is not None else function(x)
    gain = own_gain if gain is None else gain
    if gain != 1:
        x = x * gain
    return x if clamp is None else clamped(x, clamp)


def clamped(x: Float[Tensor, "..."], limit: float) -> Float[Tensor, "..."]:
    """Returns `x` limited to [-limit, limit]; no gradient where the limit is reached.

    The same numbers as `x.clamp`, whose backward on a CPU makes three masks instead of none.
    """
    return F.hardtanh(x, -limit, limit)
