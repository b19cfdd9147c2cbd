import io
import json

import numpy as np
import pytest
from PIL import Image

from vgbench.data.cache import JpegShard
from vgbench.data.prepare import journal as journal_module
from vgbench.data.prepare.journal import Entry, Journal, StoredVideo
from vgbench.data.prepare.shards import Place, ShardWriter

LENGTHS = [4, 5, 3, 15, 2]
COUNT = len(LENGTHS)
NAMES = [f"{number}.mkv" for number in range(COUNT)]


def videos(codec):
    """Returns frames of each video as they are decoded, and as (bytes, sizes) to store."""
    rng = np.random.default_rng(0)
    for length in LENGTHS:
        frames = rng.integers(0, 256, (length, 8, 8, 3), dtype=np.uint8)
        if codec == "raw":
            yield frames, frames.tobytes(), np.full(length, 192)
            continue
        parts = []
        for frame in frames:
            buffer = io.BytesIO()
            Image.fromarray(frame).save(buffer, "JPEG", quality=90)
            parts.append(buffer.getvalue())
        decoded = np.stack([np.asarray(Image.open(io.BytesIO(part))) for part in parts])
        yield decoded, b"".join(parts), np.array([len(part) for part in parts])


def write(folder, codec, journal_too=False, stop=COUNT):
    folder.mkdir(exist_ok=True)
    writer = ShardWriter(folder, 8, codec, 192 * 10 if codec == "raw" else 5000)
    journal = Journal(folder, writer, NAMES) if journal_too else None
    places = [v.place for e in journal.entries for v in e.videos] if journal else []
    for number, (_, data, sizes) in list(enumerate(videos(codec)))[len(places) : stop]:
        before = len(writer.finished)
        places.append(writer.append(io.BytesIO(data), sizes))
        if journal:
            stored = StoredVideo(str(number), "s", "g", -1, places[-1], 25.0, ("vfr",))
            finished = tuple(writer.finished[before:])
            journal.append(Entry(NAMES[number], 1, (stored,), finished=finished))
    if journal:
        journal.sync()
        journal.close()
    if stop == COUNT:
        writer.finish()
    return places, writer


@pytest.mark.parametrize("codec", ["raw", "jpeg:90"])
def test_shards_hold_whole_videos(tmp_path, codec):
    places, writer = write(tmp_path / "a", codec)
    assert len(writer.finished) > 2
    assert sum(shard.frames for shard in writer.finished) == sum(LENGTHS)
    for place, (frames, _, _) in zip(places, videos(codec), strict=True):
        stem = tmp_path / "a" / f"shard-{place.shard:05d}"
        if codec == "raw":
            stored = np.load(f"{stem}.npy", mmap_mode="r")[place.begin : place.end]
        else:
            shard = JpegShard(stem.with_suffix(".jpgs"), np.load(f"{stem}.idx.npy"))
            stored = shard.read(np.arange(place.begin, place.end))
        assert np.array_equal(stored, frames)


def test_raw_shards_are_full_at_their_limit(tmp_path):
    places, _ = write(tmp_path / "a", "raw")
    assert places == [
        Place(0, 0, 4),
        Place(0, 4, 9),
        Place(1, 0, 3),
        Place(2, 0, 15),
        Place(3, 0, 2),
    ]


@pytest.mark.parametrize("codec", ["raw", "jpeg:90"])
@pytest.mark.parametrize("stop", range(COUNT))
def test_work_goes_on_after_any_video_whatever_follows_it(tmp_path, codec, stop):
    whole, _ = write(tmp_path / "whole", codec, journal_too=True)
    _, writer = write(tmp_path / "part", codec, journal_too=True, stop=stop)
    for path in (tmp_path / "part").glob(f"shard-{len(writer.finished):05d}*"):
        with path.open("ab") as file:
            file.write(b"\1" * 1000)  # a video that was being appended
    with (tmp_path / "part" / "journal.jsonl").open("ab") as file:
        file.write(b'{"source": "half')  # a line that was cut
    places, _ = write(tmp_path / "part", codec, journal_too=True)
    assert places == whole
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "part" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("codec", ["raw", "jpeg:90"])
def test_entries_whose_frames_are_gone_are_forgotten(tmp_path, codec):
    write(tmp_path / "whole", codec, journal_too=True)
    _, writer = write(tmp_path / "part", codec, journal_too=True, stop=4)
    number = len(writer.finished)
    writer.discard()
    assert not list((tmp_path / "part").glob(f"shard-{number:05d}*"))
    write(tmp_path / "part", codec, journal_too=True)
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "part" / path.name).read_bytes() == path.read_bytes(), path.name


def test_the_journal_gives_its_entries_back(tmp_path):
    writer = ShardWriter(tmp_path, 8, "raw", 10**6)
    journal = Journal(tmp_path, writer, ["bad.mp4"])
    refused = Entry("bad.mp4", 7, refused=("truncated", "ends early", 3))
    journal.append(refused)
    journal.sync()
    journal.close()
    line = json.loads((tmp_path / "journal.jsonl").read_text())
    assert line["refused"] == ["truncated", "ends early", 3]
    again = Journal(tmp_path, ShardWriter(tmp_path, 8, "raw", 10**6), ["bad.mp4"])
    assert again.entries == [refused]
    assert str(again.entries[0].refusal) == "refused bad.mp4: ends early"
    again.close()
    other = Journal(tmp_path, ShardWriter(tmp_path, 8, "raw", 10**6), ["another.mp4"])
    assert other.entries == []
    other.close()


def test_an_interrupted_sync_writes_no_line_twice(tmp_path, monkeypatch):
    stop = KeyboardInterrupt()

    def interrupted(file):
        file.flush()
        raise stop

    kept = Journal(tmp_path, ShardWriter(tmp_path, 8, "raw", 10**6), ["a", "b"])
    kept.append(Entry("a", 1, refused=("truncated", "ends early", 3)))
    with monkeypatch.context() as patched:
        patched.setattr(journal_module, "sync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            kept.sync()
    kept.append(Entry("b", 1, refused=("truncated", "ends early", 3)))
    kept.sync()
    kept.close()
    lines = (tmp_path / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["a", "b"]
