"""Files `stylesv_motion_*`, `stylesv_G_*` and `stylesv_sgv_G_*`: motion codes and generators."""

import math

import numpy as np
import torch

from tests.parity.made.files import rounded, save
from tests.parity.made.style_discriminators import labels
from tests.parity.made.style_meta import generator_options, motion_options
from tests.parity.made.style_motion import frequencies, motion, stylegan_v, stylesv
from tests.parity.made.style_networks import Weights

LARGE = 1200  # parameters from this size on have no gradient recorded


def config(**changed):
    """Returns the recorded options of a generator and its motion encoder."""
    m = {"z_dim": 6, "v_dim": 10, "motion_z_distance": 8, "gen_strategy": "conv"}
    m |= {"kernel_size": 3, "fourier": True}
    time = {"cond_type": "concat_const", "dim": 5, "min_period_len": 8, "max_period_len": 100}
    cfg = {"use_noise": False, "c_dim": 0, "input": {"type": "temporal"}, "w_dim": 12, "z_dim": 9}
    cfg |= {"fuse_w": "concat", "bspline": False, "bs_emb": False, "low_rank": -1}
    cfg |= {"learnable_motion_mask": False, "init_motion_mask": "ones"}
    cfg["sampling"] = {"type": "random", "max_num_frames": 40}
    for name, value in changed.items():
        place = m if name in m else time if name in time else cfg
        place[name] = value
    return cfg | {"motion": m, "time_enc": time}


MOTIONS = {
    "spline_k7": config(bspline=True, kernel_size=7, motion_z_distance=5),
    "spline_blend_labels": config(bspline=True, bs_emb=True, c_dim=3, min_period_len=3),
    "spline_plain": config(bspline=True, fourier=False, z_dim=8, v_dim=8),
    "linear_labels": config(c_dim=2, dim=9, motion_z_distance=13),
    "linear_lstm": config(gen_strategy="autoregressive", z_dim=7, v_dim=7),
    "linear_plain": config(fourier=False, z_dim=11, v_dim=11),
}
STYLESV = {
    "spline_r16": (config(bspline=True), 16, {"num_layers": 5}, 1.0),
    "rank3_labels": (
        config(low_rank=3, c_dim=2, learnable_motion_mask=True, init_motion_mask="zeros"),
        32,
        {"num_layers": 4},
        0.6,
    ),
    "add": (config(fuse_w="add", bspline=True, bs_emb=True, dim=6), 16, {"num_layers": 3}, 1.0),
}
STYLEGAN_V = {
    "const_labels": (config(c_dim=3), 16, {}, 0.5),
    "concat_noise": (
        config(cond_type="concat_w", input={"type": "const"}, use_noise=True),
        32,
        {},
        1.0,
    ),
    "sum": (config(cond_type="sum_w", input={"type": "const"}, dim=6), 16, {}, 1.0),
}


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape)).float().double()


def moments(rng, clips, frames, last):
    """Returns ascending times with fractions."""
    t = np.sort(rng.uniform(0, last, (clips, frames)), axis=1)
    return torch.from_numpy(t).float().double()


def noise_length(cfg, spline, t):
    """Returns how much noise the published code draws."""
    m = cfg["motion"]
    last = max(cfg["sampling"]["max_num_frames"] - 1, float(t.max()))
    codes = math.ceil(last / m["motion_z_distance"]) + (4 if spline else 2)
    return codes + (2 * (m["kernel_size"] - 1) if m["gen_strategy"] == "conv" else 0)


def motions(seed):
    """Returns arrays and meta of a file of motion encoders."""
    rng, arrays, meta = np.random.default_rng(seed), {}, {}
    for case, cfg in MOTIONS.items():
        spline = cfg["bspline"]
        t = moments(rng, 3, 4, 35.0)
        t[0, -1] = 55.0 if case.startswith("spline") else t[0, -1]
        length = noise_length(cfg, spline, t)
        given = {"t": t, "c": labels(rng, 3, cfg["c_dim"])}
        given["motion_z"] = normal(rng, 3, length, cfg["motion"]["z_dim"])
        p, inside = Weights(rng=rng), {}
        o = motion_options(cfg, spline)
        v = motion(p, given["t"], given["c"], given["motion_z"], o, inside).flatten(0, 1)
        given["cot"] = normal(rng, *v.shape)
        grads = torch.autograd.grad((v * given["cot"]).sum(), [p.state[n] for n in p.learned])
        grads = dict(zip(p.learned, grads, strict=True))
        entries = {"state": p.state, "in": given, "mid": inside, "out": {"motion_v": v}}
        arrays |= rounded(case, entries | {"grad": grads})
        name = "BSplineMotionMappingNetwork" if spline else "MotionMappingNetwork"
        meta[case] = {"cls": name, "cfg": cfg, "traj_len": length}
    for i, (count, shortest, longest) in enumerate([(7, 3, 200), (64, 32, 512)]):
        name = f"linspaced_freqs/{i}"
        meta[name] = {"num": count, "min_period": shortest, "max_period": longest}
        arrays |= rounded(name, {"": {"y": frequencies(count, shortest, longest)[None]}})
    return arrays, meta


def generator_meta(cfg, res, sizes):
    """Returns the recorded options of a generator."""
    sizes = {"channel_base": 64, "channel_max": 12, "num_fp16_res": 0, "conv_clamp": 256.0} | sizes
    names = {"w_dim": cfg["w_dim"], "c_dim": cfg["c_dim"], "cfg": cfg}
    return {"res": res, "B": 2, "num_frames": 2, "synthesis_kwargs": sizes} | names


def generators(cases, seed, alias_free):
    """Returns arrays and meta of a file of generators."""
    rng, arrays, meta = np.random.default_rng(seed), {}, {}
    for case, (cfg, res, sizes, psi) in cases.items():
        chosen = generator_meta(cfg, res, sizes) | {"truncation_psi": psi}
        t = moments(rng, 2, 2, 30.0)
        given = {"z": normal(rng, 2, cfg["z_dim"]), "c": labels(rng, 2, cfg["c_dim"]), "t": t}
        length = noise_length(cfg, cfg["bspline"], t)
        given["motion_z"] = normal(rng, 2, length, cfg["motion"]["z_dim"])
        p, render = Weights(rng=rng), stylesv if alias_free else stylegan_v
        inputs = (given["z"], t, given["c"], given["motion_z"], psi, res)
        o = generator_options(chosen, alias_free)
        images, ws, v, maps = render(p, *inputs, o)
        given["cot"] = normal(rng, *images.shape) / res
        grads = torch.autograd.grad((images * given["cot"]).sum(), [p.state[n] for n in p.learned])
        entries = {
            "state": p.state,
            "in": given,
            "out": {"ws": ws[:, None], "motion_v": v, "img": images},
            "feat": {name: x[:1, :2] for name, x in maps.items()},
            "featstat": {
                name: torch.stack([x.mean(), x.std(), x.abs().max()]) for name, x in maps.items()
            },
            "grad": {n: g for n, g in zip(p.learned, grads, strict=True) if g.numel() <= LARGE},
        }
        if alias_free:
            updated = render(p, *inputs, o, update=True)[0]
            magnitude = torch.stack(p.updated)
            entries["ema"] = {"w_avg": p.averaged, "magnitude": magnitude, "img": updated}
        arrays |= rounded(case, entries)
        count = sum(p.state[n].numel() for n in p.learned)
        meta[case] = chosen | {"n_params": count, "layer_names": list(maps), "unused_params": []}
    return arrays, meta


def write(folder, small):
    """Writes the files."""
    save(folder / "stylesv_motion_small.npz", *motions(41))
    save(folder / "stylesv_G_small.npz", *generators(STYLESV, 42, True))
    save(folder / "stylesv_sgv_G_small.npz", *generators(STYLEGAN_V, 43, False))
