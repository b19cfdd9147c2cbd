"""Which networks losses look through; importing this module does not import torch."""

from collections.abc import Mapping

from vgbench.errors import UsageError

DISCRIMINATOR = "discriminator"
# Weights of the catalogue, beside the image GAN's discriminator.
_PERCEPTUAL, _IDENTITY = ("lpips-alex", "lpips-vgg"), "arcface"


def check_perceptual_net(name: str) -> None:
    """Checks the name of a network that knows how different images look.

    Raises:
        UsageError: If there is none.
    """
    known = (DISCRIMINATOR, *_PERCEPTUAL)
    if name not in known:
        raise UsageError(f"perceptual_net={name}: expected one of {', '.join(known)}")


def trained_elsewhere(perceptual: float, perceptual_net: str, identity: float) -> tuple[str, ...]:
    """Returns the names of the weights that losses need.

    Args:
        perceptual: Weight of the difference in look.
        perceptual_net: The network behind it.
        identity: Weight of the difference of persons.
    """
    is_elsewhere = perceptual and perceptual_net != DISCRIMINATOR
    return (*((perceptual_net,) if is_elsewhere else ()), *((_IDENTITY,) if identity else ()))


def described(weights: Mapping[str, float], perceptual_net: str) -> str:
    """Returns losses as rows name them, e.g. `mse 1, perceptual 0.8 (lpips-vgg)`.

    Args:
        weights: Weight of each loss in use.
        perceptual_net: The network behind `perceptual`.
    """
    nets = {"perceptual": f" ({perceptual_net})", "identity": f" ({_IDENTITY})"}
    return ", ".join(f"{name} {weight:g}{nets.get(name, '')}" for name, weight in weights.items())
