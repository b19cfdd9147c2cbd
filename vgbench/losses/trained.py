"""Distances of images that need weights which were trained elsewhere."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from vgbench.losses.identity import IdentityDistance
from vgbench.losses.lpips import lpips_alex, lpips_vgg
from vgbench.nn.encoder.arcface import ArcFace
from vgbench.nn.frozen import constant

# By the name of their weights in the catalogue; a distance and the network that has the weights.
_DISTANCES: Mapping[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], nn.Module]]] = {
    "lpips-alex": (lpips_alex, lambda network: network),
    "lpips-vgg": (lpips_vgg, lambda network: network),
    "arcface": (ArcFace, IdentityDistance),
}


def trained_distance(name: str, weights: Mapping[str, Tensor]) -> nn.Module:
    """Returns the distance of images that weights stand for; see `LPIPS`, `IdentityDistance`.

    It is constant: not trained, and no part of state dicts.

    Args:
        name: Name of the weights in the catalogue: `lpips-alex`, `lpips-vgg` or `arcface`.
        weights: The weights, without counters of batches.
    """
    network_of, distance_of = _DISTANCES[name]
    network = network_of()
    counters = {
        key: value
        for key, value in network.state_dict().items()
        if key.endswith("num_batches_tracked")
    }
    network.load_state_dict({**counters, **weights})
    return distance_of(constant(network))
