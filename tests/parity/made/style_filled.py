"""Files `stylesv_full256_*`: networks whose weights follow from their names; smaller ones here."""

import zlib

import numpy as np
import torch

from tests.parity.made.files import rounded, save
from tests.parity.made.style_discriminators import options as discriminator
from tests.parity.made.style_discriminators import times
from tests.parity.made.style_meta import discriminator_options, generator_options
from tests.parity.made.style_motion import stylesv
from tests.parity.made.style_networks import Weights, video_discriminator
from tests.parity.made.style_videos import config, generator_meta, moments, noise_length

SALT = 7
WORD = 2**64


def mixed(x):
    """Returns the scrambled 64-bit integer (README of the parity files)."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % WORD
    return x ^ (x >> 31)


def filled(key, shape, scale=1.0, offset=0.0):
    """Returns the numbers of a key, one after another."""
    start = zlib.crc32(f"{SALT}:{key}".encode()) << 32
    count = int(np.prod(shape))
    unit = np.array([(mixed(start + i) >> 40) / 2**24 for i in range(count)])
    values = (unit - 0.5) * 2 * np.sqrt(3) * scale + offset
    return torch.from_numpy(values.reshape(shape)).float().double()


class FilledWeights(Weights):
    """Weights that follow from their names.

    Attributes:
        table: Shape, scale and offset of each.
        stored: Names of those that do not follow from theirs.
    """

    def __init__(self, state=None, rng=None, prefix="", root=None):
        super().__init__(state, rng, prefix, root)
        if self.root is self:
            self.table, self.stored = {}, []

    def __call__(self, name, *shape, mean=0.0, std=1.0):
        """Returns a parameter."""
        full = self.prefix + name
        if np.ndim(mean):
            if full not in self.root.stored:
                self.root.stored.append(full)
        elif full not in self.root.state:
            self.root.table[full] = [list(shape), std, mean]
            self.root.state[full] = filled(full, shape, std, mean)
        return super().__call__(name, *shape, mean=mean, std=std)

    def buffer(self, name, shape, draw):
        """Returns a buffer; running averages keep what their constructor gave them."""
        fixed = {"w_avg": torch.zeros, "magnitude_ema": torch.ones}
        if name not in fixed and self.prefix + name not in self.root.stored:
            self.root.stored.append(self.prefix + name)
        return super().buffer(name, shape, lambda: fixed[name](shape) if name in fixed else draw())


def described(p, extra):
    """Returns the recorded options of a network."""
    count = sum(p.state[name].numel() for name in p.learned)
    return extra | {"fill_table": p.table, "n_params": count, "state_keys": list(p.state)}


def make(seed):
    """Returns arrays and meta of one file with a generator and a discriminator."""
    rng = np.random.default_rng(seed)
    cfg = config(bspline=True, low_rank=1, learnable_motion_mask=True)
    sizes = {"num_layers": 5}
    meta = generator_meta(cfg, 16, sizes)
    t = moments(rng, 2, 2, 30.0)
    length = noise_length(cfg, True, t)
    noise = filled("g:motion_z", (2, length, cfg["motion"]["z_dim"]))
    p, empty = FilledWeights(rng=rng), torch.zeros(2, 0).double()
    z = filled("g:z", (2, cfg["z_dim"]))
    x, ws, v, _ = stylesv(p, z, t, empty, noise, 1.0, 16, generator_options(meta, True))
    out = {"w": ws, "motion_v": v, "img_stride4": x[:, :, 1::4, 2::4]}
    out["img_stats"] = torch.stack([x.mean(), x.std(), x.abs().max()])
    state = {name: p.state[name] for name in p.stored}
    arrays = rounded("g", {"in": {"t": t}, "out": out, "state": state})
    keys = {"z_key": "g:z", "motion_z_key": "g:motion_z", "traj_len": length}
    keys |= {"synthesis_kwargs": meta["synthesis_kwargs"], "cfg": cfg}
    record = {"salt": SALT, "g": described(p, keys)}

    chosen = discriminator(16, 3, tsm=True, tmean=True, conv_clamp=64.0)
    t, p = times(rng, 2, 3, 90), FilledWeights(rng=rng)
    images = filled("d:img", (6, 3, 16, 16), 0.4)
    logits = video_discriminator(p, images, t, None, discriminator_options(chosen))
    arrays |= rounded("d", {"in": {"t": t}, "out": {"image_logits": logits}})
    names = ("cfg", "channel_base", "channel_max", "conv_clamp", "mbstd_group_size")
    keys = {name: chosen[name] for name in names}
    record["d"] = described(p, keys | {"img_key": "d:img", "img_scale": 0.4, "num_fp16_res": 0})
    return arrays, record


def write(folder, small):
    """Writes one file."""
    save(folder / "stylesv_full256_small.npz", *make(51))
