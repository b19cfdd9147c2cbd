"""Random tensors drawn from explicit generators: one for all videos, or one per video."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vgbench.seeds import stream_seed

GeneratorLike = torch.Generator | Sequence[torch.Generator]
_BLOCK = 16  # vectors of a sequence that are drawn at one time


def seeded_generator(seed: int, name: str, *position: int) -> torch.Generator:
    """Returns a CPU generator for stream `name` at `position` (see `vgbench.seeds`)."""
    return torch.Generator().manual_seed(stream_seed(seed, name, *position))


def normal(
    n: int, shape: Sequence[int], generator: GeneratorLike, device: torch.device
) -> Float[Tensor, "n ..."]:
    """Returns `n` samples of N(0, I), float32.

    Args:
        n: Number of samples.
        shape: Shape of one sample.
        generator: One generator for all samples, or a sequence of `n`: sample i then depends on
            generator i alone, so the same samples are drawn in batches of any size.
        device: Where the result lies. The draw happens on the generator's own device, so CPU
            generators give the same numbers on every machine.

    Raises:
        ValueError: If a sequence of generators does not have length `n`.
    """
    return _drawn(torch.randn, n, shape, generator, device)


def normal_sequence(
    n: int, length: int, dim: int, generator: GeneratorLike, device: torch.device
) -> Float[Tensor, "n l d"]:
    """Returns `n` sequences of vectors of N(0, I); a longer one starts with the shorter one.

    Whole blocks are drawn, so draw nothing else from `generator` afterwards. See `normal`.
    """
    blocks = [normal(n, (_BLOCK, dim), generator, device) for _ in range(0, length, _BLOCK)]
    return torch.cat(blocks, dim=1)[:, :length]


def uniform(
    n: int, shape: Sequence[int], generator: GeneratorLike, device: torch.device
) -> Float[Tensor, "n ..."]:
    """Returns `n` samples of the uniform distribution on [0, 1), float32; see `normal`."""
    return _drawn(torch.rand, n, shape, generator, device)


def _drawn(
    draw: Callable[..., Tensor],
    n: int,
    shape: Sequence[int],
    generator: GeneratorLike,
    device: torch.device,
) -> Float[Tensor, "n ..."]:
    if isinstance(generator, torch.Generator):
        return draw((n, *shape), generator=generator, device=generator.device).to(device)
    if len(generator) != n:
        raise ValueError(f"{len(generator)} generators for {n} samples")
    draws = [draw(tuple(shape), generator=g, device=g.device) for g in generator]
    return torch.stack(draws).to(device)
