"""`vgbench data bench` and `vgbench data export`."""

import json

import pytest

from tests.data.made_cache import made_cache


@pytest.fixture
def made(tmp_path):
    (tmp_path / "data").mkdir()
    made_cache(tmp_path / "data" / "made_16", [30] * 20, side=16)


@pytest.mark.usefixtures("made")
def test_bench_prints_rates_and_their_ratio(vgbench):
    words = ("data", "bench", "made_16", "--seconds", 0.05, "--frames", 4, "--flip")
    code, out, _ = vgbench(*words)
    assert code == 0
    assert out.splitlines()[0] == "made_16: 4 frames, contiguous, mirrored, batch 32"
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["loader", "memcpy", "ratio"]
    code, out, _ = vgbench("--json", "data", "bench", "made_16", "--seconds", 0.05, "--sparse")
    found = json.loads(out)
    assert found["bytes_per_s"] == pytest.approx(found["clips_per_s"] * 3 * 16 * 16 * 3)
    assert found["ratio"] == pytest.approx(found["bytes_per_s"] / found["memcpy_per_s"])


@pytest.mark.usefixtures("made")
def test_bench_of_what_is_too_short(vgbench):
    code, _, err = vgbench("data", "bench", "made_16", "--frames", 31)
    assert code == 3
    assert err == ("error: no video has the 31 frames that policy contiguous needs (longest: 30)\n")


@pytest.mark.usefixtures("made")
def test_export_writes_shards(vgbench, tmp_path):
    pytest.importorskip("webdataset", reason="the extra `wds` is not installed")
    folder = tmp_path / "shards"
    words = ("data", "export", "made_16", "--to", "wds", "-o", folder)
    code, out, _ = vgbench(*words, "--frames", 8, "--shard-size", "100kB")
    assert code == 0
    shards = len(list(folder.glob("*.tar")))
    assert out == f"exported 60 clips of 20 videos in {shards} shards -> {folder}\n"
    code, _, err = vgbench(*words)
    assert (code, err) == (2, f"error: {folder} exists; give another folder, or remove it\n")


@pytest.mark.usefixtures("made")
def test_export_of_a_wrong_size(vgbench, tmp_path):
    words = ("data", "export", "made_16", "--to", "wds", "-o", tmp_path / "a")
    code, _, err = vgbench(*words, "--shard-size", "1XB")
    assert code == 2
    assert "--shard-size 1XB: expected bytes with a unit" in err
