"""StyleInV and what it starts from as small as they get, for tests on 32x32 videos."""

import numpy as np
import torch

from vgbench.data.draws import Draws
from vgbench.data.policies import choose
from vgbench.models.base import Clips
from vgbench.models.checkpoint import build_model
from vgbench.models.image_stage_config import ImageOptions
from vgbench.models.inversion.config import InversionConfig
from vgbench.models.inverter_config import InverterOptions
from vgbench.models.stylegan2.transfer_config import StyleTransferConfig
from vgbench.models.styleinv.config import StyleInVConfig
from vgbench.models.styleinv.options import (
    EncoderOptions,
    MotionOptions,
    SparseOptions,
    StyleOptions,
)
from vgbench.types import VideoSpec

SPEC = VideoSpec(height=32, width=32)
WIDTHS = {"z_dim": 16, "w_dim": 16, "channel_base": 128, "channel_max": 16}
IMAGE = ImageOptions(mapping_layers=1, mbstd_group_size=2, pl_weight=0.0, augment="none")
ENCODER = {"base_width": 16, "units": (1, 1, 1, 1)}
MOTION = {"z_dim": 8, "v_dim": 8, "distance": 4, "frequencies": 4, "kernel": 3, "min_period": 4}
SPARSE = {"clip": 16, "max_dist": 8}


def styleinv(**options):
    groups = {
        "encoder": EncoderOptions(**{**ENCODER, **options.pop("encoder", {})}),
        "motion": MotionOptions(**{**MOTION, **options.pop("motion", {})}),
        "sparse": SparseOptions(**{**SPARSE, **options.pop("sparse", {})}),
        "style": StyleOptions(dim=16),
    }
    own = {"image": IMAGE, "augment": "none", "mbstd_group_size": 2, "ema_kclips": 0.01}
    return StyleInVConfig(**{**WIDTHS, **own, **groups, **options})


def inversion(**options):
    encoder = InverterOptions(**{**ENCODER, "latent_space": options.pop("latent_space", "w")})
    return InversionConfig(**{**WIDTHS, "image": IMAGE, "encoder": encoder, "lr": 0.01, **options})


def transfer(**options):
    own = {"mapping_layers": 1, "mbstd_group_size": 2, "augment": "none", "finetune_from": 16}
    return StyleTransferConfig(**{**WIDTHS, **own, "ema_kclips": 0.01, **options})


def built(config, seed=0):
    return build_model(config, SPEC, seed)


def image_gan(seed=0):
    return built(styleinv().stages()[0].config, seed)


def per_video(*indices, seed=0):
    return [torch.Generator().manual_seed(1000 * seed + i) for i in indices]


def real_clips(model, n=2, seed=0):
    """Noise at times as the sampling policy draws them."""
    policy, draw = model.clips.policy, torch.Generator().manual_seed(seed)
    video = torch.rand(n, 3, policy.frames, 32, 32, generator=draw) * 2 - 1
    positions = np.arange(n, dtype=np.uint64) + np.uint64(100 * seed)
    times = choose(policy, np.full(n, policy.min_frames), Draws(positions)).times
    return Clips(video, torch.from_numpy(times), torch.full((n,), -1))


def trained(model, steps, optimizers=None):
    """Makes training steps on noise, as the trainer does; returns optimisers and last scalars."""
    model.train()
    optimizers = optimizers or model.configure_optimizers()
    for _ in range(steps):
        real = real_clips(model, seed=model.clips_seen)
        scalars = model.train_clips(real, optimizers)
        if model.generator_ema is not None:
            model.generator_ema.update(model.generator, 2, model.clips_seen)
        model.clips_seen += 2
    return optimizers, scalars


def copied(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def unchanged(network, before):
    after = network.state_dict()
    return after.keys() == before.keys() and all(torch.equal(after[k], before[k]) for k in before)


def resumed(config, steps):
    """Returns a model after some steps in one go, and one that was saved and loaded in between."""
    whole, first, second = (built(config) for _ in range(3))
    trained(whole, steps)
    optimizers, _ = trained(first, steps - 1)
    second.load_state_dict(first.state_dict())
    second.clips_seen = first.clips_seen
    others = second.configure_optimizers()
    for mine, old in zip(others, optimizers, strict=True):
        mine.load_state_dict(old.state_dict())
    trained(second, 1, others)
    return whole, second
