"""Archives of frames: layouts, labels, and everything that makes one unsafe."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import moving_square, read_input, write_pictures, write_zip
from vgbench.data.decode import RefusedError
from vgbench.data.inputs.archives import read_directory
from vgbench.data.inputs.find import find_inputs
from vgbench.errors import DataError


def png(value=0, side=8):
    data = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def make(path, members, compression=zipfile.ZIP_STORED):
    """Writes an archive; a member is a name or a ZipInfo, with its content."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def clip(folder, count=3):
    return [(f"{folder}/{t:03d}.png", png(t)) for t in range(count)]


def error_text(path):
    with pytest.raises(DataError) as error:
        find_inputs(path)
    return str(error.value)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    for name, count in (("v10", 3), ("v2", 4), ("deep/v1", 5)):
        write_pictures(root / name, moving_square(count), suffix=".jpg", quality=90)
    return root


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_equals_its_folder(folder, tmp_path, compression):
    archive = write_zip(tmp_path / "all.zip", folder, compression)
    ours, theirs = find_inputs(folder), find_inputs(archive)
    assert (theirs.kind, theirs.reason) == ("zip", "found 1 archives of frames")
    assert [v.name for v in theirs.videos] == [v.name for v in ours.videos]
    for a, b in zip(ours.videos, theirs.videos, strict=True):
        assert a.content() == b.content()
        assert a.stamp()[0] == b.stamp()[0]
        assert np.array_equal(read_input(a)[0], read_input(b)[0])
    assert len({video.content() for video in ours.videos}) == 3


def test_frames_in_the_root_are_one_video_called_after_the_archive(tmp_path):
    archive = make(tmp_path / "clip.zip", [("1.png", png()), ("0.png", png(1))])
    write_pictures(tmp_path / "clip", moving_square(2))
    assert [v.name for v in find_inputs(archive).videos] == ["clip"]
    assert [v.name for v in find_inputs(tmp_path / "clip", kind="frames").videos] == ["clip"]


def test_stylegan_v_layouts_that_break_its_own_loader(tmp_path):
    labels = {"labels": {"sky/b/000.png": 1, "sky/a/000.png": 0}}
    members = [("sky/dataset.json", json.dumps(labels)), *clip("sky/b"), *clip("sky/a", 12)]
    members += [("__MACOSX/sky/b/._000.png", b"x"), ("sky/b/Thumbs.db", b"x")]
    found = find_inputs(make(tmp_path / "sky.zip", members))
    assert [(v.name, v.label, v.count) for v in found.videos] == [("sky/a", 0, 12), ("sky/b", 1, 3)]
    flat = [("dataset.json", '{"labels": null}'), *clip("b"), *clip("a")]
    assert [v.label for v in find_inputs(make(tmp_path / "flat.zip", flat)).videos] == [-1, -1]


def test_partitions_of_long_video_gan(tmp_path):
    root = tmp_path / "0036x0064"
    root.mkdir()
    order = {"x/clip_1": ["000.png", "001.png"], "x/clip_0": ["002.png", "000.png"], "none": []}
    for number in range(2):
        members = [*clip("x/clip_0"), *clip("x/clip_1"), ("frame_paths.json", json.dumps(order))]
        make(root / f"partition_{number}.zip", members)
    found = find_inputs(root)
    assert (found.kind, found.reason) == ("zip", "found 2 archives of frames")
    assert [v.name for v in found.videos] == [
        f"partition_{i}/x/clip_{j}" for i in range(2) for j in range(2)
    ]
    listed = read_input(found.videos[0])[0]
    assert np.array_equal(listed[0], np.asarray(Image.open(io.BytesIO(png(2)))))
    one = find_inputs(root / "partition_0.zip")
    assert [v.name for v in one.videos] == ["x/clip_0", "x/clip_1"]


@pytest.mark.parametrize("listing", ['{"x": ["9.png"]}', '{"x": "000.png"}', "[]", "{"])
def test_damaged_partition(tmp_path, listing):
    path = make(tmp_path / "a.zip", [*clip("x"), ("frame_paths.json", listing)])
    assert error_text(path).startswith(f"{path}: ")


def test_no_frames(tmp_path):
    path = make(tmp_path / "a.zip", [("a.txt", "x"), ("film.mp4", "x")])
    assert error_text(path).startswith(f"no videos or frame folders found in {path}")


@pytest.mark.parametrize(
    "name", ["../x.png", "v/../../x.png", "/x.png", "C:/x.png", "..\\x.png", "\\x.png", "v/.."]
)
def test_unsafe_names(tmp_path, name):
    path = make(tmp_path / "a.zip", [*clip("v"), (name, png())])
    assert error_text(path) == (
        f"{path}: unsafe member name {name!r} (absolute path or '..'); nothing was read"
    )


def test_bombs(tmp_path):
    data = b"\0" * 10**6
    path = make(tmp_path / "a.zip", [("v/0.png", data)], zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        ratio = 10**6 / archive.infolist()[0].compress_size
    assert error_text(path) == (
        f"{path}: member 'v/0.png' expands {ratio:.0f}x to 1000000 bytes; "
        "limit is 200x or 256 MiB per member"
    )
    big = make(tmp_path / "b.zip", [("v/0.png", png())])
    patch(big, b"PK\x01\x02", 24, struct.pack("<L", 2**28 + 1))
    assert "limit is 200x or 256 MiB per member" in error_text(big)


def patch(path, signature, at, value):
    """Overwrites bytes of the last record with the given signature."""
    data = bytearray(path.read_bytes())
    start = data.rindex(signature) + at
    data[start : start + len(value)] = value
    path.write_bytes(data)


def test_a_member_never_expands_beyond_what_it_claims(tmp_path):
    path = make(tmp_path / "a.zip", [("v/0.png", b"\0" * 10**6)], zipfile.ZIP_DEFLATED)
    patch(path, b"PK\x01\x02", 24, struct.pack("<L", 5000))
    (video,) = find_inputs(path).videos
    with pytest.raises(RefusedError, match="wrong size or checksum") as error:
        video.open()
    assert error.value.reason == "decode_error"


def test_encrypted_linked_and_repeated_members(tmp_path):
    path = make(tmp_path / "a.zip", clip("v"))
    patch(path, b"PK\x01\x02", 8, struct.pack("<H", 1))
    assert error_text(path) == f"{path}: member 'v/002.png' is encrypted"
    link = zipfile.ZipInfo("v/000.png")
    link.external_attr = 0o120777 << 16
    path = make(tmp_path / "b.zip", [(link, "/etc/passwd")])
    assert error_text(path) == f"{path}: member 'v/000.png' is a symbolic link"
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = make(tmp_path / "c.zip", [*clip("v"), *clip("v", 1)])
    assert error_text(path) == f"{path}: member 'v/000.png' is listed twice"


def test_damaged_archives(tmp_path):
    whole = make(tmp_path / "a.zip", clip("v")).read_bytes()
    for number, data in enumerate((b"", b"no archive", whole[: len(whole) // 2])):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(data)
        assert error_text(path) == f"{path}: damaged archive (File is not a zip file)"
    path = make(tmp_path / "b.zip", [("v/0.png", png())], zipfile.ZIP_BZIP2)
    assert error_text(path).startswith(f"{path}: damaged archive (compression method 12 of")
    path = make(tmp_path / "c.zip", [("v/" + "0" * 5000 + ".png", png())])
    assert error_text(path) == f"{path}: damaged archive (member name of 5006 characters)"


def test_a_damaged_member_is_refused_with_its_name(tmp_path):
    path = make(tmp_path / "a.zip", [*clip("v"), *clip("w")])
    data = bytearray(path.read_bytes())
    data[data.index(png(1)) + 20] ^= 255
    path.write_bytes(data)
    v, w = find_inputs(path).videos
    with pytest.raises(RefusedError) as error:
        read_input(v)
    text = "decoding failed after 1 frames (v/001.png: wrong size or checksum)"
    assert str(error.value) == f"refused v: {text}"
    with pytest.raises(RefusedError, match="wrong size or checksum"):
        v.content()
    assert len(read_input(w)[0]) == 3


def test_debris_is_no_member(tmp_path):
    members = [("v/000.png", png()), ("__MACOSX/v/._000.png", b""), (".git/0.png", b"")]
    path = make(tmp_path / "a.zip", [("v/", ""), *members])
    assert list(read_directory(path)) == ["v/000.png"]
