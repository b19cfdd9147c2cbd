"""A small method with stages: it learns colours for the videos of a frozen G3AN."""

import torch
from torch import nn

from tests.staged.config import ColouredConfig
from vgbench.errors import CheckpointError
from vgbench.losses.adversarial import logistic_d_loss, logistic_g_loss
from vgbench.models.base import VideoGAN
from vgbench.models.g3an.generator import Generator
from vgbench.models.g3an.module import motion_steps
from vgbench.nn.noise import normal


class ColourLayer(nn.Module):
    """A small network on the colour of each pixel, added to it."""

    def __init__(self, options):
        super().__init__()
        self.strength = options.strength
        self.inner = nn.Conv3d(3, options.width, 1)
        self.outer = nn.Conv3d(options.width, 3, 1)

    def forward(self, video):
        change = torch.tanh(self.outer(torch.tanh(self.inner(video))))
        return (1 - self.strength) * video + self.strength * change


class ColouredGenerator(nn.Module):
    """A generator whose weights stay, and colour layers of which the last one learns."""

    def __init__(self, config, spec):
        super().__init__()
        self.base = Generator(config.base, spec)
        self.colours = nn.Sequential(*(ColourLayer(config.colour) for _ in range(config.layers)))

    def forward(self, za, zm):
        with torch.no_grad():
            video = self.colours[:-1](self.base(za, zm))
        return self.colours[-1:](video)


class Coloured(VideoGAN):
    """Colour layers against a small video discriminator."""

    config: ColouredConfig

    def __init__(self, config, spec, seed=0):
        super().__init__(config, spec, seed)
        with self.seeded_init():
            self.generator = ColouredGenerator(config, spec)
            self.discriminator = nn.Sequential(
                nn.Conv3d(3, 4, 4, stride=4),
                nn.LeakyReLU(0.2),
                nn.Flatten(),
                nn.LazyLinear(1),
                nn.Flatten(0),
            )
            self.discriminator(torch.zeros(1, 3, 16, spec.height, spec.width))
        self.generator.base.requires_grad_(False).eval()

    @property
    def clips(self):
        return self.config.clips

    def configure_optimizers(self):
        trained = (self.discriminator, self.generator.colours[-1])
        return [torch.optim.Adam(n.parameters(), self.config.lr, (0.0, 0.9)) for n in trained]

    def train_clips(self, real, optimizers):
        of_d, of_g = optimizers
        self.generator.base.eval()
        n = len(real.video)
        fake = self._video(n, 16, self.clip_generators("latent", n), self.generator)
        d = logistic_d_loss(self.discriminator(real.video), self.discriminator(fake.detach()))
        self.descend(d, of_d, "discriminator")
        g = logistic_g_loss(self.discriminator(fake))
        self.descend(g, of_g, "generator")
        return {"d": d.detach(), "g": g.detach()}

    def draw(self, n, frames, generator):
        return self._video(n, frames, generator, self.sampler)[:, :, :frames]

    def _video(self, n, frames, generator, network):
        base = self.config.base
        za = normal(n, (base.appearance_dim,), generator, self.device)
        zm = normal(n, (motion_steps(frames), base.motion_dim), generator, self.device)
        return network(za, zm)

    def start_from(self, stage, weights):
        own = {k.removeprefix("generator."): v for k, v in weights.items() if "generator." in k}
        try:
            if stage == "base":
                self.generator.base.load_state_dict(own)
            else:
                below = self.generator.state_dict() | own
                self.generator.load_state_dict(below)
        except RuntimeError as error:
            raise CheckpointError(f"the stage '{stage}' does not fit: {error}") from error
