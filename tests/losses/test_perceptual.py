"""Distances of images in look and in person."""

import pytest
import torch
from torch import nn

from vgbench.losses.identity import IdentityDistance
from vgbench.losses.perceptual import DiscriminatorDistance
from vgbench.nn.stylegan2.image_discriminator import Discriminator
from vgbench.nn.stylegan2.options import FrameFusion, Pyramid
from vgbench.nn.stylegan2.video_discriminator import VideoDiscriminator

TINY = Pyramid(32, channel_base=256, channel_max=16)


def images(n=4, seed=0):
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def made():
    torch.manual_seed(0)
    discriminator = Discriminator(TINY)
    return discriminator, DiscriminatorDistance(discriminator)


def test_distance_is_relative_to_the_size_of_each_map():
    discriminator, distance = made()
    fake, real = images(seed=1), images()
    parts, f, g = [], fake, real
    with torch.no_grad():
        for resolution in (32, 16, 8):
            block = discriminator.get_submodule(f"b{resolution}")
            f, g = block(f), block(g)
            parts.append((f - g).abs().mean() / g.abs().mean())
    torch.testing.assert_close(distance(fake, real), torch.stack(parts).mean())
    assert distance(real, real) == 0


def test_scale_of_a_block_does_not_matter():
    discriminator, distance = made()
    with torch.no_grad():
        want = distance(images(seed=1), images())
        # what both paths of the last block end in
        for layer in (discriminator.b8.conv1, discriminator.b8.skip):
            layer.weight.mul_(7)
        louder = DiscriminatorDistance(discriminator)(images(seed=1), images())
    torch.testing.assert_close(louder, want)


def test_magnitudes_are_the_mean_of_batches_and_then_follow_slowly():
    _, distance = made()
    with torch.no_grad():
        sizes = []
        for seed in range(5):
            maps = distance.features((1 + seed) * images(seed=seed))
            sizes.append(torch.stack([m.abs().mean() for m in maps]))
            distance(images(), (1 + seed) * images(seed=seed))
        torch.testing.assert_close(distance.magnitudes, torch.stack(sizes).mean(dim=0))
        distance.batches.fill_(10_000)
        before = distance.magnitudes.clone()
        distance(images(), images())
        torch.testing.assert_close(distance.magnitudes, torch.lerp(before, sizes[0], 0.01))
        kept = distance.magnitudes.clone()
        distance.eval()(images(), 100 * images())
        assert torch.equal(distance.magnitudes, kept)


def test_gradients_reach_the_fake_alone():
    _, distance = made()
    fake, real = images(seed=1).requires_grad_(), images().requires_grad_()
    distance(fake, real).backward()
    assert fake.grad.abs().max() > 0
    assert real.grad is None
    assert all(p.grad is None for p in distance.parameters())


def test_later_training_of_the_discriminator_does_not_matter():
    discriminator, distance = made()
    fake, real = images(seed=1), images()
    before = distance.eval()(fake, real)
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.normal_()
    assert torch.equal(distance(fake, real), before)
    assert all(p.requires_grad for p in discriminator.parameters())


def test_a_video_discriminator_of_one_frame_has_the_same_features():
    discriminator, distance = made()
    video = VideoDiscriminator(TINY, FrameFusion(1, resolution=8, merge="mean"))
    video.load_state_dict(discriminator.state_dict())
    got = DiscriminatorDistance(video)(images(seed=1), images())
    assert torch.equal(got, distance(images(seed=1), images()))


class Corners(nn.Module):
    """Stands for a face network: the mean colours of the four quarters of what it is given."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, faces):
        self.seen.append(faces)
        return self.scale * nn.functional.adaptive_avg_pool2d(faces, 2).flatten(1)


@pytest.mark.parametrize("side", [256, 64, 512])
def test_faces_are_cropped_as_at_256_pixels(side):
    ramp = torch.arange(side).float() * 256 / side
    picture = torch.stack([ramp[:, None].expand(side, side), ramp.expand(side, side)])
    embed = Corners()
    IdentityDistance(embed)(picture[None], picture[None])
    rows, columns = embed.seen[0][0]
    assert rows.shape == (112, 112)
    assert float(rows.mean()) == pytest.approx((35 + 222) / 2, abs=4)
    assert float(columns.mean()) == pytest.approx((32 + 219) / 2, abs=4)
    step = (rows[-1, 0] - rows[0, 0]) / 111
    assert float(step) == pytest.approx(188 / 112, rel=0.03)


def test_identity_is_one_minus_the_cosine():
    embed, generator = Corners(), torch.Generator().manual_seed(0)
    fake, real = torch.randn(2, 3, 3, 256, 256, generator=generator).unbind()
    fake.requires_grad_()
    distance = IdentityDistance(embed).train()
    assert not embed.training
    got = distance(fake, real)
    got.backward()
    a, b = embed.seen[1].detach(), embed.seen[0]
    pools = [nn.functional.adaptive_avg_pool2d(x, 2).flatten(1) for x in (a, b)]
    cosines = (pools[0] * pools[1]).sum(1) / (pools[0].norm(dim=1) * pools[1].norm(dim=1))
    torch.testing.assert_close(got.detach(), (1 - cosines).mean())
    assert fake.grad[:, :, 35:223, 32:220].abs().max() > 0
    assert fake.grad[:, :, :35].abs().max() == 0
    assert embed.scale.grad is None
