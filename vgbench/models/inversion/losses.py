"""What the inversion encoder is trained on.

Source: "Encoding in Style" (pSp, CVPR 2021), section 3.2; latent regression as in "In-Domain GAN
Inversion" (ECCV 2020), equation 1.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.errors import UsageError
from vgbench.models.inverter_config import InversionLossOptions
from vgbench.nn.encoder.latent_space import LatentSpace


@dataclass(frozen=True)
class InversionLosses:
    """Losses of a batch, times their weights.

    Attributes:
        parts: Each loss in use by its name.
    """

    parts: dict[str, Tensor]

    @property
    def total(self) -> Float[Tensor, ""]:
        """Their sum."""
        return torch.stack(list(self.parts.values())).sum()


class InversionObjective(nn.Module):
    """How far images are from their inversions, and known styles from what is read of them.

    Args:
        options: Weights.
        perceptual: Distance of two images in look, e.g. `DiscriminatorDistance`.
        identity: Distance of two faces, e.g. `IdentityDistance`.
    """

    def __init__(
        self,
        options: InversionLossOptions,
        perceptual: nn.Module | None = None,
        identity: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.perceptual, self.identity = perceptual, identity

    def forward(
        self,
        space: LatentSpace,
        real: Float[Tensor, "n c h w"],
        known: Float[Tensor, "m d"] | None = None,
    ) -> InversionLosses:
        """Returns the losses of a batch.

        Args:
            space: The generator and the encoder in training.
            real: Images in [-1, 1].
            known: Styles of random latents, whose generated images the encoder is to read; needed
                for `latent_reg`.

        Raises:
            UsageError: If `latent_reg` is in use and there are no such styles, or there is no
                network for a loss in use.
        """
        weights, images = self.options.active, real
        if "latent_reg" in weights:
            if known is None:
                raise UsageError("loss.latent_reg needs styles whose images are generated")
            # One batch, so that batch normalisation sees both kinds of images.
            images = torch.cat([real, space.render(known)])
        ws = space.encode(images)
        parts = self._rebuilt(space, real, ws[: len(real)])
        if known is not None and "latent_reg" in weights:
            read = ws[len(real) :]
            parts["latent_reg"] = F.mse_loss(read, known[:, None].expand_as(read))
        return InversionLosses({name: weights[name] * part for name, part in parts.items()})

    def _rebuilt(self, space: LatentSpace, real: Tensor, ws: Tensor) -> dict[str, Tensor]:
        """The losses of real images that are in use."""
        weights, parts = self.options.active, {}
        if set(weights) & {"mse", "perceptual", "identity"}:
            fake = space.synthesis(ws)
        if "mse" in weights:
            parts["mse"] = F.mse_loss(fake, real)
        for name, network in (("perceptual", self.perceptual), ("identity", self.identity)):
            if name in weights:
                if network is None:
                    raise UsageError(f"loss.{name}={weights[name]:g} was given no network")
                parts[name] = network(fake, real)
        if "w_norm" in weights:
            parts["w_norm"] = (ws - space.w_avg).flatten(1).norm(dim=1).mean()
        return parts


def latent_roughness(ws: Float[Tensor, "b t l d"]) -> Float[Tensor, ""]:
    """Returns how far the styles of neighbouring frames are apart, on average.

    An encoder that jitters makes a video's styles rough; a model of motion learns that jitter.

    Args:
        ws: Styles of consecutive frames.
    """
    steps: Tensor = ws.diff(dim=1).flatten(2).norm(dim=2)
    return steps.mean()
