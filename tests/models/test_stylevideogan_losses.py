"""Gradient angle and gradient penalty against closed forms."""

import math

import pytest
import torch

from vgbench.models.stylevideogan.losses import (
    GradientAngle,
    Standard,
    between,
    clip_gradient_norms,
    gradient_angle,
    gradient_penalty,
    wgan_critic_loss,
)

# Of the linear recurrence below: alpha, beta, frames, then a, b, phi and the penalty.
SCALAR = {
    "A": (0.9, 0.1, 25, 0.9202335569, 0.2286847191, 0.2435732380, 0.2935742498),
    "B": (0.5, 1.0, 3, 0.75, 1.1180339887, 0.9799235766, 0.0),
    "C": (0.0, 1.0, 25, 1.0, 1.0, math.pi / 4, 0.0),
    "D": (1.0, 0.5, 5, 0.0, 1.0, math.pi / 2, 0.0),
    "F": (0.9, 0.01, 25, 0.9202335569, 0.0228684719, 0.0248456122, 0.5784401831),
    "G": (-1.0, 0.2, 4, 2.0, 0.3464101615, 0.1715035540, 0.3768665914),
    "H": (0.5, 0.25, 4, 0.875, 0.2864109809, 0.3163350005, 0.2200202508),
}
PLAIN = {dim: Standard(*torch.tensor([[0.0] * dim, [1.0] * dim]).double()) for dim in (2, 5)}


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def linear_codes(alpha, beta, first, motion):
    """l_0 = i, l_k = alpha l_{k-1} + beta s_k."""
    codes = [first]
    for step in motion.unbind(1):
        codes.append(alpha * codes[-1] + beta * step)
    return torch.stack(codes, 1)


def angle_of(alpha, beta, first, motion, standard, reduce="fro"):
    first, motion = first.requires_grad_(), motion.requires_grad_()
    codes = linear_codes(alpha, beta, first, motion)
    return gradient_angle(codes, first, motion, standard, reduce)


def assert_near(got, want):
    want = torch.as_tensor(want, dtype=torch.float64).expand(got.shape)
    torch.testing.assert_close(got.detach(), want, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 5])
@pytest.mark.parametrize("case", SCALAR)
def test_angle_of_a_linear_recurrence(case, dim):
    alpha, beta, frames, *want = SCALAR[case]
    torch.manual_seed(0)
    first = torch.randn(6, dim, dtype=torch.float64)
    motion = torch.randn(6, frames - 1, dim, dtype=torch.float64)
    angle = angle_of(alpha, beta, first, motion, PLAIN[dim])
    found = (angle.by_first, angle.by_motion, angle.phi, angle.penalty)
    for got, value in zip(found, want, strict=True):
        assert_near(got, value)
    phi = angle.phi.detach()
    assert float(phi.max() - phi.min()) < 1e-14, "the angle depends on the codes"


def test_angle_of_standardised_displacements():
    standard = Standard(double(0.5, 0), double(2, 0.5))
    angle = angle_of(0.5, 0.25, double([1, 2]), double([[3, -1]]), standard)
    assert_near(angle.distance, 2.5031230493)
    assert_near(angle.by_first, 0.9988303634)
    assert_near(angle.by_motion, 0.4994151817)
    assert_near(angle.phi, math.atan(0.5))
    assert_near(angle.penalty, 0.1035234193)


@pytest.mark.parametrize(
    ("reduce", "b", "phi", "penalty"),
    [
        ("fro", 0.3988128936, 0.7866805783, 0.0),
        ("mean", 0.2473120728, 0.5562322106, 0.0525170339),
    ],
)
def test_reductions_over_the_steps_differ(reduce, b, phi, penalty):
    alpha, beta = double(0.9, 0.2), double(0.1, 1)
    angle = angle_of(alpha, beta, double([1, 1]), double([[1, 0], [0, 1]]), PLAIN[2], reduce)
    assert_near(angle.distance, 0.1077032961)
    assert_near(angle.by_first, 0.3977913159)
    assert_near(angle.by_motion, b)
    assert_near(angle.phi, phi)
    assert_near(angle.penalty, penalty)


def test_gradient_of_the_penalty_is_the_closed_form():
    torch.manual_seed(0)
    alpha, beta = (double(value).squeeze().requires_grad_() for value in (0.9, 0.1))
    first = torch.randn(3, 5, dtype=torch.float64)
    motion = torch.randn(3, 24, 5, dtype=torch.float64)
    angle_of(alpha, beta, first, motion, PLAIN[5]).penalty.mean().backward()
    assert_near(beta.grad, -2.5363161639)
    assert_near(alpha.grad, -1.7443686937)


def test_clips_do_not_share_their_distance():
    torch.manual_seed(0)
    alpha, beta = double(0.9, 0.2), double(0.1, 1)
    first, motion = torch.randn(4, 2).double(), torch.randn(4, 3, 2).double()
    together = angle_of(alpha, beta, first, motion, PLAIN[2])
    for i in range(4):
        alone = angle_of(
            alpha, beta, first[i : i + 1].detach(), motion[i : i + 1].detach(), PLAIN[2]
        )
        torch.testing.assert_close(alone.phi, together.phi[i : i + 1])


def test_a_clip_that_does_not_move_has_finite_gradients():
    alpha = double(1).requires_grad_()
    angle = angle_of(alpha, double(0), double([1, 2]), double([[0, 0]]), PLAIN[2])
    angle.penalty.mean().backward()
    assert torch.isfinite(alpha.grad).all()


def running(codes, **options):
    """Statistics after each of several batches of displacements."""
    angle = GradientAngle(codes.shape[-1], **options).double()
    for batch in codes:
        first = torch.zeros(len(batch), codes.shape[-1]).double().requires_grad_()
        motion = batch[:, None].clone().requires_grad_()
        angle(linear_codes(1.0, 1.0, first, motion), first, motion)
    return angle


def test_statistics_follow_the_displacements():
    torch.manual_seed(0)
    batches = double(3, -1) + double(2, 0.5) * torch.randn(400, 32, 2).double()
    standard = running(batches, decay=0.98).standard
    torch.testing.assert_close(standard.mean, double(3, -1), rtol=0.05, atol=0.05)
    torch.testing.assert_close(standard.std, double(2, 0.5), rtol=0.05, atol=0)


def test_statistics_are_those_of_the_mixture_of_batches():
    torch.manual_seed(0)
    batches = torch.randn(3, 5, 2).double()
    angle = running(batches, decay=0.7)
    mean, square = torch.zeros(2).double(), torch.ones(2).double()
    for batch in batches:
        mean = 0.7 * mean + 0.3 * batch.mean(dim=0)
        square = 0.7 * square + 0.3 * batch.square().mean(dim=0)
    torch.testing.assert_close(angle.mean, mean)
    torch.testing.assert_close(angle.var, square - mean.square())


def test_warmup_forgets_the_first_values_sooner():
    batches = torch.full((1, 4, 2), 5.0).double()
    assert_near(running(batches, decay=0.9).mean, 0.5)
    assert_near(running(batches, decay=0.9, warmup=True).mean, 4.5)


def test_statistics_stay_in_evaluation_and_get_no_gradient():
    angle = GradientAngle(2).double().eval()
    first, motion = (torch.randn(s).double().requires_grad_() for s in ((3, 2), (3, 1, 2)))
    angle(linear_codes(0.5, 1.0, first, motion), first, motion)
    assert torch.equal(angle.mean, torch.zeros(2).double())
    assert not angle.standard.std.requires_grad


def test_gradient_norm_is_over_the_whole_clip():
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 2).double()
    norms = clip_gradient_norms(lambda x: (x * weight).sum((1, 2, 3)), torch.randn(5, 4, 3, 2))
    torch.testing.assert_close(norms.double(), weight.norm().expand(5), rtol=1e-6, atol=0)
    assert float(gradient_penalty(norms)) == pytest.approx(float(weight.norm() - 1) ** 2, rel=1e-5)


def test_penalty_reaches_the_critic():
    weight = torch.full((6,), 2.0).double().requires_grad_()
    norms = clip_gradient_norms(lambda x: x.flatten(1) @ weight, torch.randn(5, 2, 3).double())
    gradient_penalty(norms).backward()
    norm = math.sqrt(24)
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_points_between_are_one_per_clip():
    real, fake = torch.ones(3, 2, 2), torch.zeros(3, 2, 2)
    points = between(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert points.flatten(1).tolist() == [[0.0] * 4, [0.25] * 4, [1.0] * 4]


def test_critic_is_to_score_real_clips_high():
    real, fake = torch.tensor([2.0, 4.0]), torch.tensor([1.0])
    assert float(wgan_critic_loss(real, fake)) == -2
