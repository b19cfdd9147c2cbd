"""The network that ArcFace recognises faces with.

Source: "ArcFace" (CVPR 2019), section 3.1; state-dict names are those of
eladrich/pixel2style2pixel `models/encoders/model_irse.py`, so that its weights fit.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.encoder.backbone import Backbone
from vgbench.nn.encoder.options import BackboneSize

_EMBEDDING = 512
_SIDE = 7  # of the last map, of faces of 112 pixels


class ArcFace(Backbone):
    """Unit vectors that are close to each other for images of the same person.

    Args:
        size: Widths and depths of the backbone.
    """

    def __init__(self, size: BackboneSize | None = None) -> None:
        super().__init__(size or BackboneSize())
        width = self.size.widths[-1]
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Dropout(0.6),
            nn.Flatten(),
            nn.Linear(width * _SIDE**2, _EMBEDDING),
            nn.BatchNorm1d(_EMBEDDING),
        )

    def forward(self, faces: Float[Tensor, "n c 112 112"]) -> Float[Tensor, "n e"]:
        """Returns the embeddings of faces in [-1, 1]."""
        return F.normalize(self.output_layer(self.body(self.input_layer(faces))), dim=1)
