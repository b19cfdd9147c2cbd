"""Building the inversion encoder."""

from vgbench.models.inverter_config import InverterOptions
from vgbench.nn.encoder.inversion import WEncoder, WPlusEncoder


def build_encoder(
    options: InverterOptions, resolution: int, num_ws: int, w_dim: int, img_channels: int = 3
) -> WEncoder | WPlusEncoder:
    """Returns the encoder that the options ask for.

    Args:
        options: Which one.
        resolution: Width and height of the images, a power of two, at least 16.
        num_ws: Styles that the generator takes.
        w_dim: Numbers per style.
        img_channels: Colour channels.
    """
    if options.latent_space == "w":
        return WEncoder(options.backbone, w_dim, img_channels, options.resolution)
    size = options.resolution or resolution
    return WPlusEncoder(options.backbone, size, num_ws, w_dim, img_channels)
