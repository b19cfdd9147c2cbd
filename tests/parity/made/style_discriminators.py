"""Files `stylesv_D_*`, `stylesv_sgv_D_*` and `styleinv_video_d_*`: video discriminators."""

import numpy as np
import torch

from tests.parity.made.files import rounded, save
from tests.parity.made.style_meta import discriminator_options
from tests.parity.made.style_networks import Weights, video_discriminator

SMALL_GRADIENT = 5000  # only smaller parameters have theirs recorded


def options(res, frames, **changed):
    """Returns the recorded options of a discriminator."""
    cfg = {
        "concat_res": changed.pop("concat_res", 8),
        "num_frames_div_factor": changed.pop("divisor", 2),
        "dummy_c": changed.pop("dummy_c", False),
        "tsm": changed.pop("tsm", False),
        "tmean": changed.pop("tmean", False),
        "sampling": {
            "type": changed.pop("sampling", "random"),
            "max_num_frames": changed.pop("longest", 100),
            "num_frames_per_video": frames,
        },
    }
    sizes = {"channel_base": 256, "channel_max": 24, "conv_clamp": None, "mbstd_group_size": 2}
    usual = {"B": 2, "num_frames": frames, "res": res, "c_dim": 0, "block_kwargs": {}}
    return usual | sizes | {"cfg": cfg} | changed


STYLESV = {
    "shift_mean_t4": options(32, 4, tsm=True, tmean=True, concat_res=16),
    "shift_concat_third": options(16, 3, tsm=True, divisor=3, B=3, mbstd_group_size=3),
    "frozen5_labels": options(
        32, 2, tsm=True, tmean=True, block_kwargs={"freeze_layers": 5}, c_dim=3
    ),
    "clamped": options(16, 5, tmean=True, conv_clamp=0.5, longest=17),
}
STYLEGAN_V = {
    "four_frames": options(32, 4, divisor=4, B=4, mbstd_group_size=4),
    "uniform_labels": options(16, 3, sampling="uniform", c_dim=2),
    "image_labels": options(16, 1, c_dim=5),
    "dummy": options(16, 2, dummy_c=True, longest=33),
}


def times(rng, clips, frames, longest):
    """Returns ascending frame numbers."""
    rows = [np.sort(rng.choice(longest, frames, replace=False)) for _ in range(clips)]
    return torch.from_numpy(np.stack(rows)).double()


def labels(rng, clips, classes):
    """Returns random classes as vectors."""
    return torch.eye(classes).double()[torch.from_numpy(rng.integers(classes or 1, size=clips))] \
        if classes else torch.zeros(clips, 0).double()  # fmt: skip


def frozen_names(learned, count):
    """Returns the parameters of the first `count` convolutions."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in learned))
    blocks = sorted({int(n[1:].split(".")[0]) for n in layers if n[0] == "b"}, reverse=True)
    order = [f"b{b}.{kind}" for b in blocks for kind in ("fromrgb", "conv0", "conv1", "skip")]
    gone = [layer for layer in order if layer in layers][:count]
    return {name for name in learned if name.rpartition(".")[0] in gone}


def compute(p, meta, given):
    """Returns logits, their gradients of two orders and the gradients of parameters."""
    x = given["img"].clone().requires_grad_()
    frames = meta["num_frames"]
    logits = video_discriminator(p, x, given["t"], given["c"], discriminator_options(meta))
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    r1 = slope.square().reshape(len(logits), -1).sum(1) / (2 * frames)
    loss = (torch.log(1 + torch.exp(logits)) + r1).mean()
    frozen = frozen_names(p.learned, meta["block_kwargs"].get("freeze_layers", 0))
    learned = [name for name in p.learned if name not in frozen]
    grads = torch.autograd.grad(loss, [p.state[n] for n in learned], allow_unused=True)
    grads = dict(zip(learned, grads, strict=True))
    out = {
        "image_logits": logits,
        "grad_img_of_logit_sum": slope,
        "r1_per_video_gamma1": r1,
        "loss_softplus_fake_plus_r1": loss,
    }
    return out, {name: p.state[name] * 0 if g is None else g for name, g in grads.items()}


def make(cases, seed):
    """Returns arrays and meta of one file."""
    rng, arrays, meta = np.random.default_rng(seed), {}, {}
    for case, chosen in cases.items():
        frames, clips, res = chosen["num_frames"], chosen["B"], chosen["res"]
        longest = chosen["cfg"]["sampling"]["max_num_frames"]
        given = {
            "img": torch.from_numpy(0.7 * rng.standard_normal((clips * frames, 3, res, res))),
            "c": labels(rng, clips, chosen["c_dim"]),
            "t": times(rng, clips, frames, longest),
        }
        given = {name: value.float().double() for name, value in given.items()}
        p = Weights(rng=rng)
        out, grads = compute(p, chosen, given)
        entries = {"state": p.state, "in": given, "out": out}
        entries["grad"] = {n: g for n, g in grads.items() if g.numel() < SMALL_GRADIENT}
        arrays |= rounded(case, entries)
        count = sum(g.numel() for g in grads.values())
        meta[case] = chosen | {"n_params": count, "param_names": list(grads)}
    return arrays, meta


def styleinv(seed, frames=5, res=32, longest=60, c_dim=0, merge_at=8):
    """Returns arrays and meta of a file of StyleInV's discriminators."""
    rng = np.random.default_rng(seed)
    sampling = {"num_frames_per_video": frames, "max_num_frames": longest, "type": "random"}
    cfg = {"sampling": sampling, "concat_res": merge_at, "num_frames_div_factor": 2}
    cfg |= {"dummy_c": False, "pe": {"use_const_embed": True, "t_is_frame_idx": True}}
    args = {"c_dim": c_dim, "img_resolution": res, "img_channels": 3, "channel_base": 128}
    args |= {"channel_max": 12, "mapping_num_layers": 2, "mbstd_group_size": 3}
    o = {"base": 128, "most": 12, "clamp": None, "group": 3, "merge_at": merge_at, "divisor": 2}
    o |= {"mean": False, "shift": False, "frozen": 0, "longest": longest, "uniform": False}
    o |= {"dummy": False}
    x = torch.from_numpy(rng.standard_normal((3 * frames, 3, res, res))).float().double()
    t, c = times(rng, 3, frames, longest), labels(rng, 3, c_dim)
    t = t - t[:, :1]
    inside, plain, first = {}, Weights(rng=rng), Weights(rng=rng)
    x.requires_grad_()
    logits = video_discriminator(plain, x, t, c, o | {"first": False}, inside)
    (slope,) = torch.autograd.grad(logits.sum(), x, retain_graph=True)
    out = {**inside, "logits": logits, "r1_penalty": slope.square().reshape(3, -1).sum(1)}
    out["logits_ffc"] = video_discriminator(first, x, t, c, o | {"first": True})
    given = {"x": x, "t": t} | ({"c": c} if c_dim else {})
    arrays = rounded("", {"in": given, "out": out})
    for prefix, p in (("D", plain), ("DF", first)):
        arrays |= rounded("", {f"sd/{prefix}.": p.state})
    return arrays, {"cls": "", "args": args, "cfg": cfg, "note": ""}


def write(folder, small):
    """Writes the files."""
    save(folder / "stylesv_D_small.npz", *make(STYLESV, 21))
    save(folder / "stylesv_sgv_D_small.npz", *make(STYLEGAN_V, 22))
    save(folder / "styleinv_video_d_small.npz", *styleinv(23))
    if not small:
        save(folder / "styleinv_video_d_labels.npz", *styleinv(24, 3, 64, 200, 4, 16))
