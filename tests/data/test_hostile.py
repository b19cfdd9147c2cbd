"""More than two hundred hostile inputs: each ends with pixels or a reason, and nothing else."""

import numpy as np
import pytest

from tests.data import hostile
from tests.data.conftest import moving_square, write_video
from tests.data.preparing import POOL, run
from vgbench.data.decode import RefusedError
from vgbench.data.inputs.find import find_inputs
from vgbench.data.inspect import inspect_video
from vgbench.data.prepare.build import Tolerance
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.pixels import decode_pieces
from vgbench.data.prepare.worker import Worker
from vgbench.errors import DataError

pytestmark = pytest.mark.slow
LIMIT_S = 30.0
REASONS = {
    *("decode_error", "empty_file", "fps_unknown", "mid_stream_resize", "mixed_sizes"),
    *("no_video_stream", "rotation", "too_large", "too_short", "truncated", "unreadable"),
    *("symlink", "mixed_folder", "hdr"),
}
WORKER = Worker()
SEEN = []


@pytest.fixture(scope="module", autouse=True)
def _worker():
    with WORKER:
        yield
    if len(SEEN) > 100:  # all tests of this file ran
        assert len(SEEN) >= 200


def tree(folder):
    return {
        path: (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.name.endswith(".raw")
    }


def try_source(source, out, kind=None):
    """Returns what became of each video of a source: its reason, or how many frames it gave."""
    try:
        videos = find_inputs(source, kind=kind).videos
    except DataError as error:
        return {"": str(error)}
    return {video.name: try_video(video, out) for video in videos}


def try_video(video, out):
    size, time_ns = video.stamp()
    assert isinstance(size, int)
    assert isinstance(time_ns, int)
    try:
        assert len(WORKER.call(LIMIT_S, type(video).content, video)) == 64
    except RefusedError as error:
        check_refusal(error)
    report = WORKER.call(LIMIT_S, inspect_video, video, False)
    assert report.reason in {"", *REASONS}
    try:
        options = Options(8, min_frames=2, scene_cuts="report", kind="frames")
        pieces = WORKER.call(LIMIT_S, decode_pieces, video, options, out)
    except RefusedError as error:
        check_refusal(error)
        return error.reason
    frames = sum(piece.frames for piece in pieces)
    assert out.stat().st_size == frames * 8 * 8 * 3
    assert all(np.isfinite(piece.fps) and piece.fps > 0 for piece in pieces)
    return frames


def check_refusal(error):
    assert error.reason in REASONS, (error.reason, error.detail)
    assert error.detail.isprintable()
    assert str(error).startswith("refused ")


def attack(source, tmp_path, kind=None):
    before = tree(tmp_path)
    results = try_source(source, tmp_path / "out.raw", kind)
    SEEN.extend(results)
    assert str(source) in results.get("", str(source)) or "unclear" in results[""]
    assert tree(tmp_path) == before
    return results


def test_damaged_films(tmp_path):
    results = attack(hostile.make_films(tmp_path / "films"), tmp_path)
    assert len(results) > 350
    refused = [result for result in results.values() if isinstance(result, str)]
    assert len(refused) > 100
    assert {"unreadable", "decode_error", "truncated", "no_video_stream"} <= set(refused)
    assert all(results[f"playlist{i}.ts"] == "unreadable" for i in range(6))
    assert all(results[name] == "empty_file" for name in results if name.startswith("empty"))


def test_damaged_pictures(tmp_path):
    results = attack(hostile.make_pictures(tmp_path / "pictures"), tmp_path)
    assert len(results) > 35
    assert results["claims"] == "too_large"
    assert results["script"] == "decode_error"
    assert all(results[name] == "decode_error" for name in results if name.startswith("random"))


def test_damaged_archives(tmp_path):
    results = {}
    for path in hostile.make_archives(tmp_path / "archives"):
        results[path.name] = attack(path, tmp_path)
    assert len(results) > 40
    assert all("unsafe member name" in results[f"name{i}.zip"][""] for i in range(7))
    assert "limit is 200x" in results["bomb.zip"][""]
    assert "is encrypted" in results["encrypted.zip"][""]
    assert "is a symbolic link" in results["mode0.zip"][""]
    assert not (tmp_path / "x.png").exists()


def test_damaged_arrays(tmp_path):
    for path in hostile.make_arrays(tmp_path / "arrays"):
        attack(path, tmp_path)


def test_links(tmp_path):
    folder, secret = tmp_path / "films", tmp_path / "secret"
    for place in (folder, secret):
        place.mkdir()
        write_video(place / "a.mkv", moving_square(20))
    (folder / "up").symlink_to("..")
    (folder / "round").symlink_to(".")
    (folder / "secret").symlink_to(secret)
    (folder / "file.mkv").symlink_to("../secret/a.mkv")
    (folder / "chain.mkv").symlink_to("file.mkv")
    (folder / "null.mkv").symlink_to("/dev/zero")
    (folder / "self.mkv").symlink_to("self.mkv")
    results = attack(folder, tmp_path)
    assert results.pop("a.mkv") == 20
    assert results.pop("self.mkv") == "unreadable"
    assert set(results) == {"up", "secret", "file.mkv", "chain.mkv", "null.mkv"}
    assert set(results.values()) == {"symlink"}


def test_a_cache_of_damaged_films(tmp_path):
    films = hostile.make_films(tmp_path / "films")
    before = tree(tmp_path)
    with POOL:
        result = run(films, tmp_path / "out" / "x_8", Tolerance(1.0), resolution=8, min_frames=2)
    assert len(result.videos) + len(result.refused) == len(list(films.iterdir()))
    assert {error.reason for error in result.refused} <= REASONS
    after = tree(tmp_path)
    assert {path for path in after if tmp_path / "out" not in (path, *path.parents)} == set(before)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x_8"]
