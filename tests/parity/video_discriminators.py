"""What the parity tests of StyleGAN2 networks have in common."""

import numpy as np
import torch
from einops import rearrange

from tests.parity.conftest import under
from vgbench.losses.regularizers import r1_penalty
from vgbench.nn.equalized import blur_filter
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator

VALUE, GRADIENT, SLOPE = 1e-4, 1e-3, 2e-2
KNOWN = {
    "in": {"img", "c", "t"},
    "out": {
        "image_logits",
        "grad_img_of_logit_sum",
        "r1_per_video_gamma1",
        "loss_softplus_fake_plus_r1",
    },
}
# Options of the published code that decide nothing about these networks.
IDLE = {"source", "fmaps", "mbstd_group_size", "always_update"}
FUSION = {"concat_res", "num_frames_div_factor", "dummy_c", "tsm", "tmean", "sampling"}


def load(network, state):
    """Loads a recorded state dict, all of it; constants that we rebuild must be the same."""
    taps = torch.outer(blur_filter(), blur_filter())
    constants = {
        "resample_filter": taps,
        "fourier_coefs": getattr(getattr(network, "time_encoder", None), "freqs", None),
    }
    learned = {}
    for name, value in state.items():
        value = torch.tensor(np.asarray(value))
        constant = constants.get(name.rpartition(".")[2])
        if constant is None:
            learned[name] = value
        else:
            torch.testing.assert_close(value.view_as(constant), constant, msg=name)
    network.load_state_dict(learned, strict=True)
    return network


def assert_close(name, got, want, tolerance, floor=1.0):
    """Fails if any number is off by more than `tolerance` times the largest, at least `floor`."""
    got = got.detach().numpy()
    assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape}"
    error = np.abs(got - want).max() / max(floor, np.abs(want).max())
    assert error <= tolerance, f"{name}: error {error:.2e} > {tolerance:.0e}"


def video_discriminator(meta):
    """Our network for the recorded constructor arguments."""
    cfg = meta["cfg"]
    unknown = set(cfg) - IDLE - FUSION
    assert not unknown, f"unknown options: {sorted(unknown)}"
    extra = set(meta["block_kwargs"]) - {"freeze_layers"}
    assert not extra, f"unknown block options: {sorted(extra)}"
    assert cfg["sampling"]["type"] in ("random", "uniform"), cfg["sampling"]["type"]
    sizes = (meta["channel_base"], meta["channel_max"], meta["conv_clamp"])
    base = int(sizes[0] * meta.get("fmaps", 1))
    fusion = FrameFusion(
        frames=meta["num_frames"],
        resolution=cfg["concat_res"],
        merge="mean" if cfg["tmean"] else "concat",
        divisor=cfg["num_frames_div_factor"],
        temporal_shift=cfg["tsm"],
        max_frames=cfg["sampling"]["max_num_frames"],
        uniform=cfg["sampling"]["type"] == "uniform",
        use_time=not cfg["dummy_c"],
    )
    return VideoDiscriminator(
        Pyramid(meta["res"], 3, base, *sizes[1:]),
        fusion,
        meta["c_dim"],
        mbstd_group_size=meta["mbstd_group_size"],
        freeze_layers=meta["block_kwargs"].get("freeze_layers", 0),
    )


def clips_of(arrays, case, frames):
    images = torch.tensor(arrays[f"{case}/in/img"])
    return rearrange(images, "(b t) c h w -> b c t h w", t=frames).contiguous().requires_grad_()


def losses(network, clips, t, c):
    """Logits, R1 per clip (mean over its frames, gamma 1), and the loss with recorded gradients."""
    logits = network(clips, t, c)
    r1 = r1_penalty(clips, logits) / (2 * clips.shape[2])
    return logits, r1, (torch.nn.functional.softplus(logits) + r1).mean()


def assert_every_entry_is_known(arrays, meta):
    """Fails with the names of cases or entries that `check_case` would not look at."""
    unknown = []
    for key in arrays:
        case, _, entry = key.partition("/")
        kind, _, name = entry.partition("/")
        known = case in meta and (kind in ("state", "grad") or name in KNOWN.get(kind, ()))
        unknown += [] if known else [key]
    assert not unknown, f"unknown cases: {unknown}"


def check_case(case, arrays, meta):
    """Compares logits, first and second derivatives, and the number of parameters."""
    network = load(video_discriminator(meta), under(arrays, f"{case}/state/"))
    learned = {name: p for name, p in network.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in learned.values()) == meta["n_params"], case
    assert set(learned) == set(meta.get("param_names", learned)), case
    clips = clips_of(arrays, case, meta["num_frames"])
    t, c = (torch.tensor(arrays[f"{case}/in/{name}"]) for name in "tc")
    logits, r1, loss = losses(network, clips, t, c)
    (slope,) = torch.autograd.grad(logits.sum(), clips, retain_graph=True)
    got = {
        "image_logits": logits,
        "grad_img_of_logit_sum": rearrange(slope, "b c t h w -> (b t) c h w"),
        "r1_per_video_gamma1": r1,
        "loss_softplus_fake_plus_r1": loss,
    }
    for name, want in under(arrays, f"{case}/out/").items():
        assert_close(f"{case}/out/{name}", got[name], want, VALUE)
    # Slopes are tiny numbers here, so they are compared by their own size as well: by the norm,
    # as a pre-activation within rounding of zero moves single ones.
    name = "grad_img_of_logit_sum"
    want = torch.tensor(arrays[f"{case}/out/{name}"])
    error = float((got[name] - want).norm() / want.norm())
    assert error <= SLOPE, f"{case}/out/{name}: relative error of the norm {error:.2e} > {SLOPE}"
    r1_name = "r1_per_video_gamma1"
    assert_close(f"{case}/out/{r1_name}", r1, arrays[f"{case}/out/{r1_name}"], SLOPE, 1e-12)
    wanted = under(arrays, f"{case}/grad/")
    assert wanted, f"{case}: no gradients recorded"
    grads = torch.autograd.grad(loss, [learned[name] for name in wanted], allow_unused=True)
    for (name, want), grad in zip(wanted.items(), grads, strict=True):
        grad = torch.zeros_like(learned[name]) if grad is None else grad
        assert_close(f"{case}/grad/{name}", grad, want, GRADIENT)
