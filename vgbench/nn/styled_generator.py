"""What generators with a mapping network have in common."""

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor, nn

from vgbench.nn.mapping import MappingNetwork


class StyledGenerator(nn.Module):
    """A mapping network and a synthesis network that takes a style per layer.

    Source: "A Style-Based Generator Architecture for Generative Adversarial Networks" (CVPR 2019).

    Args:
        synthesis: Network of the styles.
        mapping: Mapping network.
        num_ws: Styles that `synthesis` takes.
    """

    def __init__(self, synthesis: nn.Module, mapping: MappingNetwork, num_ws: int) -> None:
        super().__init__()
        self.num_ws = num_ws
        self.synthesis, self.mapping = synthesis, mapping

    def styles(
        self,
        z: Float[Tensor, "b z"],
        c: Float[Tensor, "b k"] | None = None,
        truncation_psi: float = 1.0,
        update_emas: bool = False,
    ) -> Float[Tensor, "b l d"]:
        """Returns the style of each latent, repeated for every layer.

        Args:
            z: Latents, standard normal.
            c: Labels; looked at only by a network that has them.
            truncation_psi: 1 for the full variety, less for more typical styles.
            update_emas: Whether the mean style takes these into account.
        """
        w = self.mapping(z, c)
        if update_emas:
            self.mapping.update_average(w)
        if truncation_psi != 1:
            w = self.mapping.w_avg.lerp(w, truncation_psi)
        ws: Tensor = repeat(w, "b d -> b l d", l=self.num_ws)
        return ws


def mixed(
    ws: Float[Tensor, "n l d"], others: Float[Tensor, "n l d"], cuts: Int[Tensor, " n"]
) -> Float[Tensor, "n l d"]:
    """Returns styles of which each sample's layers from its cut on are those of `others`.

    Source: "A Style-Based Generator Architecture for Generative Adversarial Networks" (CVPR
    2019), section 3.1 (style mixing).
    """
    layers = torch.arange(ws.shape[1], device=ws.device)
    return torch.where((layers < cuts[:, None])[..., None], ws, others)
