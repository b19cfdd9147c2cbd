"""Whether two images show the same person, to a network that knows faces."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

# A face aligned as in FFHQ at 256x256, and the part and size of it that ArcFace is given.
_ALIGNED, _ROWS, _COLUMNS, _GIVEN = 256, slice(35, 223), slice(32, 220), 112


class IdentityDistance(nn.Module):
    """One minus the cosine of the embeddings of two faces.

    Source: "Encoding in Style" (pSp, CVPR 2021), equation 3; eladrich/pixel2style2pixel
    `criteria/id_loss.py`.

    Args:
        embed: Network from faces, 112 pixels wide and high, in [-1, 1], to embeddings; frozen.
    """

    def __init__(self, embed: nn.Module) -> None:
        super().__init__()
        self.embed = embed.requires_grad_(False)

    def train(self, mode: bool = True) -> "IdentityDistance":
        """Keeps the embedding in evaluation mode: it is not trained."""
        super().train(mode)
        self.embed.eval()
        return self

    def forward(
        self, fake: Float[Tensor, "n c h w"], real: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, ""]:
        """Returns the mean distance.

        Args:
            fake: Aligned faces in [-1, 1], of any size.
            real: Who they should show; gets no gradient.
        """
        with torch.no_grad():
            wanted = self._embedded(real)
        return (1 - F.cosine_similarity(self._embedded(fake), wanted, dim=1)).mean()

    def _embedded(self, images: Tensor) -> Float[Tensor, "n e"]:
        if images.shape[2] != _ALIGNED:
            images = F.adaptive_avg_pool2d(images, _ALIGNED)
        faces = F.adaptive_avg_pool2d(images[:, :, _ROWS, _COLUMNS], _GIVEN)
        embedded: Tensor = self.embed(faces)
        return embedded
