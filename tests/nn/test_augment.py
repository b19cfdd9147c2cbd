"""Augmentation: what each transformation does, that clips move as one, and its derivatives."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from vgbench.errors import UsageError
from vgbench.nn.augment import (
    AdaptiveAugmentation,
    Augmentation,
    Dice,
    draw_colours,
    draw_geometry,
    move_pixels,
)
from vgbench.nn.grid_sample import sample_bilinear

INNER = (..., slice(6, -6), slice(6, -6))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth(n=1, size=32):
    """Images without high frequencies, that look different from every side."""
    position = torch.arange(size) - (size - 1) / 2
    x, y = position[None], position[:, None]
    image = torch.sin(y * 0.25 + 0.3) * torch.cos(x * 0.15 + 0.2)
    return torch.stack([image, y * 0.02 + torch.sin(x * 0.2)]).expand(n, -1, -1, -1)


def matrix(rows):
    return torch.tensor([[*rows[0]], [*rows[1]], [0.0, 0.0, 1.0]])[None]


def test_nothing_happens_without_a_move():
    x = torch.randn(2, 3, 12, 16, generator=generator())
    got = move_pixels(x, torch.eye(3).repeat(2, 1, 1))
    torch.testing.assert_close(got, x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ([(-1.0, 0.0, 0.0), (0.0, 1.0, 0.0)], lambda x: x.flip(3)),
        ([(0.0, -1.0, 0.0), (1.0, 0.0, 0.0)], lambda x: x.rot90(-1, (2, 3))),
        ([(1.0, 0.0, 3.0), (0.0, 1.0, -2.0)], lambda x: x.roll((-2, 3), (2, 3))),
    ],
    ids=["mirror", "quarter turn", "shift"],
)
def test_moves_of_the_grid_onto_itself(rows, want):
    x = smooth()
    torch.testing.assert_close(
        move_pixels(x, matrix(rows))[INNER], want(x)[INNER], rtol=0, atol=3e-3
    )


def test_shifts_by_part_of_a_pixel_are_band_limited():
    x = smooth()
    twice = [matrix([(1.0, 0.0, 0.5), (0.0, 1.0, 0.0)])] * 2
    for move in twice:
        x = move_pixels(x, move)
    torch.testing.assert_close(x[INNER], smooth().roll(1, 3)[INNER], rtol=0, atol=3e-3)


def test_draws_at_full_strength_cover_every_move_and_none_at_zero():
    dice = Dice(2000, generator())
    still = draw_geometry(dice, 0.0, 32, 24)
    assert torch.equal(still, torch.eye(3).expand_as(still))
    assert torch.allclose(draw_colours(dice, 0.0), torch.eye(4), atol=1e-6)
    moved = draw_geometry(dice, 1.0, 32, 24)
    determinant = torch.linalg.det(moved[:, :2, :2])
    assert (determinant < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert determinant.abs().log2().std().item() == pytest.approx(0.4, abs=0.03)
    assert moved[:, 0, 2].std() > moved[:, 1, 2].std() * 0.9


def test_a_share_of_clips_is_left_alone():
    # eight gates are open with this probability, two turns share one
    geometry = draw_geometry(Dice(4000, generator()), 0.2, 32, 32)
    still = (geometry == torch.eye(3)).all(dim=2).all(dim=1).float().mean().item()
    # a mirror or quarter turn that is drawn may be none: 1/2 and 1/4 of the time
    want = (1 - 0.2 / 2) * (1 - 0.2 * 3 / 4) * 0.8**5
    assert still == pytest.approx(want, abs=0.03)


def test_hue_and_saturation_leave_grey_alone_and_luma_flip_inverts_it():
    colours = draw_colours(Dice(500, generator()), 1.0)
    grey = torch.tensor([0.3, 0.3, 0.3, 1.0])
    made = colours @ grey
    torch.testing.assert_close(made[:, :3], made[:, :1].expand(-1, 3), rtol=1e-4, atol=1e-4)
    assert torch.equal(colours[:, 3], torch.tensor([0.0, 0, 0, 1]).expand(500, 4))
    slope = (colours[:, :3, :3].sum(dim=(1, 2)) / 3).sign()
    assert slope.mean().item() == pytest.approx(0, abs=0.15)


def test_frames_of_a_clip_move_alike_and_clips_do_not():
    augment = Augmentation(strength=1.0)
    frame = torch.rand(1, 3, 1, 16, 16, generator=generator())
    out = augment(frame.expand(2, 3, 4, 16, 16), generator(1))
    for t in range(1, 4):
        torch.testing.assert_close(out[:, :, t], out[:, :, 0])
    assert (out[0] - out[1]).abs().max() > 0.1


def test_the_same_generator_state_gives_the_same_clips():
    augment, video = Augmentation(strength=0.7), torch.rand(2, 3, 2, 16, 16)
    assert torch.equal(augment(video, generator()), augment(video, generator()))
    assert augment(video, generator()).shape == video.shape
    assert Augmentation()(video, generator()) is video


def test_other_than_three_colours_are_refused():
    with pytest.raises(UsageError, match="got 1 channels"):
        Augmentation(strength=1.0)(torch.zeros(1, 1, 1, 8, 8), generator())


def test_each_clip_may_have_a_generator_of_its_own():
    augment, video = Augmentation(strength=0.7), torch.rand(3, 3, 2, 16, 16)
    together = augment(video, [generator(seed) for seed in (4, 5, 6)])
    alone = augment(video[1:2], [generator(5)])
    # How far the edges are mirrored depends on the whole batch; what is seen does not.
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4)
    assert (together[0] - together[2]).abs().max() > 0.1


def observed(augment, *signs, clips=100):
    for sign in signs:
        augment.observe(torch.tensor(sign), clips)
    augment.adapt()
    return float(augment.strength)


def test_strength_follows_overfitting_and_stays_a_probability():
    augment = AdaptiveAugmentation(target=0.6, kclips=1.0)
    assert observed(augment, 0.9) == pytest.approx(0.1)
    assert observed(augment, 0.9, 0.9) == pytest.approx(0.3)
    assert observed(augment, 1.0, -1.0) == pytest.approx(0.1)  # zero on average
    assert observed(augment, -1.0, clips=500) == 0
    assert observed(augment, 1.0, clips=5000) == 1
    augment.observe(torch.tensor(1.0), 7)
    again = AdaptiveAugmentation(target=0.6, kclips=1.0)
    again.load_state_dict(augment.state_dict())
    assert (float(again.strength), float(again.signs), float(again.clips)) == (1, 7, 7)


def test_sampling_has_derivatives_of_two_orders():
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator()).requires_grad_()
    grid = 1.2 * torch.rand(1, 3, 3, 2, dtype=torch.float64, generator=generator()) - 0.6
    got = sample_bilinear(x, grid)
    torch.testing.assert_close(got, F.grid_sample(x, grid, align_corners=False))
    assert gradcheck(lambda x: sample_bilinear(x, grid).square(), x)
    assert gradgradcheck(lambda x: sample_bilinear(x, grid).square(), x)


def test_augmented_clips_have_derivatives_of_two_orders():
    video = torch.rand(1, 3, 1, 8, 8, dtype=torch.float64, generator=generator()).requires_grad_()
    augment = Augmentation(strength=1.0)
    (slope,) = torch.autograd.grad(
        augment(video, generator(3)).square().sum(), video, create_graph=True
    )
    (curve,) = torch.autograd.grad(slope.square().sum(), video)
    step = 1e-5 * curve / curve.norm()
    ends = []
    for sign in (1, -1):
        moved = (video + sign * step).detach().requires_grad_()
        loss = augment(moved, generator(3)).square().sum()
        ends.append(torch.autograd.grad(loss, moved)[0].square().sum())
    assert math.isclose(ends[0] - ends[1], 2e-5 * curve.norm(), rel_tol=1e-4)
