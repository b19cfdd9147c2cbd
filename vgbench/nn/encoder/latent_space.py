"""The latent space of a frozen image generator: from styles to images and back."""

from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.nn.encoder.inversion import WEncoder, WPlusEncoder
from vgbench.nn.styled_generator import StyledGenerator


class LatentSpace(nn.Module):
    """An image generator that is not trained any more, and the encoder that inverts it.

    Noise inputs of the generator are constant, so that the frames of a video share them.

    Args:
        generator: The trained generator; frozen here.
        encoder: Encoder of images.

    Attributes:
        num_ws: Styles per image.
        w_dim: Numbers per style.
    """

    def __init__(self, generator: StyledGenerator, encoder: WEncoder | WPlusEncoder) -> None:
        super().__init__()
        self.generator = generator.eval().requires_grad_(False)
        self.encoder = encoder
        self.num_ws, self.w_dim = generator.num_ws, generator.mapping.w_avg.shape[0]

    @property
    def w_avg(self) -> Float[Tensor, "l d"]:
        """The mean style in every layer."""
        average: Tensor = repeat(self.generator.mapping.w_avg, "d -> l d", l=self.num_ws)
        return average

    def train(self, mode: bool = True) -> "LatentSpace":
        """Switches the encoder; the generator stays in evaluation mode."""
        super().train(mode)
        self.generator.eval()
        return self

    def synthesis(self, ws: Float[Tensor, "n l d"]) -> Float[Tensor, "n c h w"]:
        """Returns the images of styles, roughly in [-1, 1]."""
        images: Tensor = self.generator.synthesis(ws)
        return images

    def render(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        """Returns the images of styles that are the same in every layer."""
        return self.synthesis(repeat(w, "n d -> n l d", l=self.num_ws))

    def encode(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n l d"]:
        """Returns the styles of images in [-1, 1]; from a W encoder the same in every layer."""
        offset: Tensor = self.encoder(images)
        if offset.ndim == 2:
            offset = offset[:, None]
        return offset + self.w_avg
