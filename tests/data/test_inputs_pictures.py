"""Pictures: modes, limits, and what is damaged."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import moving_square, read_input, write_pictures
from vgbench.data.decode import RefusedError
from vgbench.data.inputs import pictures
from vgbench.data.inputs.find import find_inputs


def only(folder):
    (video,) = find_inputs(folder, kind="frames").videos
    return video


def refused(video):
    with pytest.raises(RefusedError) as error:
        read_input(video)
    return error.value.reason, error.value.frames, error.value.detail


@pytest.mark.parametrize("quality", [75, 95])
def test_jpeg_is_pillows(tmp_path, quality):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
    folder = write_pictures(tmp_path / "v", noise, suffix=".jpg", quality=quality)
    expected = [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]
    assert np.array_equal(read_input(only(folder))[0], expected)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp"])
def test_lossless_formats(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    folder = write_pictures(tmp_path / "v", moving_square(3), suffix=suffix, **options)
    with only(folder).open() as reader:
        assert np.array_equal(list(reader), moving_square(3))
        assert (reader.header.width, reader.header.height, reader.header.frames) == (64, 48, 3)
        assert reader.header.codec == suffix[1:]


def test_grey_palette_and_sixteen_bits(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    deep = Image.fromarray(grey.astype(np.uint16) << 8 | 255)
    shades = {"L": Image.fromarray(grey), "P": Image.fromarray(grey).convert("P"), "I;16": deep}
    for mode, image in shades.items():
        folder = tmp_path / mode.replace(";", "")
        folder.mkdir()
        image.save(folder / "0.png")
        assert Image.open(folder / "0.png").mode == mode
        frames, timing = read_input(only(folder))
        assert np.array_equal(frames[0], np.repeat(grey[..., None], 3, axis=2))
        assert "alpha" not in timing.flags


def test_transparency_is_composited_on_black(tmp_path):
    pixels = np.full((8, 8, 4), 200, np.uint8)
    pixels[:4, :, 3], pixels[4:, :, 3] = 255, 0
    Image.fromarray(pixels).save(tmp_path / "0.png")
    frames, timing = read_input(only(tmp_path))
    assert "alpha" in timing.flags
    assert (frames[0, :4] == 200).all()
    assert (frames[0, 4:] == 0).all()


def test_damaged_picture_in_the_middle(tmp_path):
    folder = write_pictures(tmp_path / "v", moving_square(4))
    path = folder / "000002.png"
    path.write_bytes(path.read_bytes()[:60])
    reason, frames, detail = refused(only(folder))
    assert (reason, frames) == ("decode_error", 2)
    assert detail.startswith("decoding failed after 2 frames (000002.png: ")
    path.write_text("text")
    cause = "000002.png: not a picture of a known format"
    assert refused(only(folder))[2] == f"decoding failed after 2 frames ({cause})"


def test_a_picture_that_vanishes(tmp_path):
    folder = write_pictures(tmp_path / "v", moving_square(4))
    video = only(folder)
    (folder / "000001.png").unlink()
    assert refused(video)[2] == "decoding failed after 1 frames (No such file or directory)"


def test_limits(tmp_path, monkeypatch):
    folder = write_pictures(tmp_path / "v", moving_square(2))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 64 * 48 - 1)
    reason, _, detail = refused(only(folder))
    assert (reason, detail) == ("too_large", "000000.png: 64x48 is larger than 0 megapixels")
    monkeypatch.undo()
    monkeypatch.setattr("vgbench.data.inputs.frame_folders.MAX_BYTES", 10)
    assert refused(only(folder))[0] == "too_large"


@pytest.mark.parametrize(("side", "word"), [(7100, "50 megapixels"), (20_000, "pixels")])
def test_a_bomb_is_seen_in_the_header(tmp_path, side, word):
    claim = bytearray(
        write_pictures(tmp_path, moving_square(1)).joinpath("000000.png").read_bytes()
    )
    struct.pack_into(">LL", claim, 16, side, side)
    struct.pack_into(">L", claim, 29, zlib.crc32(claim[12:29]))
    (tmp_path / "000000.png").write_bytes(claim)
    reason, frames, detail = refused(only(tmp_path))
    assert (reason, frames) == ("too_large", 0)
    assert word in detail


def test_animations_and_other_formats_are_no_frames(tmp_path):
    a, b = (Image.fromarray(frame) for frame in moving_square(2))
    a.save(tmp_path / "0.webp", save_all=True, append_images=[b])
    assert refused(only(tmp_path))[2].endswith("(0.webp: an animation, not a single picture)")
    a.save(tmp_path / "0.webp", "GIF")
    assert refused(only(tmp_path))[2].endswith("(0.webp: not a picture of a known format)")
