"""StyleVideoGAN's training step: what it updates, when, and that the angle penalty works."""

import math

import pytest
import torch

from vgbench.models.stylevideogan.latents import Moments
from vgbench.models.stylevideogan.losses import between, clip_gradient_norms
from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions, TrainingOptions
from vgbench.models.stylevideogan.training import TemporalGAN, draw_noise
from vgbench.nn.ema import WeightAverage
from vgbench.nn.noise import seeded_generator

CPU = torch.device("cpu")
SMALL = GeneratorOptions(z_dim=4, memory_widths=(8,), trunk_widths=(8,))
CRITIC = CriticOptions(embed_widths=(8,), embed_dim=8, conv_channels=(8, 8))


def gan_of(**options):
    torch.manual_seed(0)
    gan = TemporalGAN.build(2, 6, SMALL, CRITIC, TrainingOptions(frames=5, **options))
    gan.generator.fit_scale(Moments(torch.full((2, 6), 3.0), torch.full((2, 6), 2.0)))
    return gan


def parts_of(gan):
    return torch.nn.ModuleList([gan.generator, gan.critic, gan.angle])


def still(gan):
    parts_of(gan).eval()
    return gan


def noise_of(step, n=8, frames=5, z_dim=4):
    return lambda name: draw_noise(n, frames, z_dim, seeded_generator(3, name, step), CPU)


def descend(loss, optimizer, name):
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def clips(step, n=8):
    return 3 + 2 * torch.randn((n, 5, 2, 6), generator=seeded_generator(3, "real", step))


def train(gan, steps, optimizers=None, first=0):
    optimizers = optimizers or gan.configure_optimizers()
    return [
        gan.train_clips(clips(k), k, noise_of(k), optimizers, descend)
        for k in range(first, first + steps)
    ]


def test_generator_steps_after_every_so_many_of_the_critic():
    called = []

    def note(loss, optimizer, name):
        called.append(name)
        descend(loss, optimizer, name)

    gan = gan_of(critic_steps=3)
    optimizers = gan.configure_optimizers()
    found = [gan.train_clips(clips(k), k, noise_of(k), optimizers, note) for k in range(6)]
    assert called == (["critic"] * 3 + ["generator"]) * 2
    assert ["phi" in scalars for scalars in found] == [False, False, True] * 2


def test_each_step_moves_its_own_network():
    gan = gan_of(critic_steps=2)
    optimizers = gan.configure_optimizers()

    def weights():
        return [torch.cat([p.detach().flatten() for p in n.parameters()])
                for n in (gan.critic, gan.generator)]  # fmt: skip

    before = weights()
    gan.train_clips(clips(0), 0, noise_of(0), optimizers, descend)
    between_ = weights()
    assert not torch.equal(before[0], between_[0])
    assert torch.equal(before[1], between_[1])
    loss, _ = gan.generator_loss(noise_of(1)("generator"), 1.0)
    gan.critic.zero_grad()
    descend(loss, optimizers[1], "generator")
    assert torch.equal(between_[0], weights()[0])
    assert not torch.equal(between_[1], weights()[1])
    assert all(p.grad is None for p in gan.critic.parameters())
    assert all(p.requires_grad for p in gan.critic.parameters())


def test_critic_loss_is_its_definition():
    gan = still(gan_of(gp_weight=7.0))
    real, noise = torch.randn(8, 5, 2, 6), noise_of(0)("critic")
    loss, parts = gan.critic_loss(real, noise)
    fake = gan.generator(noise.first, noise.motion).detach()
    norms = clip_gradient_norms(gan.critic, between(real, fake, noise.mix))
    distance = gan.critic(real).mean() - gan.critic(fake).mean()
    torch.testing.assert_close(loss, 7 * (norms - 1).square().mean() - distance)
    torch.testing.assert_close(parts["wasserstein"], distance)


def test_generator_loss_is_its_definition():
    gan = still(gan_of())
    noise = noise_of(0)("generator")
    loss, parts = gan.generator_loss(noise, 9.0)
    plain, without = gan.generator_loss(noise, 0.0)
    torch.testing.assert_close(loss, plain + 9 * parts["angle_penalty"])
    torch.testing.assert_close(plain, -gan.critic(gan.generator(noise.first, noise.motion)).mean())
    assert set(without) == {"generator"}
    penalty, phi = (float(parts[name].detach()) for name in ("angle_penalty", "phi"))
    assert math.sqrt(penalty) == pytest.approx(math.pi / 4 - phi, rel=0.05)


def test_angle_penalty_teaches_the_recurrence_alone():
    gan = gan_of()
    noise = noise_of(0)("generator")
    first, motion = (x.requires_grad_() for x in noise[:2])
    gan.angle(gan.generator.codes(first, motion), first, motion).penalty.mean().backward()
    for name, parameter in gan.generator.named_parameters():
        in_recurrence = name.startswith(("memory", "recurrence"))
        assert (parameter.grad is not None) == in_recurrence, name


def test_lazy_penalty_keeps_its_weight_on_average():
    options = TrainingOptions(critic_steps=2, angle_weight=6.0, angle_interval=4)
    turns = [options.generator_turn(step) for step in range(16)]
    assert turns == [None, 0, None, 1, None, 2, None, 3, None, 4, None, 5, None, 6, None, 7]
    factors = [options.angle_factor(turn) for turn in turns if turn is not None]
    assert factors == [24.0, 0, 0, 0] * 2


def test_noise_of_a_clip_depends_on_its_own_source():
    sources = [seeded_generator(0, "clip", i) for i in range(3)]
    noise = draw_noise(3, 5, 4, sources, CPU)
    assert [tuple(x.shape) for x in noise] == [(3, 4), (3, 4, 4), (3,)]
    alone = draw_noise(1, 5, 4, [seeded_generator(0, "clip", 2)], CPU)
    assert all(torch.equal(a[0], b[2]) for a, b in zip(alone, noise, strict=True))
    mix = draw_noise(4000, 2, 1, seeded_generator(0, "many"), CPU).mix
    assert 0 <= float(mix.min()) < 0.01
    assert 0.99 < float(mix.max()) <= 1
    assert float(mix.mean()) == pytest.approx(0.5, abs=0.02)


def test_interrupted_training_equals_uninterrupted_training():
    whole, part, resumed = (gan_of(critic_steps=2) for _ in range(3))
    train(whole, 6)
    optimizers = part.configure_optimizers()
    train(part, 3, optimizers)
    restored = resumed.configure_optimizers()
    parts_of(resumed).load_state_dict(parts_of(part).state_dict())
    for ours, theirs in zip(restored, optimizers, strict=True):
        ours.load_state_dict(theirs.state_dict())
    train(resumed, 3, restored, first=3)
    want = parts_of(whole).state_dict()
    assert all(
        torch.equal(value, want[key]) for key, value in parts_of(resumed).state_dict().items()
    )


def test_average_takes_over_batch_statistics_and_scale():
    gan = gan_of(critic_steps=1)
    average = WeightAverage(gan.generator, gan.options.ema_kclips)
    train(gan, 3)
    average.update(gan.generator, 8, 24)
    kept, live = dict(average.network.named_buffers()), dict(gan.generator.named_buffers())
    assert float(live["trunk.norm_in.running_mean"].abs().max()) > 0
    assert all(torch.equal(kept[name], value) for name, value in live.items())
    assert not average.network.training


def test_default_average_is_a_share_of_0995_per_generator_step():
    options = TrainingOptions()
    clips_per_turn = 32 * options.critic_steps
    keep = 0.5 ** (clips_per_turn / (1000 * options.ema_kclips))
    assert keep == pytest.approx(0.995, abs=1e-4)


def test_critic_learns_to_tell_the_sides_apart():
    gan = gan_of(critic_steps=1000, lr=2e-3, gp_weight=10.0)
    found = train(gan, 60)
    assert float(found[-1]["wasserstein"]) > 10 * abs(float(found[0]["wasserstein"]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_second_derivatives_on_the_gpu_are_those_of_the_cpu():
    gradients = {}
    for device in ("cpu", "cuda"):
        gan = gan_of().to(device)
        noise = draw_noise(8, 5, 4, seeded_generator(0, "gpu"), torch.device(device))
        loss, parts = gan.generator_loss(noise, 100.0)
        assert float(parts["phi"]) > 0
        loss.backward()
        gradients[device] = {n: p.grad.cpu() for n, p in gan.generator.named_parameters()}
    torch.testing.assert_close(gradients["cuda"], gradients["cpu"], rtol=1e-3, atol=1e-5)
