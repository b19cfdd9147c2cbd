"""Interruptions of every kind: what comes of them in the end has the bytes of an easy life."""

import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.data.conftest import moving_square, write_video
from tests.data.preparing import contents, plan_of, pool_of_tests, run
from vgbench.data.prepare import build, journal, shards
from vgbench.errors import DataError

COUNT = 6


@pytest.fixture(scope="module", autouse=True)
def _pool():
    with pool_of_tests():
        yield


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for n in range(COUNT):
        write_video(folder / f"{n}.mkv", np.roll(moving_square(18 + n, 32, 32), n, axis=2))
    (folder / "3bad.mp4").write_text("text")
    return folder


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Three shards, and a journal that is synced after every video."""
    monkeypatch.setattr(build, "MAX_SHARD_BYTES", 45 * 3072)
    monkeypatch.setattr(journal, "SYNC_S", 0.0)


def stop_at(count, error):
    def progress(done, _):
        if done == count:
            raise error

    return progress


def leftovers(folder):
    return [path.name for path in folder.glob("films_32.*")]


@pytest.mark.parametrize("codec", ["raw", "jpeg:90"])
def test_stopped_after_some_videos(films, tmp_path, codec):
    whole, target = tmp_path / "whole" / "films_32", tmp_path / "films_32"
    run(films, whole, codec=codec)
    for count in (1, 3, COUNT + 1):
        progress = stop_at(count, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            run(films, target, codec=codec, progress=progress, resume=True)
        assert not target.exists()
        assert not (tmp_path / "films_32.lock").exists()
    seen = []
    result = run(films, target, codec=codec, resume=True, progress=lambda *c: seen.append(c))
    assert not seen  # nothing was left to decode
    assert contents(target) == contents(whole)
    assert [error.path for error in result.refused] == ["3bad.mp4"]
    assert leftovers(tmp_path) == []


def test_without_resume_work_starts_anew(films, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(films, tmp_path / "films_32", progress=stop_at(3, KeyboardInterrupt()))
    seen = []
    run(films, tmp_path / "films_32", progress=lambda *call: seen.append(call))
    assert len(seen) == COUNT + 1


def test_work_for_other_options_is_not_continued(films, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(films, tmp_path / "films_32", progress=stop_at(3, KeyboardInterrupt()))
    seen = []
    options = {"stride": 2, "min_frames": 4, "resume": True}
    run(films, tmp_path / "films_32", progress=lambda *call: seen.append(call), **options)
    assert len(seen) == COUNT + 1
    assert leftovers(tmp_path) == []


def test_an_older_cache_stays_until_the_new_one_is_whole(films, tmp_path):
    target = tmp_path / "films_32"
    run(films, target)
    before = contents(target)
    with pytest.raises(KeyboardInterrupt):
        run(films, target, progress=stop_at(3, KeyboardInterrupt()), min_frames=19)
    assert contents(target) == before
    run(films, target, min_frames=19, resume=True)
    assert len(json.loads((target / "vgcache.json").read_text())["notes"]) == 0
    assert contents(target) != before


@pytest.mark.parametrize("nth", [1, 2, 4, COUNT])
def test_a_full_disk_leaves_no_half_shard(films, tmp_path, monkeypatch, nth):
    whole, target = tmp_path / "whole" / "films_32", tmp_path / "films_32"
    run(films, whole)
    calls, copy = [], shards._copy

    def write(data, file, size):
        calls.append(size)
        if len(calls) == nth:
            file.write(data.read(size // 2))
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(data, file, size)

    monkeypatch.setattr(shards, "_copy", write)
    with pytest.raises(DataError) as error:
        run(films, target)
    assert str(error.value) == (
        f"cannot write {target}: No space left on device\n"
        "  what is finished is kept; continue: the same command with --resume"
    )
    assert error.value.exit_code == 3
    assert not target.exists()
    (folder,) = tmp_path.glob("films_32.tmp-*")
    for shard in folder.glob("shard-*"):  # every one that is left is whole
        assert shard.read_bytes() == (whole / shard.name).read_bytes()
    assert not list(folder.glob("pieces-*"))
    monkeypatch.setattr(shards, "_copy", copy)
    run(films, target, resume=True)
    assert contents(target) == contents(whole)


def test_a_second_prepare_is_refused(tmp_path):
    target = tmp_path / "films_32"
    with build._locked(target, print), pytest.raises(DataError) as error:
        build._locked(target, print).__enter__()
    owner = f"process {os.getpid()} on {socket.gethostname()}"
    assert str(error.value) == (
        f"{target} is being prepared by {owner}\n"
        "  wait until it is done, or stop it and continue with --resume"
    )
    assert not (tmp_path / "films_32.lock").exists()


PREPARE = """
import sys
from pathlib import Path
from tests.data.preparing import plan_of
from vgbench.data.prepare import build, journal
from vgbench.data.prepare.worker import Pool

if __name__ == "__main__":
    build.MAX_SHARD_BYTES, journal.SYNC_S = 45 * 3072, 0.0
    with Pool(2) as pool:
        plan = plan_of(Path(sys.argv[1]), Path(sys.argv[2]), pool, resume=True)
        if not plan.up_to_date:
            build.prepare(plan, build.Tolerance(), pool, lambda *_: None)
"""


def journal_bytes(folder):
    try:
        return sum(path.stat().st_size for path in folder.glob("films_32.tmp-*/journal.jsonl"))
    except FileNotFoundError:
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("group", [False, True], ids=["parent alone", "with its workers"])
def test_killed_at_random_moments(films, tmp_path, group):
    many = tmp_path / "many"
    many.mkdir()
    for n in range(40):
        (many / f"{n}.mkv").write_bytes((films / f"{n % COUNT}.mkv").read_bytes())
    run(many, tmp_path / "whole" / "films_32")
    target, kills, draw = tmp_path / "films_32", 0, random.Random(group)
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), str(many), str(target)]
    while not target.exists():
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        before = journal_bytes(tmp_path)
        # from the moment that anything new is on disk, at any moment
        while process.poll() is None and journal_bytes(tmp_path) <= before:
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 0.05))
        if process.poll() is None and kills < 5:
            kills += 1
            os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
        assert process.wait(60) in (0, -signal.SIGKILL)
    assert kills >= 2
    assert contents(target) == contents(tmp_path / "whole" / "films_32")
    assert plan_of(many, target).up_to_date
    # a kill right after the end leaves the lock file, which nobody holds
    assert set(leftovers(tmp_path)) <= {"films_32.lock"}
