"""StyleGAN-V and StyleSV as small as they get, for tests on 16x16 videos."""

import torch

from vgbench.models.base import Clips
from vgbench.models.checkpoint import build_model
from vgbench.models.stylegan_v.config import StyleGANVConfig
from vgbench.models.stylesv.config import StyleSVConfig
from vgbench.models.stylesv.options import MotionFusion
from vgbench.nn.motion_options import MotionConfig
from vgbench.types import VideoSpec

SPEC = VideoSpec(height=16, width=16)
MOTION = {"z_dim": 8, "v_dim": 8, "frequencies": 4, "kernel": 3, "max_period": 64}
WIDTHS = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 16, "merge_resolution": 8,
          "window": 64, "augment": "none"}  # fmt: skip


def small_styleganv(curve="linear", **options):
    motion = MotionConfig(**MOTION, curve=curve)
    return StyleGANVConfig(**{**WIDTHS, "flip": False, "motion": motion, **options})


def small_stylesv(curve="smooth", mask=1.0, **options):
    motion, fusion = MotionConfig(**MOTION, curve=curve), MotionFusion(mask_init=mask)
    own = {"num_layers": 3, "margin": 2, "motion": motion, "fusion": fusion}
    return StyleSVConfig(**{**WIDTHS, **own, **options})


SMALL = {"styleganv": small_styleganv, "stylesv": small_stylesv}


def built(name, seed=0, **options):
    return build_model(SMALL[name](**options), SPEC, seed)


def per_video(*indices, seed=0):
    return [torch.Generator().manual_seed(1000 * seed + i) for i in indices]


def real_clips(model, n=4, seed=0):
    """Noise that is as large as what the model trains on."""
    draw, frames = torch.Generator().manual_seed(seed), model.clips.frames
    video = torch.rand(n, 3, frames, 16, 16, generator=draw) * 2 - 1
    times = torch.rand(n, frames, generator=draw).argsort(dim=1).sort(dim=1).values * 3.0
    classes = model.config.c_dim
    labels = torch.arange(n) % classes if classes else torch.full((n,), -1)
    return Clips(video, times + torch.arange(float(n))[:, None], labels)


def trained(model, steps, optimizers=None):
    """Makes training steps on noise, as the trainer does."""
    model.train()
    optimizers = optimizers or model.configure_optimizers()
    for _ in range(steps):
        real = real_clips(model, seed=model.clips_seen)
        model.train_clips(real, optimizers)
        model.generator_ema.update(model.generator, 4, model.clips_seen)
        model.clips_seen += 4
    return optimizers
