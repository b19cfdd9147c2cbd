"""The model `ripple`: a generator and a discriminator of 3-D convolutions."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ripple.config import RippleConfig
from vgbench.errors import UsageError
from vgbench.losses.adversarial import logistic_d_loss, logistic_g_loss
from vgbench.losses.regularizers import r1_penalty
from vgbench.models.base import Clips, VideoGAN
from vgbench.nn.ema import WeightAverage
from vgbench.nn.noise import GeneratorLike, normal
from vgbench.sampling import Contiguous
from vgbench.types import SampleRequest, VideoSpec

FRAMES = 16


class Ripple(VideoGAN):
    """Draws clips of 16 frames whose sides are a power of two, from 16 pixels on."""

    config: RippleConfig
    max_frames = FRAMES

    def __init__(self, config: RippleConfig, spec: VideoSpec, seed: int = 0) -> None:
        super().__init__(config, spec, seed)
        size = spec.height
        if size != spec.width or size < 16 or size & (size - 1):
            raise UsageError(f"ripple: no networks for {size}x{spec.width}; try 16x16, 32x32, ...")
        with self.seeded_init():
            self.generator = Generator(config, spec)
            self.discriminator = discriminator(config, spec)
        self.generator_ema = WeightAverage(self.generator, config.ema_kclips)

    @property
    def clips(self) -> SampleRequest:
        """Sixteen consecutive frames."""
        return SampleRequest(Contiguous(FRAMES))

    def configure_optimizers(self) -> list[Optimizer]:
        """Returns Adam for the discriminator and for the generator."""
        networks = (self.discriminator, self.generator)
        return [Adam(net.parameters(), lr=self.config.lr, betas=(0.0, 0.99)) for net in networks]

    def train_clips(self, real: Clips, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
        """Makes a step of the discriminator, then one of the generator."""
        n = len(real.video)
        z = normal(n, (self.config.z_dim,), self.clip_generators("latent", n), self.device)
        fake = self.generator(z)
        video = real.video.detach().requires_grad_()
        logits = self.discriminator(video)
        d_loss = logistic_d_loss(logits, self.discriminator(fake.detach()))
        slope = r1_penalty(video, logits).mean() / FRAMES
        loss = d_loss + self.config.r1_gamma / 2 * slope
        self.descend(loss, optimizers[0], "discriminator")
        g_loss = logistic_g_loss(self.discriminator(fake))
        self.descend(g_loss, optimizers[1], "generator")
        return {"d": d_loss.detach(), "g": g_loss.detach()}

    def draw(self, n: int, frames: int, generator: GeneratorLike) -> Float[Tensor, "n c t h w"]:
        """Returns the first frames of `n` clips."""
        z = normal(n, (self.config.z_dim,), generator, self.device)
        return self.sampler(z)[:, :, :frames]


class Generator(nn.Module):
    """A latent code, a block of 4x4x4, and blocks that double the sides, time up to 16."""

    def __init__(self, config: RippleConfig, spec: VideoSpec) -> None:
        super().__init__()
        width = 4 * config.channels
        self.start = nn.Linear(config.z_dim, width * 4**3)
        layers: list[nn.Module] = []
        side = 4
        while side < spec.height:
            scale = (2 if side < FRAMES else 1, 2, 2)
            narrower = max(config.channels, width // 2)
            convolution = nn.Conv3d(width, narrower, 3, padding=1)
            layers += [nn.Upsample(scale_factor=scale), convolution, nn.LeakyReLU(0.2)]
            width, side = narrower, 2 * side
        self.blocks = nn.Sequential(*layers, nn.Conv3d(width, spec.channels, 3, padding=1))

    def forward(self, z: Float[Tensor, "b d"]) -> Float[Tensor, "b c t h w"]:
        """Returns clips in [-1, 1]."""
        start = rearrange(self.start(z), "b (c t h w) -> b c t h w", t=4, h=4, w=4)
        return torch.tanh(self.blocks(start))


def discriminator(config: RippleConfig, spec: VideoSpec) -> nn.Module:
    """Returns strided convolutions down to 4x4 pixels, and one logit per clip."""
    layers: list[nn.Module] = []
    side, width = spec.height, spec.channels
    frames, wider = FRAMES, config.channels
    while side > 4:
        stride = (2 if frames > 4 else 1, 2, 2)
        layers += [nn.Conv3d(width, wider, 3, stride, padding=1), nn.LeakyReLU(0.2)]
        width, wider = wider, min(2 * wider, 4 * config.channels)
        side, frames = side // 2, max(4, frames // 2)
    logit = nn.Linear(width * frames * side**2, 1)
    return nn.Sequential(*layers, nn.Flatten(), logit, nn.Flatten(0))
