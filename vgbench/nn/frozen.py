"""Networks that a loss runs through without training them."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Spares the gradients of these networks' parameters inside; what was frozen before stays so.

    Gradients still flow through the networks to what they are given.
    """
    trained = [p for network in networks for p in network.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def constant(network: nn.Module) -> nn.Module:
    """Makes a network one that is never trained and that state dicts leave out; returns it.

    Its weights move between devices with the module that it is part of; they are kept elsewhere.

    Args:
        network: The network with its weights, changed in place.
    """
    for module in network.modules():
        kept = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for name, value in kept:
            delattr(module, name)
            module.register_buffer(name, value.detach(), persistent=False)
    return network.eval()
