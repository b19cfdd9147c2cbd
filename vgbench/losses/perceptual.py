"""How different two images look to a network that was trained on such images."""

import copy
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.processes import process_mean
from vgbench.nn.stylegan2.discriminator import ResidualBlock

_DECAY = 0.01  # share of a new batch in the running magnitude of features


class DiscriminatorDistance(nn.Module):
    """Mean difference of the features of a discriminator's blocks, each relative to its size.

    It needs no weights from elsewhere: the discriminator of an image GAN has learned the domain at
    hand. Its blocks are copied and frozen.

    Source: "Perceptual Losses for Real-Time Style Transfer and Super-Resolution" (ECCV 2016),
    equation 2, with the features of "Autoencoding beyond pixels using a learned similarity
    metric" (ICML 2016), section 3.1.

    Args:
        discriminator: A discriminator of images made of residual blocks.
    """

    magnitudes: Tensor
    batches: Tensor

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        blocks = [b for b in discriminator.children() if isinstance(b, ResidualBlock)]
        self.blocks = nn.ModuleList(copy.deepcopy(blocks)).requires_grad_(False)
        self.register_buffer("magnitudes", torch.zeros(len(blocks)))
        self.register_buffer("batches", torch.zeros(()))

    def features(self, images: Float[Tensor, "n c h w"]) -> Iterable[Tensor]:
        """Yields the map after each block, from fine to coarse."""
        for block in self.blocks:
            images = block(images)
            yield images

    def forward(
        self, fake: Float[Tensor, "n c h w"], real: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, ""]:
        """Returns the distance; in training the magnitudes follow the real images.

        Args:
            fake: Images in [-1, 1].
            real: What they should look like; gets no gradient.
        """
        with torch.no_grad():
            wanted = list(self.features(real))
            sizes = self._sizes(torch.stack([f.abs().mean() for f in wanted]))
        found = self.features(fake)
        apart = [(f - g).abs().mean() for f, g in zip(found, wanted, strict=True)]
        return (torch.stack(apart) / sizes).mean()

    def _sizes(self, seen: Float[Tensor, " k"]) -> Float[Tensor, " k"]:
        """The mean magnitude of each block's features: of all batches, later of recent ones."""
        if self.training:
            self.batches += 1
            share = (1 / self.batches).clamp(min=_DECAY)
            self.magnitudes.lerp_(process_mean(seen), share)
        return torch.where(self.batches > 0, self.magnitudes, seen)
