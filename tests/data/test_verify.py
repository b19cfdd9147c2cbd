import json

import numpy as np
import pytest

from tests.data.conftest import moving_square, write_video
from tests.data.preparing import POOL, pool_of_tests, run
from vgbench.data.verify import Verified, verify_cache
from vgbench.errors import DataError


@pytest.fixture(scope="module", autouse=True)
def _pool():
    with pool_of_tests():
        yield


@pytest.fixture(params=["raw", "jpeg:80"])
def folder(request, film_folder, tmp_path):
    return run(film_folder, tmp_path / "films_32", codec=request.param).folder


def verify(folder, source=None):
    return verify_cache(folder, POOL, lambda *_: None, source)


def change_manifest(folder, **changes):
    path = folder / "vgcache.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_good_cache(folder, film_folder):
    found = verify(folder)
    assert found == Verified(len(list(folder.glob("shard-*"))) + 1, 3)
    again = verify(folder, film_folder)
    assert len(again.compared) == 1
    assert again.compared[0] in ("clip2.mkv", "clip10.mkv", "sub/clip1.mkv")
    assert again.difference == 0


@pytest.mark.parametrize("pattern", ["shard-00000*", "index.npz"])
def test_one_flipped_bit(folder, pattern):
    for path in folder.glob(pattern):
        good = path.read_bytes()
        path.write_bytes(good[:-20] + bytes([good[-20] ^ 1]) + good[-19:])
        with pytest.raises(DataError) as error:
            verify(folder)
        assert str(error.value) == (
            f"cache {folder} is incomplete or damaged ({path.name}: hash mismatch); "
            "run: vgbench data prepare … --resume"
        )
        path.write_bytes(good)
    verify(folder)


def test_a_missing_shard(folder):
    shard = sorted(folder.glob("shard-*"))[0]
    shard.unlink()
    with pytest.raises(DataError, match=rf"\({shard.name}: missing\)"):
        verify(folder)


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("offset", [0, 21, 44], "shard 0 is not filled without gaps"),
        ("video_id", ["a", "a", "b"], "a video occurs twice"),
        ("split", ["train", "dev", "train"], "unknown split"),
        ("fps", [25.0, 25.0], "not 3 videos"),
    ],
)
def test_an_index_that_contradicts_itself(folder, column, value, text):
    with np.load(folder / "index.npz") as index:
        columns = {name: index[name] for name in index}
    np.savez(folder / "index.npz", **columns | {column: np.array(value)})
    change_manifest(folder, files={})
    with pytest.raises(DataError, match=rf"index.npz: {text}"):
        verify(folder)


def test_another_source_is_noticed(folder, film_folder):
    for name in ("clip2.mkv", "clip10.mkv", "sub/clip1.mkv"):
        path = film_folder / name
        write_video(path, np.full((20, 32, 32, 3), 90, np.uint8))
    with pytest.raises(DataError, match=r"differs from .* levels on average, 0 allowed"):
        verify(folder, film_folder)
    for name in ("clip2.mkv", "clip10.mkv", "sub/clip1.mkv"):
        (film_folder / name).unlink()
    write_video(film_folder / "other.mkv", moving_square(20))
    with pytest.raises(DataError, match=r"has no video '.*', which cache .* was made from"):
        verify(folder, film_folder)


def test_another_version_of_the_decoder_may_differ_a_little(folder, film_folder, tmp_path):
    for path in film_folder.rglob("*.mkv"):
        frames = {"clip2.mkv": (20, 48, 64), "clip10.mkv": (24, 64, 48), "clip1.mkv": (40, 32, 32)}
        brighter = np.minimum(moving_square(*frames[path.name]), 254) + 1
        write_video(path, brighter.astype(np.uint8), fps=50 if path.name == "clip1.mkv" else 25)
    with pytest.raises(DataError, match="0 allowed"):
        verify(folder, film_folder)
    change_manifest(folder, libraries={"libavcodec": "1.0"})
    found = verify(folder, film_folder)
    assert 0.4 < found.difference <= 1
