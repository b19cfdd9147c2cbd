"""StyleInV's whole generator step and its gradients against recorded ones."""

import numpy as np
import pytest
import torch
from einops import rearrange
from torch import nn

from tests.parity.conftest import assert_known, under
from tests.parity.styleinv import ENCODER, GRADIENT, ZERO, encoder_of, motion_of, style_of
from tests.parity.test_styleinv_sg2 import generator_of
from tests.parity.test_styleinv_video_d import build as discriminator_of
from tests.parity.video_discriminators import assert_close, load
from vgbench.losses.adversarial import logistic_d_loss
from vgbench.losses.regularizers import r1_penalty
from vgbench.models.styleinv.generator import StyleInversion, roll_out
from vgbench.models.styleinv.losses import generator_losses
from vgbench.models.styleinv.options import LossOptions, SparseOptions
from vgbench.models.styleinv.sparse import shown
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator

NUDGE = 2e-5  # frames
FILES = "styleinv_e2e*.npz"
LAMBDAS = {"lambda_adv", "lambda_recon", "lambda_w_reg"}
OPTIONS = {"cls", *LAMBDAS, "r1_gamma", "G", "encoder", "mapping", "D", "input_residual", "note"}
INPUTS = {"z", "frames", "Ts", "motion_z", "real"}
STEP = {"w0", "x0", "styles_tb", "codes_tb", "imgs_tb", "fake_logits", "loss_adv", "loss_recon",
        "loss_wreg", "loss_total", "grad_norm"}  # fmt: skip
DISCRIMINATOR = {"real_logits", "loss_d_main", "r1_penalty"}


def times(ts, frames):
    """Recorded times in frames.

    The discriminator rounds distances to whole frames, and recorded ones may be 5.5: which way
    the reference went was up to the rounding of its float32 products. Such frames are moved by
    NUDGE, so that ours go the same way.
    """
    distances = ts.diff(dim=1) * (frames - 1)
    halves = ((distances - distances.floor()) - 0.5).abs() < NUDGE / 2
    distances = distances.double() + NUDGE * halves * (distances.round() - distances).sign()
    start = ts[:, :1].double() * (frames - 1)
    return torch.cat([start, start + distances.cumsum(dim=1)], dim=1).float()


class Step(nn.Module):
    """The recorded networks and what one step makes of the recorded inputs."""

    def __init__(self, arrays, meta):
        super().__init__()
        image = {"c_dim": 0, "img_channels": 3} | meta["G"]
        self.images = generator_of(arrays, {"G": image}).requires_grad_(False)
        sizes = {"c_dim": 0, "img_channels": 3} | meta["D"]
        options = {"args": sizes, "cfg": sizes.pop("cfg")}
        self.judge = discriminator_of(VideoDiscriminator, "D", arrays, options)
        encoder, mapping = encoder_of(meta), meta["mapping"]
        size = (meta["G"]["w_dim"], image["img_channels"])
        self.network = StyleInversion(encoder, motion_of(mapping), style_of(mapping), *size)
        load(self.network, under(arrays, "sd/SI.")).eval()
        self.losses = LossOptions(
            adversarial=meta["lambda_adv"],
            recon=abs(meta["lambda_recon"]),
            recon_space="image" if meta["lambda_recon"] >= 0 else "w",
            w_reg=meta["lambda_w_reg"],
        )
        self.t = times(torch.tensor(arrays["in/Ts"])[..., 0], mapping["sampling"]["max_num_frames"])
        self.z, self.motion_z, real = (
            torch.tensor(arrays[f"in/{name}"]) for name in ("z", "motion_z", "real")
        )
        self.real = rearrange(real, "b (t c) h w -> b c t h w", t=self.t.shape[1])

    def render(self, w):
        ws = w[:, None].expand(-1, self.images.num_ws, -1)
        return self.images.synthesis(ws, "none")

    def rolled(self):
        w0, w_avg = self.images.styles(self.z)[:, 0], self.images.mapping.w_avg
        return roll_out(self.network, self.render, w0, w_avg, self.t, self.motion_z)


@pytest.fixture(scope="module")
def step(recorded):
    return Step(*recorded)


@pytest.fixture(scope="module")
def outcome(step):
    """Rollout, logits and losses of the generator step."""
    rollout = step.rolled()
    logits = step.judge(*shown(rollout, SparseOptions()))
    return rollout, logits, generator_losses(rollout, logits, step.losses)


def agree(arrays, name, got):
    if got.ndim > 1 and name.endswith("_tb"):
        got = rearrange(got, "b t ... -> (t b) ...")
    assert_close(f"out/{name}", got, arrays[f"out/{name}"], GRADIENT, ZERO)


def test_every_entry_is_known(recorded):
    arrays, meta = recorded
    known = {f"in/{name}" for name in INPUTS} | {f"out/{name}" for name in STEP | DISCRIMINATOR}
    prefixes = ("sd/G.", "sd/SI.", "sd/D.", "out/grad/")
    assert_known([k for k in arrays if not k.startswith(prefixes)], known)
    assert_known(meta, OPTIONS, "meta")
    assert_known(meta["encoder"], ENCODER, "encoder")
    frames = arrays["in/Ts"][..., 0] * (meta["mapping"]["sampling"]["max_num_frames"] - 1)
    np.testing.assert_allclose(frames, arrays["in/frames"], atol=1e-4)


def test_images_and_styles(recorded, step, outcome):
    arrays, _ = recorded
    rollout, logits, _ = outcome
    agree(arrays, "w0", rollout.w0)
    agree(arrays, "x0", rollout.x0)
    agree(arrays, "styles_tb", step.network.mapping(rollout.w0, step.t, step.motion_z))
    agree(arrays, "codes_tb", rollout.w)
    agree(arrays, "imgs_tb", rearrange(rollout.video, "b c t h w -> b t c h w"))
    agree(arrays, "fake_logits", logits)


def test_losses_and_gradients(recorded, step, outcome):
    arrays, _ = recorded
    losses = outcome[2]
    parts = {"adv": losses.adversarial, "recon": losses.recon, "wreg": losses.w_reg}
    for name, loss in parts.items():
        agree(arrays, f"loss_{name}", loss)
    agree(arrays, "loss_total", losses.total)
    learned = dict(step.network.named_parameters())
    grads = torch.autograd.grad(
        losses.total, list(learned.values()), retain_graph=True, allow_unused=True
    )
    found = {k: g for k, g in zip(learned, grads, strict=True) if g is not None}
    agree(arrays, "grad_norm", torch.cat([g.flatten() for g in found.values()]).norm())
    wanted = under(arrays, "out/grad/")
    assert wanted, "the file has no gradients"
    for name in wanted:
        agree(arrays, f"grad/{name}", found[name])


def test_discriminator_step(recorded, step, outcome):
    arrays, _ = recorded
    real = step.real.clone().requires_grad_()
    logits = step.judge(real, step.t)
    agree(arrays, "real_logits", logits)
    agree(arrays, "loss_d_main", logistic_d_loss(logits, outcome[1]))
    agree(arrays, "r1_penalty", r1_penalty(real, logits))
