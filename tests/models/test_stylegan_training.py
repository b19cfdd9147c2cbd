"""The training step that all StyleGAN models share, on image GANs small enough for seconds."""

from dataclasses import replace

import pytest
import torch

from vgbench.errors import DataError, ExplodedLossError, UsageError
from vgbench.losses.regularizers import path_lengths
from vgbench.models.base import Clips
from vgbench.models.stylegan2.config import StyleGAN2FramesConfig
from vgbench.models.stylegan2.module import StyleGAN2Frames
from vgbench.models.stylegan3.config import StyleGAN3FramesConfig
from vgbench.models.stylegan3.module import StyleGAN3Frames
from vgbench.nn.noise import seeded_generator
from vgbench.types import VideoSpec

WIDTHS = {"z_dim": 6, "w_dim": 8, "mapping_layers": 2, "channel_base": 128, "channel_max": 8}
BARE = {"pl_weight": 0.0, "pl_interval": 0, "r1_gamma": 0.0, "augment": "none", "ema_kclips": 0.0}
ALL = {
    **{"pl_weight": 2.0, "pl_interval": 2, "r1_gamma": 1.0, "r1_interval": 3},
    **{"augment": "ada", "augment_strength": 0.3, "ada_interval": 2},
    **{"style_mixing": 0.5, "ema_kclips": 0.01},
}


def gan2(seed=0, **options):
    config = StyleGAN2FramesConfig(**{**WIDTHS, "mbstd_group_size": 2, **options})
    return StyleGAN2Frames(config, VideoSpec(3, 16, 16), seed)


def gan3(seed=0, **options):
    sizes = {"mbstd_group_size": 2, "num_layers": 3, "margin": 1, **options}
    return StyleGAN3Frames(StyleGAN3FramesConfig(**{**WIDTHS, **sizes}), VideoSpec(3, 16, 16), seed)


def batch(n=4, label=-1, seed=5):
    generator = torch.Generator().manual_seed(seed)
    video = 2 * torch.rand(n, 3, 1, 16, 16, generator=generator) - 1
    return Clips(video, torch.zeros(n, 1), torch.full((n,), label))


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module, before):
    return {n for n, value in module.state_dict().items() if not torch.equal(value, before[n])}


def trained(model, steps, optimizers=None):
    """Makes steps as the trainer does; returns the optimisers and what each step logged."""
    optimizers = optimizers or model.configure_optimizers()
    logs = []
    for _ in range(steps):
        logs.append(model.train_clips(batch(seed=model.clips_seen), optimizers))
        if model.generator_ema is not None:
            model.generator_ema.update(model.generator, 4, model.clips_seen)
        model.clips_seen += 4
    return optimizers, logs


@pytest.mark.parametrize("build", [gan2, gan3])
def test_each_phase_changes_its_own_network_and_running_means_alone(build):
    model = build(**BARE)
    optimizers = model.configure_optimizers()
    moved = {}
    descend = model.descend

    def record(loss, optimizer, name, *rest):
        before = {n: state(net) for n, net in model.named_children()}
        descend(loss, optimizer, name, *rest)
        moved[name] = {n: changed(net, before[n]) for n, net in model.named_children()}

    model.descend = record
    means = state(model.generator)
    logs = model.train_clips(batch(), optimizers)
    assert moved.keys() == {"generator", "discriminator"}
    generator = {n for n, _ in model.generator.named_parameters()}
    assert moved["generator"]["generator"] == generator
    assert moved["generator"]["discriminator"] == set()
    assert moved["discriminator"]["generator"] == set()
    assert moved["discriminator"]["discriminator"] == set(model.discriminator.state_dict())
    buffers = changed(model.generator, means) - generator
    averages = {n for n in means if n.endswith(("w_avg", "magnitude_ema"))}
    assert buffers == averages
    assert logs.keys() == {"g", "d", "real_sign"}
    assert all(p.requires_grad for p in model.parameters())


def test_regularisers_are_due_by_clips_seen():
    model = gan2(**ALL)
    _, logs = trained(model, 7)
    every = {"g", "d", "real_sign", "augment"}
    for step, scalars in enumerate(logs):
        wanted = every | ({"pl", "pl_length"} if step % 2 == 0 else set())
        assert scalars.keys() == wanted | ({"r1"} if step % 3 == 0 else set()), step
        assert all(torch.isfinite(value) for value in scalars.values())


def test_adam_is_corrected_for_lazy_steps():
    of_g, of_d = gan2(pl_interval=4, r1_interval=16, lr_g=0.1, lr_d=0.2).configure_optimizers()
    assert of_g.param_groups[0]["lr"] == pytest.approx(0.1 * 4 / 5)
    assert of_g.param_groups[0]["betas"] == (0, pytest.approx(0.99 ** (4 / 5)))
    assert of_d.param_groups[0]["lr"] == pytest.approx(0.2 * 16 / 17)
    for optimizer in gan2(**BARE, lr_g=0.1, lr_d=0.1).configure_optimizers():
        assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"][1]) == (
            0.1,
            0.99,
        )


def caught(model, name, monkeypatch):
    """The loss of a phase and its gradients, without the step that follows."""
    found = {}

    def keep(loss, optimizer, phase, *_):
        if phase == name:
            parameters = optimizer.param_groups[0]["params"]
            grads = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
            found.update(loss=loss.detach(), grads=grads)

    monkeypatch.setattr(model, "descend", keep)
    scalars = model.train_clips(batch(), model.configure_optimizers())
    return found, scalars


@pytest.fixture
def _float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
def test_r1_is_the_slope_of_each_real_logit(monkeypatch):
    model = gan2(**BARE | {"r1_gamma": 10.0, "r1_interval": 4})
    found, scalars = caught(model, "R1", monkeypatch)
    # by finite differences of the logits along the gradient's own direction
    real = batch().video[:, :, 0]
    x = real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.discriminator(x).sum(), x)
    step = 1e-5 * slope / slope.norm()
    ends = [model.discriminator(real + s * step).sum() for s in (1, -1)]
    norm = (ends[0] - ends[1]).item() / 2e-5
    assert float(scalars["r1"]) == pytest.approx(norm**2 / 4, rel=1e-5)
    assert float(found["loss"]) == pytest.approx(4 * 10 / 2 * norm**2 / 4, rel=1e-5)


@pytest.mark.usefixtures("_float64")
def test_path_lengths_are_norms_of_the_jacobian(monkeypatch):
    model = gan2(**BARE | {"pl_weight": 2.0, "pl_interval": 3, "use_noise": False})
    drawn = {}

    def spy(images, ws, noise):
        jacobian = torch.autograd.functional.jacobian(
            lambda w: model.generator.synthesis(w, "none"), ws.detach(), vectorize=True
        )
        moved = torch.einsum("nchw,nchwmld->nmld", noise / 16, jacobian)  # root of 16 * 16 pixels
        each = torch.stack([moved[i, i] for i in range(len(ws))])
        drawn["want"] = each.square().sum(2).mean(1).sqrt()
        return path_lengths(images, ws, noise)

    monkeypatch.setattr("vgbench.models.style_training.path_lengths", spy)
    found, scalars = caught(model, "path length", monkeypatch)
    want = drawn["want"]
    assert len(want) == 2  # half of the batch
    mean = 0.01 * want.mean()
    assert float(scalars["pl_length"]) == pytest.approx(float(mean), rel=1e-9)
    assert float(scalars["pl"]) == pytest.approx(float((want - mean).square().mean()), rel=1e-9)
    assert float(found["loss"]) == pytest.approx(6 * float(scalars["pl"]), rel=1e-9)


def test_the_probability_of_augmentation_follows_the_signs_of_real_logits(monkeypatch):
    options = {"augment": "ada", "ada_interval": 2, "ada_kclips": 0.1, "ada_target": 0.5}
    model = gan2(**BARE | options)
    signs = iter([1.0, 1.0, 0.5, 0.5, -1.0, 1.0, 1.0, 1.0])

    monkeypatch.setattr(
        model, "_train_discriminator", lambda real, _: _observed(model, next(signs))
    )
    strengths = []
    for _ in range(8):
        model.train_clips(batch(), model.configure_optimizers())
        model.clips_seen += 4
        strengths.append(round(float(model.augment.strength), 4))
    # eight clips of a hundred each time; at the target nothing moves, below it falls
    assert strengths == [0.0, 0.08, 0.08, 0.08, 0.08, 0.0, 0.0, 0.08]


def _observed(model, sign):
    model.augment.observe(torch.tensor(sign), 4)
    return {}


def test_the_average_ramps_up():
    model = gan2(**BARE | {"ema_kclips": 1.0, "ema_rampup": 0.05})
    average = model.generator_ema
    with torch.no_grad():
        model.generator.mapping.fc0.bias.fill_(1.0)
        average.update(model.generator, 4, seen=0)
        assert torch.equal(average.network.mapping.fc0.bias, model.generator.mapping.fc0.bias)
        model.generator.mapping.fc0.bias.fill_(0.0)
        average.update(model.generator, 4, seen=80)  # a half-life of four clips
        assert average.network.mapping.fc0.bias.tolist() == pytest.approx([0.5] * 8)
        average.update(model.generator, 4, seen=10**6)
        assert average.network.mapping.fc0.bias.tolist() == pytest.approx(
            [0.5 * 0.5 ** (4 / 1000)] * 8
        )
    assert average.network.mapping.w_avg.equal(model.generator.mapping.w_avg)


@torch.no_grad()
def test_mixed_styles_come_from_two_latents():
    model = gan2(**BARE | {"style_mixing": 1.0, "use_noise": False})
    like = batch(8)
    ws = model._training_styles(like, [seeded_generator(0, "x", i) for i in range(8)])
    cuts = [int((w != w[0]).any(dim=1).float().argmax()) for w in ws]
    assert all(1 <= cut < model.generator.num_ws for cut in cuts)
    assert len(set(cuts)) > 2
    never = gan2(**BARE | {"style_mixing": 0.0, "use_noise": False})
    ws = never._training_styles(like, [seeded_generator(0, "x", i) for i in range(8)])
    assert torch.equal(ws, ws[:, :1].expand_as(ws))


@torch.no_grad()
@pytest.mark.parametrize("build", [gan2, gan3])
def test_a_fake_depends_on_its_own_generator_alone(build):
    model = build(**BARE | {"style_mixing": 0.5})
    together = model.fakes(batch(3), [seeded_generator(0, "x", i) for i in range(3)]).video
    alone = model.fakes(batch(1), [seeded_generator(0, "x", 2)]).video
    torch.testing.assert_close(together[2:], alone, rtol=1e-4, atol=1e-5)


def test_classes_reach_both_networks_and_are_drawn_as_often_as_seen():
    model = gan2(**BARE | {"c_dim": 3})
    real = batch()._replace(labels=torch.tensor([0, 0, 2, 0]))
    model.train_clips(real, model.configure_optimizers())
    assert model.label_counts.tolist() == [3, 0, 1]
    labels = model.draw_labels(400, torch.Generator().manual_seed(0))
    shares = torch.bincount(labels, minlength=3) / 400
    torch.testing.assert_close(shares, torch.tensor([0.75, 0, 0.25]), rtol=0, atol=0.06)
    other = model.score(real._replace(labels=torch.tensor([1, 1, 1, 1])))
    assert not torch.equal(other, model.score(real))
    with pytest.raises(DataError, match=r"labels \[-1\] are not all in 0..2"):
        model.train_clips(batch(), model.configure_optimizers())


@pytest.mark.parametrize("build", [gan2, gan3])
def test_a_run_that_goes_astray_is_stopped(build):
    model = build(**BARE | {"lr_g": 1.0, "lr_d": 1.0})
    with pytest.raises(ExplodedLossError, match=r"the (generator|discriminator) loss is .*1000"):
        trained(model, 60)


def test_only_methods_with_styles_of_images_have_path_lengths():
    class Bare(StyleGAN2Frames):
        styled_images = StyleGAN2Frames.__mro__[2].styled_images

    model = Bare(replace(gan2().config, pl_weight=2.0, pl_interval=1), VideoSpec(3, 16, 16))
    with pytest.raises(UsageError, match="Bare has no path length penalty; expected 0"):
        model.train_clips(batch(), model.configure_optimizers())
    with pytest.raises(UsageError, match="no networks for 16x32 videos"):
        Bare(gan2().config, VideoSpec(3, 16, 32))
