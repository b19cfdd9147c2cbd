import csv
import json
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import moving_square, write_video
from tests.data.preparing import contents, plan_of, pool_of_tests, run
from vgbench.data.cache import CacheSource
from vgbench.data.prepare.build import Tolerance
from vgbench.data.prepare.plan import size_text
from vgbench.data.prepare.split import parse_split, split_of
from vgbench.data.prepare.worker import Pool
from vgbench.errors import DataError, UsageError


@pytest.fixture(scope="module", autouse=True)
def _pool():
    with pool_of_tests():
        yield


def centre_square(frame, size=32):
    """Returns what the default recipe makes of a frame."""
    height, width, _ = frame.shape
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    picture = Image.fromarray(frame).crop((left, top, left + side, top + side))
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


def refused(result):
    return [(error.path, error.reason) for error in result.refused]


def test_cache_holds_the_decoded_frames(film_folder, tmp_path):
    result = run(film_folder, tmp_path / "out" / "films_32")
    source = CacheSource(result.folder)
    assert (source.name, len(source), result.frames) == ("films", 3, 84)
    films = {"clip2.mkv": (20,), "clip10.mkv": (24, 64, 48), "sub/clip1.mkv": (40, 32, 32)}
    for i, (name, shape) in enumerate(films.items()):
        expected = np.stack([centre_square(frame) for frame in moving_square(*shape)])
        meta, count = source.meta(i), len(expected)
        assert (meta.video_id, meta.n_frames, meta.height) == (name, count, 32)
        assert np.array_equal(source.read(i, np.arange(count)), expected)
        assert np.array_equal(source.read(i, np.array([5, 2, 2])), expected[[5, 2, 2]])
    assert source.meta(2).fps == pytest.approx(50)
    assert [p.name for p in result.folder.parent.iterdir()] == ["films_32"]
    assert {p.name for p in result.folder.iterdir()} == {
        *("vgcache.json", "index.npz", "shard-00000.npy"),
        *("quarantine.csv", "prepare.log", "sources.json"),
    }


def test_same_inputs_are_up_to_date_quickly_and_give_the_same_bytes(film_folder, tmp_path):
    target = tmp_path / "a" / "films_32"
    run(film_folder, target)
    start = time.perf_counter()
    assert plan_of(film_folder, target).up_to_date
    assert time.perf_counter() - start < 1
    run(film_folder, tmp_path / "b" / "films_32")
    assert contents(target) == contents(tmp_path / "b" / "films_32")


def test_the_number_of_workers_changes_nothing(film_folder, tmp_path):
    (film_folder / "bad.mp4").write_text("text")
    run(film_folder, tmp_path / "one" / "films_32")
    with Pool(4) as pool:
        run(film_folder, tmp_path / "four" / "films_32", pool=pool)
    assert contents(tmp_path / "one" / "films_32") == contents(tmp_path / "four" / "films_32")


def test_every_input_changes_the_key(film_folder, tmp_path):
    def key(**options):
        return plan_of(film_folder, tmp_path / "x_32", **options).key

    options = [{}, {"resolution": 64}, {"min_frames": 20}, {"codec": "jpeg:95"}, {"stride": 2}]
    options += [{"recipe": "g3an"}, {"ignore_sar": True}, {"split": "80:10:10"}]
    keys = {key(**changed) for changed in options}
    (film_folder / "clip2.mkv").touch()
    assert key() in keys
    (film_folder / "clip2.mkv").rename(film_folder / "clip3.mkv")
    keys.add(key())
    write_video(film_folder / "clip3.mkv", moving_square(21))
    keys.add(key())
    assert len(keys) == len(options) + 2


def test_a_changed_source_replaces_the_cache(film_folder, tmp_path):
    target = tmp_path / "films_32"
    run(film_folder, target)
    (film_folder / "clip2.mkv").unlink()
    plan = plan_of(film_folder, target)
    assert not plan.up_to_date
    run(film_folder, target)
    assert len(CacheSource(target)) == 2
    assert not list(tmp_path.glob("*.tmp-*"))


@pytest.mark.parametrize("damage", ["missing", "one byte"])
def test_a_damaged_cache_is_written_anew(film_folder, tmp_path, damage):
    target = tmp_path / "films_32"
    run(film_folder, target)
    before, shard = contents(target), target / "shard-00000.npy"
    if damage == "missing":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:-1] + b"\1")
    # --resume reads every byte, so that it mends what nobody sees otherwise
    assert plan_of(film_folder, target).up_to_date == (damage == "one byte")
    run(film_folder, target, resume=True)
    assert contents(target) == before


def test_bad_files_go_to_quarantine(film_folder, tmp_path):
    (film_folder / "bad.mp4").write_text("text")
    write_video(film_folder / "short.mkv", moving_square(5))
    seen = []
    result = run(film_folder, tmp_path / "films_32", progress=lambda *call: seen.append(call))
    rows = list(csv.reader((result.folder / "quarantine.csv").open()))
    assert rows[0] == ["path", "reason", "detail", "frames_decoded", "bytes"]
    assert [(row[0], row[1], row[4]) for row in rows[1:]] == [
        ("bad.mp4", "unreadable", "4"),
        ("short.mkv", "too_short", str((film_folder / "short.mkv").stat().st_size)),
    ]
    assert rows[2][2] == "5 frames after fps/stride, at least 16 needed"
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5]
    assert [r.path for _, r in seen if r] == ["bad.mp4", "short.mkv"]
    log = (result.folder / "prepare.log").read_text()
    assert "refused short.mkv: 5 frames after fps/stride, at least 16 needed" in log
    assert "finished: 3 videos, 84 frames" in log


def test_too_many_damaged_files_are_an_error_that_keeps_the_work(film_folder, tmp_path):
    for n in range(4):
        (film_folder / f"bad{n}.mp4").write_text("text")
    target = tmp_path / "films_32"
    with pytest.raises(DataError) as error:
        run(film_folder, target)
    quarantine = next(tmp_path.glob("films_32.tmp-*")) / "quarantine.csv"
    assert str(error.value) == (
        f"4 of 7 videos are damaged, more than --max-bad 0.5; see {quarantine}\n"
        "  use the others: the same command with --resume --max-bad 1"
    )
    assert len(quarantine.read_text().splitlines()) == 5
    assert not target.exists()
    run(film_folder, target, Tolerance(max_bad=0.6), resume=True)
    assert not list(tmp_path.glob("films_32.*"))


def test_short_videos_are_not_damage_but_strict_minds(film_folder, tmp_path):
    for n in range(6):
        write_video(film_folder / f"short{n}.mkv", moving_square(2, 16, 16))
    assert len(run(film_folder, tmp_path / "films_32", Tolerance(max_bad=0.0)).refused) == 6
    with pytest.raises(DataError, match=r"6 of 9 videos were refused \(--strict\); see "):
        run(film_folder, tmp_path / "strict_32", Tolerance(strict=True))


def test_all_refused(tmp_path):
    write_video(tmp_path / "short.mkv", moving_square(2))
    with pytest.raises(DataError) as error:
        run(tmp_path, tmp_path / "out" / "x_32", Tolerance(max_bad=1.0))
    quarantine = next((tmp_path / "out").glob("x_32.tmp-*")) / "quarantine.csv"
    assert str(error.value) == f"all 1 videos were refused; see {quarantine}"
    assert quarantine.is_file()


def test_what_cannot_be_prepared(film_folder, tmp_path):
    with pytest.raises(DataError) as error:
        plan_of(tmp_path / "absent", tmp_path / "x_32")
    assert str(error.value) == f"{tmp_path / 'absent'} does not exist"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError) as error:
        plan_of(empty, tmp_path / "x_32")
    assert str(error.value) == (
        f"no videos or frame folders found in {empty} "
        "(looked for .mp4 .mov .mkv .webm .avi .gif and folders of .jpg/.png)"
    )
    with pytest.raises(DataError, match="is not a cache"):
        plan_of(film_folder, empty)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"resolution": 0}, "--resolution 0: at least 1"),
        ({"stride": 0}, "--stride 0: at least 1"),
        ({"fps": -1.0}, "--fps -1.0: expected a positive number"),
        ({"codec": "png"}, "--codec png: expected raw, auto or jpeg:Q, e.g. jpeg:95"),
        ({"codec": "jpeg:0"}, "--codec jpeg:0: expected raw, auto or jpeg:Q, e.g. jpeg:95"),
        (
            {"recipe": "pvdm"},
            "--recipe pvdm: choose from default, styleganv, stylesv, styleinv, g3an",
        ),
        (
            {"recipe": "g3an", "crop": "none"},
            "--recipe g3an decides crop and resize itself",
        ),
        (
            {"split": "80:20"},
            "--split 80:20: expected shares train:val:test, e.g. --split 80:10:10",
        ),
    ],
)
def test_options_out_of_range(film_folder, tmp_path, options, text):
    with pytest.raises(UsageError) as error:
        plan_of(film_folder, tmp_path / "x_32", **options)
    assert str(error.value) == text


def test_disk_space_is_checked_before_work(film_folder, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError) as error:
        run(film_folder, tmp_path / "films_32")
    assert str(error.value) == f"needs 258.05 kB, only 1.00 kB free at {tmp_path}"
    assert error.value.exit_code == 3
    assert not (tmp_path / "films_32.lock").exists()


def test_five_percent_stay_free(film_folder, tmp_path, monkeypatch):
    plan = plan_of(film_folder, tmp_path / "films_32")
    usage = type("Usage", (), {"free": plan.estimated_bytes * 100 // 96})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="needs"):
        plan.check_space()
    usage.free = plan.estimated_bytes * 100 // 94
    plan.check_space()


def test_auto_takes_jpeg_beyond_the_budget(film_folder, tmp_path):
    target = tmp_path / "films_32"
    large = plan_of(film_folder, target, codec="auto", budget=10**9)
    small = plan_of(film_folder, target, codec="auto", budget=10**5)
    assert (large.options.codec, small.options.codec) == ("raw", "jpeg:95")
    assert small.estimated_bytes < large.estimated_bytes
    run(film_folder, target, codec="auto", budget=10**5)
    assert plan_of(film_folder, target, codec="auto", budget=10**5).up_to_date
    assert plan_of(film_folder, target, codec="jpeg:95").up_to_date
    assert not plan_of(film_folder, target).up_to_date


def test_quality_is_the_quality_of_the_jpegs(film_folder, tmp_path):
    sizes, errors = [], []
    expected = np.stack([centre_square(frame) for frame in moving_square(20)]).astype(int)
    for quality in (60, 95):
        result = run(film_folder, tmp_path / f"q{quality}_32", codec=f"jpeg:{quality}")
        sizes.append((result.folder / "shard-00000.jpgs").stat().st_size)
        stored = CacheSource(result.folder).read(0, np.arange(20))
        errors.append(np.abs(stored - expected).mean())
    assert sizes[0] < sizes[1] < 84 * 32 * 32 * 3
    assert errors[1] < errors[0] < 10


def test_a_folder_and_a_zip_of_the_same_frames_are_the_same_data(tmp_path):
    folder = tmp_path / "folder"
    for film, length in (("b", 18), ("a", 20)):
        (folder / film).mkdir(parents=True)
        for t, frame in enumerate(moving_square(length, 40, 40)):
            Image.fromarray(frame).save(folder / film / f"{t}.png")
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png"), reverse=True):
            archive.write(path, path.relative_to(folder).as_posix())
    one = run(folder, tmp_path / "one" / "films_32", split="60:20:20")
    other = run(tmp_path / "films.zip", tmp_path / "other" / "films_32", split="60:20:20")
    for name in ("shard-00000.npy", "index.npz", "quarantine.csv"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()
    manifests = [json.loads((r.folder / "vgcache.json").read_text()) for r in (one, other)]
    assert [m["options"].pop("kind") for m in manifests] == ["frames", "zip"]
    assert manifests[0] == manifests[1]
    source = CacheSource(one.folder, split=None)
    expected = np.stack([centre_square(frame) for frame in moving_square(20, 40, 40)])
    assert np.array_equal(source.read(0, np.arange(20)), expected)


def test_pieces_of_one_film_stay_in_one_split(tmp_path):
    for n in range(8):
        write_video(tmp_path / f"{n}.mkv", moving_square(60, 16, 16))
    result = run(tmp_path, tmp_path / "out" / "x_32", chunk=20, split="1:1:1")
    with np.load(result.folder / "index.npz") as index:
        films = dict(zip(index["group"].tolist(), index["split"].tolist(), strict=True))
        assert len(index["video_id"]) == 24
        for group, split in zip(index["group"].tolist(), index["split"].tolist(), strict=True):
            assert films[group] == split
    assert len(films) == 8
    assert len(set(films.values())) > 1


class TestSplit:
    def test_shares(self):
        assert parse_split("") == ()
        assert parse_split("8:1:1") == (8, 1, 1)
        names = [split_of(f"film {n}", (80, 10, 10)) for n in range(5000)]
        assert names.count("val") == pytest.approx(500, abs=80)
        assert names.count("test") == pytest.approx(500, abs=80)

    def test_it_depends_on_the_group_alone(self):
        assert {split_of("film", (50, 25, 25)) for _ in range(3)} == {split_of("film", (2, 1, 1))}
        assert {split_of(f"film {n}", (1, 0, 0)) for n in range(50)} == {"train"}
        assert {split_of(f"film {n}", ()) for n in range(50)} == {"train"}

    def test_a_known_value(self):
        # a change here moves videos between train and test: never do it
        names = [split_of(f"film {n}", (50, 25, 25)) for n in range(8)]
        assert " ".join(names) == "train train val train val test val train"

    def test_the_manifest_counts(self, film_folder, tmp_path):
        folder = run(film_folder, tmp_path / "films_32", split="60:20:20").folder
        splits = json.loads((folder / "vgcache.json").read_text())["splits"]
        assert sum(split["videos"] for split in splits.values()) == 3
        assert sum(split["frames"] for split in splits.values()) == 84


def test_size_text():
    assert [size_text(n) for n in (999, 1000, 3_840_000_000)] == ["999 B", "1.00 kB", "3.84 GB"]


def test_real_clips(clips_dir, tmp_path):
    result = run(clips_dir, tmp_path / "clips_64", resolution=64)
    assert (len(result.videos), result.frames) == (17, 1896)
    assert set(refused(result)) == {
        ("midstream_corrupt.mp4", "decode_error"),
        ("bad_truncated.webm", "truncated"),
        ("bad_truncated.mp4", "unreadable"),
        ("bad_text.mp4", "unreadable"),
        ("bad_empty.mp4", "empty_file"),
        *(
            (name, "too_short")
            for name in (
                "made_too_short_5f.mp4",
                "rotate_0.mov",
                "rotate_90.mov",
                "rotate_180.mov",
                "hevc_128.mp4",
                "unordered_4f.mov",
                "made_rgb_4frames_17x17.avi",
            )
        ),
    }
