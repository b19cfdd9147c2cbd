"""One of several processes that train small models together; see `test_distributed.py`."""

import os
import sys
from pathlib import Path

import torch

from vgbench.config.compose import compose
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder

# In double precision, where equal means equal: Adam makes a full step of any rounding of a
# gradient that is zero.
COMMON = [
    "dataset=shapes",
    "dataset.videos=40",
    "budget.batch_size=4",
    "budget.kclips=0.008",
    "budget.checkpoint_kclips=1",
    "trainer.accelerator=cpu",
    "trainer.precision=64-true",
]
# Every phase in every step, and all that couples the clips of a batch.
_STYLE = [
    "dataset.resolution=16",
    "model.preset=tiny",
    "model.z_dim=8",
    "model.w_dim=8",
    "model.channel_base=128",
    "model.channel_max=8",
    "model.mbstd_group_size=2",
    "model.r1_gamma=1",
    "model.r1_interval=1",
    "model.ema_kclips=0.01",
    "model.augment=ada",
    "model.augment_strength=0.5",
    "model.ada_interval=1",
]
_IMAGES = [*_STYLE, "model.pl_weight=2", "model.pl_interval=1", "model.style_mixing=0.9"]
_VIDEOS = [
    *_STYLE,
    "model.motion.z_dim=8",
    "model.motion.v_dim=8",
    "model.motion.frequencies=4",
    "dataset.resolution=32",
]
CASES = {
    "g3an": ["model=g3an", "model.channels=2", "model.ema_kclips=0.02"],
    "stylegan2-frames": ["model=stylegan2-frames", *_IMAGES, "model.use_noise=true"],
    "stylegan3-frames": ["model=stylegan3-frames", *_IMAGES],
    "styleganv": ["model=styleganv", *_VIDEOS],
    "stylesv": ["model=stylesv", *_VIDEOS, "model.fusion.low_rank=1"],
}


def train(name, path, devices, writes=True, words=(), resume=False):
    """Trains the model of a case, as one of `devices` processes."""
    words = [*COMMON, *CASES[name], f"trainer.devices={devices}", *words]
    config = compose(words, path.parent / "data")
    fit(config, RunFolder(path, writes), words, Listener(), resume)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        train(case, Path(sys.argv[1]) / case, 2, writes=os.environ["LOCAL_RANK"] == "0")
