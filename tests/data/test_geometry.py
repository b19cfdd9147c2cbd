import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from vgbench.data.decode import RefusedError
from vgbench.data.geometry import Geometry, centre_box, centre_square
from vgbench.errors import DataError


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def lanczos_matrix(m, r):
    """The weights as the data specification writes them, without Pillow."""
    s = m / r
    f = max(s, 1)
    weights = np.zeros((r, m))
    for i in range(r):
        c = (i + 0.5) * s
        j = np.arange(max(int(c - 3 * f + 0.5), 0), min(int(c + 3 * f + 0.5), m))
        x = (j - c + 0.5) / f
        w = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
        weights[i, j] = w / w.sum()
    return weights


def area_matrix(m, r):
    """Mean over the exact share of every pixel, for m a multiple of r."""
    return np.kron(np.eye(r), np.full((1, m // r), r / m))


def triangle_matrix(m, r):
    """Bilinear that widens with the scale."""
    f = max(m / r, 1)
    x = (np.arange(m) + 0.5 - ((np.arange(r) + 0.5) * m / r)[:, None]) / f
    w = np.maximum(1 - np.abs(x), 0)
    return w / w.sum(axis=1, keepdims=True)


def sampled_matrix(m, r, kernel):
    """Weights of a kernel at the centres of the output pixels, edges repeated."""
    weights = np.zeros((r, m))
    for i in range(r):
        x = (i + 0.5) * m / r - 0.5
        for j in range(int(np.floor(x)) - 2, int(np.floor(x)) + 4):
            weights[i, min(max(j, 0), m - 1)] += kernel(abs(x - j))
    return weights


def cubic(x, a=-0.75):
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0


def round_clip(x):
    return np.floor(x + 0.5).clip(0, 255)


def separable(frame, rows, columns, between=round_clip):
    half = between(np.einsum("rj,hjc->hrc", columns, frame.astype(float)))
    return round_clip(np.einsum("rj,jwc->rwc", rows, half))


def assert_close(result, expected, share=1e-3):
    gap = np.abs(result - expected)
    assert gap.max() <= 1
    assert (gap > 0).mean() <= share


@pytest.mark.parametrize(("m", "r"), [(96, 64), (48, 64), (130, 32)])
def test_is_antialiased_lanczos(m, r):
    frame, a = noise(m, m), lanczos_matrix(m, r)
    assert_close(centre_square(frame, r), separable(frame, a, a))


@pytest.mark.parametrize(
    ("resize", "matrix"), [("area", area_matrix), ("bilinear", triangle_matrix)]
)
def test_other_filters(resize, matrix):
    frame, a = noise(96, 120), matrix(96, 32)
    result = Geometry(32, resize=resize).square(frame)
    assert_close(result, separable(frame[:, 12:108], a, a))


def test_crop_takes_the_centre_without_resampling():
    frame = noise(77, 101)
    assert np.array_equal(centre_square(frame, 77), frame[:, 12:89])
    tall = frame.transpose(1, 0, 2)
    assert np.array_equal(centre_square(tall, 77), tall[12:89])


def test_wide_pixels_make_a_circle_round():
    # a disc as a camera with pixels 2 wide and 1 high stores it
    y, x = np.mgrid[:120, :100]
    disc = ((x + 0.5 - 50) * 2) ** 2 + (y + 0.5 - 60) ** 2 < 40**2
    frame = np.repeat((disc * 255).astype(np.uint8)[..., None], 3, axis=2)
    for recipe in ("default", "styleganv", "styleinv"):
        square = Geometry(120, recipe).square(frame, Fraction(2))
        inside = np.argwhere(square[..., 0] > 127)
        height, width = np.ptp(inside, axis=0) + 1
        assert square.shape == (120, 120, 3)
        assert abs(height - 80) <= 1
        assert abs(width - 80) <= 1


def test_tall_pixels_are_cropped_in_display_units():
    frame = np.zeros((100, 100, 3), np.uint8)
    frame[25:75] = 255  # the display is 50 wide and 100 high: this is its centre square
    assert (centre_square(frame, 50, Fraction(1, 2)) > 200).mean() > 0.9
    assert centre_box(frame, Fraction(1, 2)) == (0, 25, 100, 75)
    centre_square(np.zeros((144, 176, 3), np.uint8), 64, Fraction(128, 117))


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (64, 100), (70, 70)])
def test_styleganv_resizes_then_crops_then_compresses(size):
    height, width = size
    scaled = int(64 * width / min(size)), int(64 * height / min(size))
    frame = noise(*size) // 4 + 90
    image = Image.fromarray(frame)
    if scaled != (width, height):
        image = image.resize(scaled, Image.Resampling.LANCZOS)
    left, top = (round((side - 64) / 2) for side in scaled)
    stored = io.BytesIO()
    image.crop((left, top, left + 64, top + 64)).save(stored, "JPEG")  # Pillow's default quality
    result = Geometry(64, "styleganv").square(frame)
    assert np.array_equal(result, np.asarray(Image.open(stored)))
    assert not np.array_equal(result, Geometry(64).square(frame))


@pytest.mark.parametrize("size", [(90, 160), (40, 30)])
def test_stylesv_squashes_by_bicubic_without_antialiasing(size):
    frame = noise(*size)
    rows, columns = (sampled_matrix(side, 64, cubic) for side in size)
    result = Geometry(64, "stylesv").square(frame, Fraction(4, 3))
    assert_close(result, separable(frame, rows, columns, between=lambda x: x))


@pytest.mark.parametrize("size", [(90, 160), (160, 90), (40, 30)])
def test_styleinv_crops_then_takes_bilinear_without_antialiasing(size):
    frame, side = noise(*size), min(size)
    a = sampled_matrix(side, 64, lambda x: max(1 - x, 0))
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    expected = separable(frame[top : top + side, left : left + side], a, a, between=lambda x: x)
    assert_close(Geometry(64, "styleinv").square(frame), expected)


def test_styleinv_is_torch_without_antialiasing():
    torch = pytest.importorskip("torch")
    frame = noise(100, 100)
    batch = torch.from_numpy(frame).permute(2, 0, 1)[None].double()
    expected = torch.nn.functional.interpolate(batch, (64, 64), mode="bilinear", antialias=False)
    result = Geometry(64, "styleinv").square(frame)
    assert_close(result, expected[0].permute(1, 2, 0).numpy().round())


def test_g3an_squashes_with_antialiasing():
    frame = noise(96, 160)
    rows, columns = triangle_matrix(96, 64), triangle_matrix(160, 64)
    result = Geometry(64, "g3an").square(frame, Fraction(4, 3))
    assert_close(result, separable(frame, rows, columns))


def test_recipes_differ():
    frame = noise(90, 160)
    recipes = ("default", "styleganv", "stylesv", "styleinv", "g3an")
    assert len({Geometry(64, recipe).square(frame).tobytes() for recipe in recipes}) == 5


def test_square_frames_only():
    geometry = Geometry(32, crop="none")
    with pytest.raises(DataError) as error:
        geometry.check(noise(48, 64), Fraction(1), "a/b.mp4")
    assert str(error.value) == "a/b.mp4 is 64x48; --crop none needs square frames"
    assert geometry.check(noise(48, 48), Fraction(1), "a") == set()
    assert geometry.check(noise(64, 48), Fraction(4, 3), "a") == set()  # square when displayed
    assert Geometry(32).check(noise(48, 64), Fraction(1), "a") == set()


def test_enlarging_is_noted_or_refused():
    assert Geometry(64).check(noise(63, 90), Fraction(1), "a") == {"upscaled"}
    with pytest.raises(RefusedError) as error:
        Geometry(64, upscale=False).check(noise(63, 90), Fraction(1), "a.mp4")
    assert error.value.reason == "upscale"
    assert str(error.value) == (
        "refused a.mp4: 90x63 would have to be enlarged to 64x64 (--no-upscale)"
    )
