"""Rendering styles with an image generator that was finetuned from another."""

from einops import repeat
from jaxtyping import Float
from torch import Tensor, nn

from vgbench.models.image_stage import finetuned
from vgbench.models.styleinv.generator import Render
from vgbench.nn.encoder.latent_space import LatentSpace


def renderer(space: LatentSpace, style: nn.Module) -> Render:
    """Returns how another image generator renders the styles of a latent space.

    Args:
        space: The styles and their own generator.
        style: The other generator.

    Raises:
        CheckpointError: If its styles are others: it was not finetuned from that generator.
    """
    network = finetuned(space, style)

    def render(w: Float[Tensor, "n d"]) -> Float[Tensor, "n c h w"]:
        images: Tensor = network.synthesis(repeat(w, "n d -> n l d", l=network.num_ws))
        return images

    return render
