"""What makes pictures of StyleVideoGAN's latents and latents of pictures, by name."""

from vgbench.errors import UsageError
from vgbench.models.checkpoint import build_model
from vgbench.models.stylevideogan.config import StyleVideoGANConfig
from vgbench.models.stylevideogan.latents import IdentityBackend
from vgbench.nn.encoder.latent_space import LatentSpace
from vgbench.types import VideoSpec

Backend = IdentityBackend | LatentSpace


def build_backend(config: StyleVideoGANConfig, spec: VideoSpec, seed: int) -> Backend:
    """Returns the backend that the options name; the weights of stages are still to come.

    Args:
        config: The options.
        spec: The videos.
        seed: Seed of untrained weights.

    Raises:
        UsageError: If there are no such pictures.
    """
    if spec.height != spec.width:
        raise UsageError(f"StyleVideoGAN needs square videos, got {spec.height}x{spec.width}")
    if config.backend == "identity":
        own = config.identity
        return IdentityBackend(spec.channels, spec.height, own.num_ws, own.w_dim, own.seed)
    *_, inversion = config.stages()
    space = build_model(inversion.config, spec, seed).generator
    assert isinstance(space, LatentSpace)
    return space
