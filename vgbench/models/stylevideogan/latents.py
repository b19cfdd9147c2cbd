"""W+ latents: where they come from, their scale, and truncation."""

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.nn.noise import seeded_generator


@runtime_checkable
class LatentBackend(Protocol):
    """An image generator and its inversion, all that StyleVideoGAN knows of pictures.

    Attributes:
        num_ws: Style vectors per picture.
        w_dim: Numbers per style vector.
    """

    num_ws: int
    w_dim: int

    @property
    def w_avg(self) -> Float[Tensor, "l d"]:
        """The mean latent."""
        ...

    def synthesis(self, ws: Float[Tensor, "n l d"]) -> Float[Tensor, "n c h w"]:
        """Returns the pictures of latents, in [-1, 1]; noise inputs are constant."""
        ...

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n l d"]:
        """Returns the latents of pictures in [-1, 1]."""
        ...


class IdentityBackend(nn.Module):
    """A rotation of the coarsest cosine coefficients of a picture: nothing is trained.

    With it the temporal model can be studied alone. The latents of a picture that is its own
    reconstruction lose nothing; others are low-pass filtered.

    Args:
        channels: Colour channels.
        size: Rows and columns of the pictures.
        num_ws: Style vectors per picture.
        w_dim: Numbers per style vector.
        seed: Seed of the rotation.

    Raises:
        UsageError: If there are more latents than pixels.
    """

    basis: Tensor
    w_avg: Tensor

    def __init__(self, channels: int, size: int, num_ws: int, w_dim: int, seed: int = 0) -> None:
        super().__init__()
        self.num_ws, self.w_dim = num_ws, w_dim
        count, pixels = num_ws * w_dim, channels * size**2
        if count > pixels:
            raise UsageError(
                f"{num_ws} styles of {w_dim} numbers for {pixels} numbers of a picture: "
                f"expected {count} <= {pixels}; lower w_dim or num_ws"
            )
        noise = torch.randn(
            count, count, dtype=torch.float64, generator=seeded_generator(seed, "rotation")
        )
        rotation, _ = torch.linalg.qr(noise)
        basis = (rotation @ _coarse_cosines(channels, size, count)).float()
        self.register_buffer("basis", basis.view(num_ws, w_dim, channels, size, size))
        self.register_buffer("w_avg", torch.zeros(num_ws, w_dim))

    def synthesis(self, ws: Float[Tensor, "n l d"]) -> Float[Tensor, "n c h w"]:
        """Returns the pictures of latents, clamped to [-1, 1]."""
        images: Tensor = einsum(ws, self.basis, "n l d, l d c h w -> n c h w")
        return images.clamp(-1, 1)

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n l d"]:
        """Returns the latents of pictures."""
        ws: Tensor = einsum(images, self.basis, "n c h w, l d c h w -> n l d")
        return ws


def _coarse_cosines(channels: int, size: int, count: int) -> Float[Tensor, "n p"]:
    """Returns the `count` coarsest orthonormal cosines of a picture, colours taking turns."""
    frequency = torch.arange(size, dtype=torch.float64)
    waves = torch.cos(math.pi / size * (frequency + 0.5) * frequency[:, None])
    waves /= waves.norm(dim=1, keepdim=True)
    radius = frequency[:, None].square() + frequency.square()
    order = radius.flatten().argsort(stable=True)[: math.ceil(count / channels)]
    planes = einsum(waves[order // size], waves[order % size], "f h, f w -> f h w")
    colours = torch.eye(channels, dtype=torch.float64)
    return einsum(planes, colours, "f h w, a c -> f a c h w").flatten(0, 1)[:count].flatten(1)


class Moments(NamedTuple):
    """Mean and standard deviation of latents, per style vector and dimension."""

    mean: Float[Tensor, "l d"]
    std: Float[Tensor, "l d"]


def latent_moments(parts: Iterable[Float[Tensor, "_f l d"]]) -> Moments:
    """Returns the moments of the frames of all parts in one pass, summed in float64.

    Args:
        parts: Latents of some frames each, e.g. one array per video.

    Raises:
        UsageError: If there is no frame.
    """
    count, mean, scatter = 0, torch.zeros(()), torch.zeros(())
    for part in parts:
        frames = part.double()
        share = len(frames) / (count + len(frames))
        shift = frames.mean(dim=0) - mean
        scatter = scatter + (frames - frames.mean(dim=0)).square().sum(dim=0)
        scatter = scatter + count * share * shift.square()
        mean, count = mean + share * shift, count + len(frames)
    if not count:
        raise UsageError("no latents to take the mean of; expected at least one frame")
    return Moments(mean, (scatter / count).sqrt())


class LatentScale(nn.Module):
    """Standardises latents by dimension, and undoes it; the identity until it is fitted.

    Args:
        num_ws: Style vectors per frame.
        w_dim: Numbers per style vector.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, num_ws: int, w_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_ws, w_dim))
        self.register_buffer("std", torch.ones(num_ws, w_dim))

    def fit(self, moments: Moments) -> None:
        """Takes over the moments of the training set."""
        self.mean.copy_(moments.mean)
        self.std.copy_(moments.std + 1e-6)  # a dimension may be constant

    def standardize(self, ws: Float[Tensor, "... l d"]) -> Float[Tensor, "... l d"]:
        """Returns latents with mean 0 and spread 1 in every dimension."""
        return (ws - self.mean) / self.std

    def restore(self, latents: Float[Tensor, "... l d"]) -> Float[Tensor, "... l d"]:
        """Returns the W+ latents of standardised ones."""
        return latents * self.std + self.mean


def truncate(
    ws: Float[Tensor, "... l d"], center: Float[Tensor, "l d"], psi: float
) -> Float[Tensor, "... l d"]:
    """Returns latents moved towards `center`; `psi` 1 leaves them, 0 makes them the centre.

    Args:
        ws: W+ latents.
        center: Usually the image generator's `w_avg`.
        psi: Share of the distance to the centre that is kept.

    Source: StyleGAN (CVPR 2019), section 2.1 and appendix B.
    """
    return center + psi * (ws - center)
