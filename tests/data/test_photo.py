"""Photographs as users have them: turned, in other colours, damaged, or none at all."""

import struct
import zlib

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


def picture(width=48, height=40):
    """Smooth colours that are different at every place."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    return np.stack([255 * x, 255 * y, 128 + 100 * np.sin(6 * x * y)], axis=-1).astype(np.uint8)


def deep_png(pixels):
    """The bytes of a PNG with 16 bits per colour, which Pillow reads and does not write."""
    height, width, _ = pixels.shape

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">2I5B", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def saved_as(kind, folder):
    """Writes a photograph of some kind, and the same picture as a plain one."""
    pixels, plain = picture(), folder / f"{kind}-plain.png"
    path = folder / kind
    if kind.startswith("turned"):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise by a quarter
        Image.fromarray(pixels).save(path, exif=exif)
        with Image.open(path) as stored:
            pixels = np.rot90(np.asarray(stored), -1)
    elif kind == "cmyk.jpg":
        Image.fromarray(pixels).convert("CMYK").save(path, quality=95)
        with Image.open(path) as stored:
            cmyk = 1 - np.asarray(stored).astype(float) / 255
        assert np.abs(cmyk[..., :3] * cmyk[..., 3:] * 255 - pixels).mean() < 4
        pixels = np.rint(cmyk[..., :3] * cmyk[..., 3:] * 255).astype(np.uint8)
    elif kind == "deep.png":
        path.write_bytes(deep_png(pixels.astype(np.uint16) * 256 + 77))
    elif kind == "deep_grey.png":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 256 + 200).save(path)
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    elif kind == "clear.png":
        alpha = np.linspace(0, 255, pixels.shape[1]).astype(np.uint8)
        alpha = np.broadcast_to(alpha, pixels.shape[:2])[..., None]
        Image.fromarray(np.concatenate([pixels, alpha], axis=2)).save(path)
        pixels = np.rint(pixels.astype(float) * alpha / 255).astype(np.uint8)
    Image.fromarray(pixels).save(plain)
    return path, plain


KINDS = ("turned.jpg", "turned.png", "cmyk.jpg", "deep.png", "deep_grey.png", "clear.png")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_picture_that_it_shows(tmp_path, kind):
    path, plain = saved_as(kind, tmp_path)
    found, expected = (read_photo(one, 32) for one in (path, plain))
    # rounding of blended and of printed colours
    assert np.abs(found.astype(int) - expected).max() <= (1 if kind in KINDS[2::3] else 0)
    assert expected.std() > 10


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
