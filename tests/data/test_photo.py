"""Photographs as users have them: turned, in other colours, damaged, or none at all."""

import numpy as np
import pytest
from PIL import Image

from vgbench.data.photo import read_photo
from vgbench.errors import DataError

RED, BLUE = (250, 10, 20), (10, 20, 250)


def halves(width=64, height=32, left=RED, right=BLUE):
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, : width // 2], pixels[:, width // 2 :] = left, right
    return Image.fromarray(pixels)


def test_the_centre_square_is_cut_and_resized(tmp_path):
    halves().save(tmp_path / "a.png")
    photo = read_photo(tmp_path / "a.png", 16)
    assert photo.shape == (16, 16, 3)
    assert photo.dtype == np.uint8
    assert tuple(photo[0, 0]) == RED
    assert tuple(photo[-1, -1]) == BLUE
    same = read_photo(tmp_path / "a.png", 32)
    assert (same == np.asarray(halves(32))).all()


def test_photographs_are_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held such that the picture must be turned by 90 degrees
    halves(64, 64).save(tmp_path / "a.jpg", exif=exif, quality=95)
    photo = read_photo(tmp_path / "a.jpg", 32).astype(int)
    assert np.abs(photo[2] - RED).max() < 12
    assert np.abs(photo[-3] - BLUE).max() < 12


def test_other_colours_are_converted(tmp_path):
    halves().convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    photo = read_photo(tmp_path / "cmyk.jpg", 32).astype(int)
    assert np.abs(photo[:, 2] - RED).max() < 16
    grey = np.full((32, 32), 0x7F30, np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    assert (read_photo(tmp_path / "deep.png", 16) == 0x7F).all()
    halves().convert("P").save(tmp_path / "palette.png")
    assert np.abs(read_photo(tmp_path / "palette.png", 32)[:, 2].astype(int) - RED).max() < 64
    Image.new("RGBA", (32, 32), (200, 100, 50, 0)).save(tmp_path / "clear.png")
    assert not read_photo(tmp_path / "clear.png", 16).any()


def test_what_is_no_photograph_is_refused(tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("1", (8000, 8000)).save(tmp_path / "huge.png")
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    frames = [halves(), halves(left=BLUE)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    halves().save(tmp_path / "other.gif")
    for name, message in {
        "text.jpg": "is not a picture; expected one of JPEG, PNG",
        "empty.png": "is not a picture",
        "other.gif": "is not a picture",
        "dot.png": "is 1x1 pixels; expected at least 16x16",
        "huge.png": "larger than 50 megapixels",
        "cut.png": "cannot be read",
        "moving.webp": "an animation, not a single picture",
        "none.png": "cannot be read: No such file",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            read_photo(tmp_path / name, 16)
        assert str(tmp_path / name) in str(caught.value)
        assert caught.value.exit_code == 3
    with pytest.raises(DataError, match="cannot be read"):
        read_photo(tmp_path, 16)
