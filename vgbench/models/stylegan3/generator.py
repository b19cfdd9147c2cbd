"""The image generator of StyleGAN3.

Source: "Alias-Free Generative Adversarial Networks" (StyleGAN3, NeurIPS 2021); state-dict names
are those of NVlabs/stylegan3 `training/networks_stylegan3.py`.
"""

from jaxtyping import Float
from torch import Tensor

from vgbench.nn.mapping import MappingNetwork
from vgbench.nn.styled_generator import StyledGenerator
from vgbench.nn.stylegan3.options import LayerSchedule
from vgbench.nn.stylegan3.synthesis import ImageSynthesis

# Share of the old average in each update of the mean style (StyleGAN3).
_W_AVG_BETA = 0.998


class Generator(StyledGenerator):
    """Images from latents.

    Args:
        schedule: Sizes and frequencies.
        z_dim: Numbers per latent.
        c_dim: Numbers of the label; 0 for none.
        w_dim: Numbers per style.
        mapping_layers: Layers of the mapping network.
    """

    def __init__(
        self,
        schedule: LayerSchedule,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 2,
    ) -> None:
        mapping = MappingNetwork(z_dim, c_dim, w_dim, mapping_layers, w_avg_beta=_W_AVG_BETA)
        super().__init__(ImageSynthesis(schedule, w_dim), mapping, schedule.num_ws)

    def forward(
        self,
        z: Float[Tensor, "n z"],
        c: Float[Tensor, "n k"] | None = None,
        truncation_psi: float = 1.0,
        update_emas: bool = False,
    ) -> Float[Tensor, "n c h w"]:
        """Returns images, roughly in [-1, 1].

        Args:
            z: Latents, standard normal.
            c: Labels; looked at only by a network that has them.
            truncation_psi: 1 for the full variety, less for more typical images.
            update_emas: Whether mean style and running magnitudes take this batch into account.
        """
        ws = self.styles(z, c, truncation_psi, update_emas)
        images: Tensor = self.synthesis(ws, update_emas)
        return images
