"""Files `styleinv_sg2_*`: StyleGAN2's image networks."""

import math

import numpy as np
import torch

from tests.parity.made.files import rounded, save
from tests.parity.made.style_discriminators import labels
from tests.parity.made.style_networks import (
    Weights,
    image_discriminator,
    mapping,
    synthesis2,
    truncated,
)


def make(seed, res, z, w, layers, base, most, c_dim=0, clamp=None, n=4, group=2):
    """Returns arrays and meta of one file."""
    rng = np.random.default_rng(seed)
    sizes = {"c_dim": c_dim, "img_resolution": res, "img_channels": 3}
    sizes |= {"channel_base": base, "channel_max": most, "conv_clamp": clamp}
    of_g = sizes | {"z_dim": z, "w_dim": w, "mapping_num_layers": layers, "use_noise": True}
    of_d = sizes | {"mbstd_group_size": group, "mapping_num_layers": 3}
    num_ws = 2 * int(math.log2(res)) - 2

    def normal(*shape):
        return torch.from_numpy(rng.standard_normal(shape)).float().double()

    given = {"z": normal(n, z), "x": normal(n, 3, res, res), "wmix": normal(n, num_ws, w)}
    given["pl_noise"] = (normal(n, 3, res, res) / res).float().double()
    c = labels(rng, n, c_dim)
    g, d = Weights(rng=rng), Weights(rng=rng)
    styles = mapping(g.under("mapping"), given["z"], c, w, layers)
    out = {"ws": styles, "ws_trunc07": truncated(g.under("mapping"), styles, 0.7)}
    shape = (min(base // 4, most), 4, 4)

    def images(ws, noise):
        def start(block):
            return block("const", *shape).expand(n, -1, -1, -1)

        size = (res, base, most, clamp)
        return synthesis2(g.under("synthesis"), start, lambda i: ws[:, i], size, noise)

    ws = styles[:, None].expand(-1, num_ws, -1).detach().requires_grad_()
    out["img_const"], out["img_none"] = images(ws, True), images(ws, False)
    out["img_mix_none"] = images(given["wmix"], False)
    moved = (out["img_none"] * given["pl_noise"]).sum()
    (slope,) = torch.autograd.grad(moved, ws, retain_graph=True)
    out["pl_lengths"] = slope.square().sum(2).mean(1).sqrt()
    shown = {"x": given["x"].requires_grad_(), "img_const": out["img_const"].float().double()}
    for name, x in shown.items():
        logits = image_discriminator(d, x, c, base, most, 3, group, clamp)
        out[f"logits_{name}"] = logits[:, None]
        if name == "x":
            (slope,) = torch.autograd.grad(logits.sum(), x)
            out["r1_penalty"] = slope.square().reshape(n, -1).sum(1)
    given |= {"c": c} if c_dim else {}
    entries = {"in": given, "out": out, "sd/G.": g.state, "sd/D.": d.state}
    return rounded("", entries), {"cls": "", "G": of_g, "D": of_d, "note": ""}


def write(folder, small):
    """Writes the files."""
    save(folder / "styleinv_sg2_small.npz", *make(31, 16, 10, 12, 2, 96, 9, c_dim=3))
    if not small:
        save(folder / "styleinv_sg2_wide.npz", *make(32, 64, 24, 20, 5, 640, 20, clamp=256.0))
