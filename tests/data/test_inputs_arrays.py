"""Arrays: both layouts, both files, and what is refused."""

import struct

import numpy as np
import pytest

from tests.data.conftest import moving_square, read_input
from vgbench.data.decode import RefusedError
from vgbench.data.inputs import arrays
from vgbench.data.inputs.find import find_inputs
from vgbench.errors import DataError

VIDEOS = np.stack([np.roll(moving_square(6, 16, 24), shift, axis=0) for shift in range(3)])


def error_text(path):
    with pytest.raises(DataError) as error:
        find_inputs(path)
    return str(error.value)


def everything(path):
    return np.stack([read_input(video)[0] for video in find_inputs(path).videos])


def test_rows_are_videos(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS)
    found = find_inputs(tmp_path / "a.npy")
    assert (found.kind, found.reason, found.ignored) == ("array", "found 1 arrays", 0)
    assert [v.name for v in found.videos] == ["a.npy#00000", "a.npy#00001", "a.npy#00002"]
    assert np.array_equal(everything(tmp_path / "a.npy"), VIDEOS)
    assert read_input(found.videos[0])[1].flags == ("fps_unknown",)
    assert found.videos[1].stamp()[0] == VIDEOS[0].size
    assert len({video.content() for video in found.videos}) == 3
    (tmp_path / "b").mkdir()
    np.save(tmp_path / "b" / "x.npy", VIDEOS[:1])
    assert [v.name for v in find_inputs(tmp_path).videos][-1] == "b/x.npy#00000"


@pytest.mark.parametrize("layout", ["thwc", "tchw", "fortran", "grey", "grey tchw"])
def test_layouts(tmp_path, layout):
    given = VIDEOS[..., :1] if "grey" in layout else VIDEOS
    expected = np.broadcast_to(given, VIDEOS.shape)
    given = np.moveaxis(given, 4, 2) if "tchw" in layout else given
    given = np.asfortranarray(given) if layout == "fortran" else given
    np.save(tmp_path / "a.npy", given)
    np.savez(tmp_path / "a.npz", video=given, other=np.zeros(3))
    np.savez_compressed(tmp_path / "b.npz", given)
    for name in ("a.npy", "a.npz", "b.npz"):
        assert np.array_equal(everything(tmp_path / name), expected)


def test_npy_and_npz_have_the_same_content(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS)
    np.savez(tmp_path / "a.npz", VIDEOS)
    np.savez_compressed(tmp_path / "b.npz", video=VIDEOS)
    found = [find_inputs(tmp_path / name).videos[1] for name in ("a.npy", "a.npz", "b.npz")]
    assert len({video.content() for video in found}) == 1


def test_a_changed_archive_is_not_remembered(tmp_path):
    np.savez_compressed(tmp_path / "b.npz", VIDEOS)
    first = everything(tmp_path / "b.npz")
    np.savez_compressed(tmp_path / "b.npz", 255 - VIDEOS)
    assert np.array_equal(everything(tmp_path / "b.npz"), 255 - first)


@pytest.mark.parametrize(
    "given",
    [
        VIDEOS.astype(np.float32),
        VIDEOS[0],
        np.zeros((2, 3, 8, 8, 4), np.uint8),
        np.zeros((2, 0, 8, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 8, 3), bool),
    ],
)
def test_other_arrays(tmp_path, given):
    path = tmp_path / "a.npy"
    np.save(path, given)
    assert error_text(path) == (
        f"{path}: expected uint8 (N,T,H,W,C) or (N,T,C,H,W), got {given.dtype} {given.shape}"
    )


def test_objects_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "written"), "w")

    hostile = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", hostile, allow_pickle=True)
    np.savez(tmp_path / "a.npz", video=hostile)
    for path in (tmp_path / "a.npy", tmp_path / "a.npz"):
        assert error_text(path) == f"{path}: contains Python objects; refusing to load"
    assert not (tmp_path / "written").exists()


def test_damaged_arrays(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS)
    path, whole = tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes()
    path.write_bytes(whole[:-1])
    assert error_text(path) == (
        f"{path}: damaged array ({VIDEOS.size - 1} bytes of numbers where "
        f"{VIDEOS.shape} needs {VIDEOS.size})"
    )
    for data in (b"", b"text", whole[:40], whole[:6] + b"\x09\x00" + whole[8:]):
        path.write_bytes(data)
        assert error_text(path).startswith(f"{path}: damaged array (")
    header = b"[" * 60_000
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    assert error_text(path).startswith(f"{path}: damaged array (")


def test_archives_of_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=VIDEOS, y=VIDEOS)
    text = f"{tmp_path / 'a.npz'}: holds x, y; expected one array, or one called 'video'"
    assert error_text(tmp_path / "a.npz") == text
    (tmp_path / "b.npz").write_text("text")
    assert "damaged archive" in error_text(tmp_path / "b.npz")


def test_limits(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", VIDEOS)
    np.savez_compressed(tmp_path / "b.npz", VIDEOS)
    monkeypatch.setattr(arrays, "MAX_ROWS", 2)
    assert error_text(tmp_path / "a.npy") == f"{tmp_path / 'a.npy'}: 3 videos; at most 2 are read"
    monkeypatch.setattr(arrays, "MAX_UNPACKED", 100)
    assert "save it with numpy.save or numpy.savez" in error_text(tmp_path / "b.npz")
    wide = np.zeros((1, 1, 1, 8193, 3), np.uint8)
    np.save(tmp_path / "a.npy", wide)
    with pytest.raises(RefusedError, match="8193x1 is larger than 8192x8192"):
        find_inputs(tmp_path / "a.npy").videos[0].open()


def test_a_file_that_shrinks_meanwhile(tmp_path):
    np.save(tmp_path / "a.npy", VIDEOS)
    row = find_inputs(tmp_path / "a.npy").videos[2]
    (tmp_path / "a.npy").write_bytes(b"short")
    with pytest.raises(RefusedError, match="not a readable video"):
        row.open()
