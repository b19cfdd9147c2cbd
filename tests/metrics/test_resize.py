import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from vgbench.metrics.extractors.resize import (
    KINETICS_MEAN,
    clean,
    kinetics_112,
    resize_clean,
    resize_half_pixel,
    resize_tf1,
    short_side_224,
    styleganv,
    tf1,
    tf1_224,
    torch_299,
)


def by_definition(image, height, width, shift):
    """Bilinear sampling written out pixel by pixel; `shift` is where a pixel's centre lies."""
    rows, columns = image.shape
    scales = [np.float64(np.float32(n / m)) for n, m in ((rows, height), (columns, width))]
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = max((i + shift) * scales[0] - shift, 0)
            x = max((j + shift) * scales[1] - shift, 0)
            y0, x0 = min(int(y), rows - 1), min(int(x), columns - 1)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            upper = image[y0, x0] * (1 - (x - x0)) + image[y0, x1] * (x - x0)
            lower = image[y1, x0] * (1 - (x - x0)) + image[y1, x1] * (x - x0)
            out[i, j] = upper * (1 - (y - y0)) + lower * (y - y0)
    return out


@pytest.mark.parametrize("size", [(5, 7), (8, 3), (16, 16), (11, 30), (1, 1)])
@pytest.mark.parametrize(("resize", "shift"), [(resize_tf1, 0.0), (resize_half_pixel, 0.5)])
def test_equals_its_definition(resize, shift, size):
    image = torch.from_numpy(np.random.default_rng(0).random((2, 3, 8, 10)))
    got = resize(image, *size)
    assert got.shape == (2, 3, *size)
    want = by_definition(image[1, 2].numpy(), *size, shift)
    assert np.abs(got[1, 2].numpy() - want).max() < 1e-6


@pytest.mark.parametrize("resize", [resize_tf1, resize_half_pixel])
def test_same_size_changes_nothing(resize):
    image = torch.rand(1, 3, 9, 12)
    assert torch.equal(resize(image, 9, 12), image)


def test_the_conventions_differ_as_known():
    step = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    assert resize_tf1(step, 1, 4).flatten().tolist() == [0, 0.5, 1, 1]
    assert resize_half_pixel(step, 1, 4).flatten().tolist() == [0, 0.25, 0.75, 1]


def test_no_antialiasing():
    comb = torch.tensor([0.0, 255.0] * 8).reshape(1, 1, 1, 16)
    assert resize_tf1(comb, 1, 8).unique().tolist() == [0]
    assert resize_half_pixel(comb, 1, 4).unique().tolist() == [127.5]


def noise(height, width, n=2, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)
    return torch.from_numpy(pixels)


@pytest.mark.parametrize("size", [(40, 52), (300, 410), (299, 299)])
def test_clean_is_pillows_bicubic_of_float_channels(size):
    image = noise(*size)
    got = clean(image) * 128 + 128
    for i, channel in ((0, 0), (1, 2)):
        plane = Image.fromarray(image[i, :, :, channel].numpy().astype(np.float32))
        want = np.asarray(plane.resize((299, 299), Image.Resampling.BICUBIC)).clip(0, 255)
        assert np.abs(got[i, channel].numpy() - want).max() < 1e-4


def test_clean_antialiases():
    comb = torch.tensor([0.0, 255.0] * 32).reshape(1, 1, 1, 64).expand(1, 1, 8, 64)
    middle = resize_clean(comb, 8, 16)[..., 4:-4]
    assert (middle - 127.5).abs().max() < 15  # where the others read 0 or 255 only


@pytest.mark.parametrize("size", [(64, 64), (256, 340), (112, 70)])
def test_kinetics_is_pillows_bilinear_minus_the_mean_colour(size):
    image = noise(*size)
    mean = torch.tensor(KINETICS_MEAN)
    got = rearrange(kinetics_112(image), "n c h w -> n h w c") + mean
    want = np.asarray(
        Image.fromarray(image[1].numpy()).resize((112, 112), Image.Resampling.BILINEAR)
    )
    assert np.array_equal(got[1].numpy().round(3), want)


@pytest.mark.parametrize("prepare", [styleganv, tf1_224, short_side_224, torch_299])
def test_scaling_to_one(prepare):
    white = torch.full((1, 5, 7, 3), 255).byte()
    assert (prepare(white) - 1).abs().max() < 1e-6
    assert prepare(0 * white).unique().tolist() == [-1]


@pytest.mark.parametrize("prepare", [tf1, clean])
def test_scaling_around_128(prepare):
    white = torch.full((1, 5, 7, 3), 255).byte()
    assert (prepare(white) - 127 / 128).abs().max() < 1e-6
    assert prepare(0 * white).unique().tolist() == [-1]


@pytest.mark.parametrize("prepare", [styleganv, tf1_224, short_side_224, tf1, torch_299])
def test_frames_of_the_right_size_are_scaled_only(prepare):
    side = prepare(noise(4, 4)).shape[-1]
    image = noise(side, side)
    pixels = rearrange(image.double(), "n h w c -> n c h w")
    want = (pixels - 128) / 128 if prepare is tf1 else 2 * pixels / 255 - 1
    assert (prepare(image) - want).abs().max() < 3e-7


def test_the_aspect_is_kept_by_the_crop_only():
    """A square in a wide frame; its sides after resizing, from the area of the bright pixels."""
    frame = torch.zeros(1, 40, 90, 3, dtype=torch.uint8)
    frame[:, 10:30, 35:55] = 255
    for prepare, sides in ((short_side_224, (112, 112)), (styleganv, (112, 50))):
        bright = prepare(frame)[0, 0] > 0
        assert bright.any(1).sum() == pytest.approx(sides[0], abs=2)
        assert bright.any(0).sum() == pytest.approx(sides[1], abs=2)
    assert short_side_224(frame.transpose(1, 2)).shape == (1, 3, 224, 224)
