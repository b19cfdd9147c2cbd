"""What StyleInV's generator is trained on.

Source: StyleInV (ICCV 2023), section 3; johannwyh/StyleInV `training/loss_styleinv.py`.
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vgbench.losses.adversarial import logistic_g_loss
from vgbench.models.styleinv.generator import Rollout
from vgbench.models.styleinv.options import LossOptions


class GeneratorLosses(NamedTuple):
    """Losses of a batch, times their weights.

    Attributes:
        adversarial: How sure the discriminator is.
        recon: How far frame 0 is from the image that the video starts from.
        w_reg: How far the styles of frames are from the first.
    """

    adversarial: Float[Tensor, ""]
    recon: Float[Tensor, ""]
    w_reg: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """Their sum."""
        return self.adversarial + self.recon + self.w_reg


def generator_losses(
    rollout: Rollout, logits: Float[Tensor, " b"], options: LossOptions
) -> GeneratorLosses:
    """Returns the losses of generated videos whose first frame is at time 0.

    Args:
        rollout: The videos.
        logits: The discriminator's for what it was shown of them.
        options: Weights.
    """
    adversarial = options.adversarial * logistic_g_loss(logits)
    if options.recon_space == "image":
        apart = F.mse_loss(rollout.video[:, :, 0], rollout.x0)
    else:
        apart = F.mse_loss(rollout.w[:, 0], rollout.w0)
    moved = (rollout.w - rollout.w0[:, None]).norm(dim=2).mean()
    return GeneratorLosses(adversarial, options.recon * apart, options.w_reg * moved)
