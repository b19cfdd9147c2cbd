"""Latents on disk: read as written, refused when stale or damaged, never half there."""

import json

import numpy as np
import pytest
import torch

from vgbench.data.latents import ABOUT, FRAMES, LatentFrames, write_latents
from vgbench.errors import DataError

ORIGIN = {"data": "a" * 64, "encoder": "b" * 64}
VIDEOS, LENGTHS = np.array([1, 4]), np.array([3, 5])
ALL = torch.arange(8 * 2 * 3.0).view(8, 2, 3)


@pytest.fixture
def folder(tmp_path):
    write_latents(tmp_path / "latents", ORIGIN, (8, 2, 3), ALL.split(3))
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


def test_nothing_is_left_of_latents_that_could_not_be_finished(tmp_path):
    def broken():
        yield ALL[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_latents(tmp_path / "latents", ORIGIN, (8, 2, 3), broken())
    with pytest.raises(ValueError, match="3 latents for 8 frames"):
        write_latents(tmp_path / "latents", ORIGIN, (8, 2, 3), [ALL[:3]])
    assert not list(tmp_path.iterdir())
