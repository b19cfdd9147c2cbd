"""Latents on disk: read as written, refused when stale or damaged, never half there, continued."""

import json

import numpy as np
import pytest
import torch

from vgbench.data import latents
from vgbench.data.latents import ABOUT, FRAMES, POSITION, LatentFrames, write_latents
from vgbench.errors import DataError

ORIGIN = {"data": "a" * 64, "encoder": "b" * 64}
VIDEOS, LENGTHS = np.array([1, 4]), np.array([3, 5])
ALL = torch.arange(8 * 2 * 3.0).view(8, 2, 3)


@pytest.fixture
def folder(tmp_path):
    write_latents(tmp_path / "latents", ORIGIN, 8, lambda first: iter(ALL[first:].split(3)))
    return tmp_path / "latents"


def test_frames_are_those_of_each_video(folder):
    latents = LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS)
    assert torch.equal(latents.all, ALL)
    found = latents.read(np.array([4, 1, 4]), np.array([[0, 4], [2, 0], [3, 3]]))
    assert found.dtype == np.float32
    want = ALL[torch.tensor([[3, 7], [2, 0], [6, 6]])]
    assert torch.equal(torch.from_numpy(found), want)


def test_what_is_read_is_a_copy(folder):
    latents = LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS)
    latents.read(np.array([1]), np.array([[0]]))[:] = 9
    latents.all[:] = 7  # a private copy of the pages, the file stays
    assert torch.equal(LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS).all, ALL)


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (
            {**ORIGIN, "encoder": "c" * 64},
            "stale: the encoder was bbbbbbbbbbbb and is cccccccccccc",
        ),
        ({"data": "a" * 64}, "stale: the encoder was bbbbbbbbbbbb and is none"),
        ({**ORIGIN, "generator": "d" * 64}, "stale: the generator was none and is dddddddddddd"),
    ],
)
def test_stale_latents_are_refused(folder, origin, said):
    with pytest.raises(DataError, match=said) as caught:
        LatentFrames(folder, origin, VIDEOS, LENGTHS)
    assert f"rm -r {folder}" in str(caught.value)


def test_damaged_latents_are_refused(folder):
    with pytest.raises(DataError, match=r"is of shape \(8, 2, 3\)"):
        LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS + 1)
    whole = (folder / FRAMES).read_bytes()
    (folder / FRAMES).write_bytes(whole[:-4])
    with pytest.raises(DataError, match=f"{FRAMES} is damaged"):
        LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS)
    (folder / ABOUT).write_text(json.dumps({"format": 99, "origin": ORIGIN}))
    with pytest.raises(DataError, match="its format is 99"):
        LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS)
    (folder / ABOUT).write_text("{")
    with pytest.raises(DataError, match=f"{ABOUT} is not readable"):
        LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS)


def encode(*, stop=None, starts=None):
    """Yields `ALL` in parts of 3 from a frame on, to be interrupted before frame `stop`."""

    def parts(first):
        if starts is not None:
            starts.append(first)
        for start in range(first, 8, 3):
            if start == stop:
                raise KeyboardInterrupt
            yield ALL[start : start + 3]

    return parts


@pytest.mark.parametrize(("stop", "kept"), [(0, 0), (3, 3), (6, 6)])
def test_an_interrupted_writing_goes_on(tmp_path, stop, kept):
    folder, starts = tmp_path / "latents", []
    with pytest.raises(KeyboardInterrupt):
        write_latents(folder, ORIGIN, 8, encode(stop=stop))
    assert not folder.exists()
    write_latents(folder, ORIGIN, 8, encode(starts=starts))
    assert starts == [kept]
    assert torch.equal(LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS).all, ALL)
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]
    assert {path.name for path in folder.iterdir()} == {ABOUT, FRAMES}


def test_a_killed_writing_goes_on_from_what_is_known_to_be_on_disk(tmp_path):
    folder, part, starts = tmp_path / "latents", tmp_path / ".latents.part", []
    with pytest.raises(KeyboardInterrupt):
        write_latents(folder, ORIGIN, 8, encode(stop=3))
    with (part / FRAMES).open("ab") as file:  # half a part that nobody took note of
        file.write(b"x" * 37)
    write_latents(folder, ORIGIN, 8, encode(starts=starts))
    assert starts == [3]
    assert torch.equal(LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS).all, ALL)


@pytest.mark.parametrize("damage", ["origin", "frames", "position", "short"])
def test_what_an_interrupted_writing_left_is_not_believed_blindly(tmp_path, damage):
    folder, part, starts = tmp_path / "latents", tmp_path / ".latents.part", []
    with pytest.raises(KeyboardInterrupt):
        write_latents(folder, ORIGIN, 8, encode(stop=6))
    position = json.loads((part / POSITION).read_text())
    if damage == "origin":
        position["origin"]["encoder"] = "c" * 64
    elif damage == "frames":
        position["frames"] = 9
    if damage == "short":
        (part / FRAMES).write_bytes((part / FRAMES).read_bytes()[:-1])
    text = "{" if damage == "position" else json.dumps(position)
    (part / POSITION).write_text(text)
    write_latents(folder, ORIGIN, 8, encode(starts=starts))
    assert starts == [0]
    assert torch.equal(LatentFrames(folder, ORIGIN, VIDEOS, LENGTHS).all, ALL)


def test_the_position_is_kept_while_frames_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(latents, "_KEEP_S", -1.0)
    positions = []

    def watched(first):
        for part in encode()(first):
            yield part
            path = tmp_path / ".latents.part" / POSITION
            positions.append(json.loads(path.read_text())["done"])

    write_latents(tmp_path / "latents", ORIGIN, 8, watched)
    assert positions == [3, 6, 8]


def test_a_wrong_number_of_latents_is_refused(tmp_path):
    with pytest.raises(ValueError, match="3 latents for 8 frames"):
        write_latents(tmp_path / "latents", ORIGIN, 8, lambda first: iter([ALL[:3]]))
    assert not list(tmp_path.iterdir())


def test_what_the_disk_refuses_is_said(tmp_path):
    (tmp_path / ".latents.part").write_text("a file in the way")
    with pytest.raises(DataError, match=r"cannot write .*latents: File exists"):
        write_latents(tmp_path / "latents", ORIGIN, 8, encode())
