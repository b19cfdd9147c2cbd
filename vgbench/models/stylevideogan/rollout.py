"""Sequences of unlimited length in constant memory."""

from collections.abc import Iterable, Iterator

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from vgbench.models.stylevideogan.generator import Generator
from vgbench.models.stylevideogan.latents import LatentBackend, truncate
from vgbench.nn.noise import GeneratorLike, normal

# Pictures decoded at once; bounds memory, which a picture fills more than its latent.
_PICTURES = 64
# Motion codes drawn at once. Constant, so that what a video shows does not depend on its length.
_BLOCK = 64


def rollout(
    generator: Generator,
    n: int,
    frames: int,
    source: GeneratorLike,
    first: Float[Tensor, "n z"] | None = None,
) -> Iterator[Float[Tensor, "n _t l d"]]:
    """Yields the W+ latents of `n` clips block by block, `frames` frames in total.

    Only the memories of the cells are kept between blocks. A longer sequence starts with the
    shorter one of the same source.

    Args:
        generator: In eval mode.
        n: Number of clips.
        frames: Frames per clip, at least 1.
        source: Source of every random number; with a sequence of `n`, clip i depends on
            generator i alone.
        first: First codes, if they are given.

    Raises:
        ValueError: If the generator is in training mode.
    """
    if generator.training:
        raise ValueError("a rollout needs the generator in eval mode")
    for codes in endless_codes(generator, n, source, first):
        with torch.no_grad():
            yield generator.scale.restore(generator.latents(codes[:, :frames]))
        frames -= codes.shape[1]
        if frames <= 0:
            return


def endless_codes(
    generator: Generator,
    n: int,
    source: GeneratorLike,
    first: Float[Tensor, "n z"] | None = None,
) -> Iterator[Float[Tensor, "n _t z"]]:
    """Yields codes of frames without end; arguments as of `rollout`.

    The block of the first frame is one frame longer than the others.
    """
    z_dim, device = generator.options.z_dim, generator.scale.mean.device
    start = normal(n, (z_dim,), source, device) if first is None else first
    with torch.no_grad():
        state = generator.first_state(start)
    before = start[:, None]
    while True:
        motion = normal(n, (_BLOCK, z_dim), source, device)
        with torch.no_grad():
            outputs, state = generator.recurrence(motion, state)
        yield torch.cat((before, outputs), dim=1)
        before = outputs[:, :0]


def decode(
    blocks: Iterable[Float[Tensor, "n _t l d"]], backend: LatentBackend, psi: float = 1.0
) -> Iterator[Float[Tensor, "n c _t h w"]]:
    """Yields the pictures of blocks of latents, a few frames at a time, as the backend makes them.

    Args:
        blocks: W+ latents, e.g. of `rollout`, or of it through the offset trick.
        backend: Any image generator that takes these latents, a style-transferred one included.
        psi: Truncation towards the backend's mean latent; 1 for none.
    """
    for ws in blocks:
        for part in torch.split(ws, max(1, _PICTURES // len(ws)), dim=1):
            with torch.no_grad():
                frames = rearrange(truncate(part, backend.w_avg, psi), "n t l d -> (n t) l d")
                images = backend.synthesis(frames)
            yield rearrange(images, "(n t) c h w -> n c t h w", n=len(ws))
