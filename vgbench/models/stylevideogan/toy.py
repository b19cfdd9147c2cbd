"""Latents whose motion never repeats, with which the temporal model is studied in seconds."""

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from vgbench.models.stylevideogan.latents import latent_moments
from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions, TrainingOptions
from vgbench.models.stylevideogan.training import Noise, TemporalGAN, draw_noise
from vgbench.nn.noise import seeded_generator

NUM_WS, W_DIM = 4, 16
_BATCH = 32
_NUMBERS = 4  # that move, of each frame
_CLIPS = 1000
_POLE = 0.8
_SETTLING = 40  # frames before the first one, after which the start is forgotten


def trajectories(n: int, frames: int, source: torch.Generator) -> Float[Tensor, "n t d"]:
    """Returns smooth random motion of four numbers, each of mean 0 and spread 0.8.

    Second-order autoregressive: a speed with a memory of some frames, pushed by noise in every
    frame, moves a place that drifts back to 0.

    Args:
        n: Number of trajectories.
        frames: Frames of each.
        source: Source of the noise.
    """
    noise = torch.randn((frames + _SETTLING, n, _NUMBERS), generator=source)
    speed = place = torch.zeros(n, _NUMBERS)
    places = []
    for push in noise:
        speed = _POLE * speed + push
        place = _POLE * place + speed
        places.append(place)
    variance = (1 + _POLE**2) / (1 - _POLE**2) ** 3
    return torch.stack(places[_SETTLING:], dim=1) * (0.8 / math.sqrt(variance))


def toy_latents(n: int, frames: int, source: torch.Generator) -> Float[Tensor, "n t l d"]:
    """Returns W+ latents that are a linear map, always the same, of such trajectories.

    Args:
        n: Number of videos.
        frames: Frames of each.
        source: Source of the motion.
    """
    size = (_NUMBERS, NUM_WS * W_DIM)
    embedding = 0.5 * torch.randn(size, generator=seeded_generator(0, "toy embedding"))
    flat = 1 + trajectories(n, frames, source) @ embedding
    ws: Tensor = rearrange(flat, "n t (l d) -> n t l d", l=NUM_WS)
    return ws


def trained_on_toy(options: TrainingOptions, turns: int, seed: int = 0) -> TemporalGAN:
    """Returns networks trained on 1000 clips of toy latents, in eval mode.

    Args:
        options: Options of training.
        turns: Steps of the generator.
        seed: Seed of the first weights, the noise and the order of the clips; the clips are
            always the same.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        critic = CriticOptions(embed_widths=(64,))
        gan = TemporalGAN.build(NUM_WS, W_DIM, GeneratorOptions(), critic, options)
    clips = toy_latents(_CLIPS, options.frames, seeded_generator(0, "toy clips"))
    gan.generator.fit_scale(latent_moments([clips.flatten(0, 1)]))
    optimizers = gan.configure_optimizers()
    for step in range(options.critic_steps * turns):
        _train(gan, clips, step, optimizers, seed)
    for network in (gan.generator, gan.critic, gan.angle):
        network.eval()
    return gan


def _train(
    gan: TemporalGAN,
    clips: Float[Tensor, "n t l d"],
    step: int,
    optimizers: Sequence[Optimizer],
    seed: int,
) -> None:
    def noise(name: str) -> Noise:
        source = seeded_generator(seed, name, step)
        sizes = (_BATCH, clips.shape[1], gan.generator.options.z_dim)
        return draw_noise(*sizes, source, clips.device)

    order = seeded_generator(seed, "toy batch", step)
    real = clips[torch.randint(len(clips), (_BATCH,), generator=order)]
    gan.train_clips(real, step, noise, optimizers, _descend)


def _descend(loss: Tensor, optimizer: Optimizer, name: str) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
