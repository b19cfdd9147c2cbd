"""What a source holds: kinds, order, ambiguity, links, and the texts that say so."""

import os
import pickle
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tests.data.conftest import moving_square, read_input, write_pictures, write_video, write_zip
from vgbench.data.decode import RefusedError
from vgbench.data.inputs.find import KINDS, find_inputs
from vgbench.data.inputs.names import natural_key, ordered_frames, shown_name
from vgbench.errors import DataError, UsageError


def names(source, **options):
    return [video.name for video in find_inputs(source, **options).videos]


def refusal(video):
    with pytest.raises(RefusedError) as error:
        video.open()
    return error.value.reason, str(error.value)


def error_text(source, **options):
    with pytest.raises(DataError) as error:
        find_inputs(source, **options)
    return str(error.value)


@pytest.fixture
def frame_root(tmp_path):
    """Three videos of frames at different depths, and debris."""
    root = tmp_path / "root"
    write_pictures(root / "v10", moving_square(3))
    write_pictures(root / "v2", moving_square(4))
    write_pictures(root / "deep" / "er" / "v1", moving_square(5), suffix=".jpg")
    (root / "v2" / "Thumbs.db").write_text("debris")
    (root / "v2" / ".000.png").write_text("debris")
    (root / "notes.txt").write_text("not data")
    return root


def test_natural_order():
    ordered = ["B/1.mp4", "a/2.mp4", "a/2b.mp4", "clip02.mp4", "clip2.mp4", "clip10.mp4"]
    shuffled = [ordered[i] for i in (5, 2, 0, 4, 3, 1)]
    assert sorted(shuffled, key=natural_key) == ordered
    # composed and decomposed accents are one name
    assert natural_key("\u00e9.mp4") == natural_key("e\u0301.mp4")


def test_video_files(film_folder):
    found = find_inputs(film_folder)
    assert (found.kind, found.reason, found.ignored) == ("videos", "found 3 video files", 1)
    assert [video.name for video in found.videos] == ["clip2.mkv", "clip10.mkv", "sub/clip1.mkv"]
    assert [video.group for video in found.videos] == [video.name for video in found.videos]
    assert find_inputs(film_folder, chunk=8).kind == "long"
    assert find_inputs(film_folder / "clip2.mkv", kind="long", chunk=8).kind == "long"
    frames, timing = read_input(found.videos[0])
    assert np.array_equal(frames, moving_square(20))
    assert timing.fps == pytest.approx(25)


def test_folders_of_frames(frame_root):
    found = find_inputs(frame_root)
    assert (found.kind, found.ignored) == ("frames", 1)
    assert found.reason == "found 3 folders of frames"
    assert [video.name for video in found.videos] == ["deep/er/v1", "v2", "v10"]
    frames, timing = read_input(found.videos[1])
    assert np.array_equal(frames, moving_square(4))
    assert (timing.flags, len(timing.times_s)) == (("fps_unknown",), 4)


def test_single_images(tmp_path):
    write_pictures(tmp_path / "a", moving_square(3))
    found = find_inputs(tmp_path / "a")
    assert (found.kind, len(found.videos), found.ignored) == ("images", 3, 0)
    assert "if they are the frames of one video, say --kind frames" in found.reason
    assert names(tmp_path / "a", kind="frames") == ["a"]
    assert names(tmp_path / "a" / "000001.png") == ["000001.png"]
    assert names(tmp_path, kind="images") == [f"a/00000{i}.png" for i in range(3)]
    assert read_input(found.videos[2])[0].shape == (1, 48, 64, 3)


def test_every_input_is_picklable(frame_root, film_folder, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 8, 8, 3), np.uint8))
    archive = write_zip(tmp_path / "x.zip", frame_root)
    for source in (frame_root, film_folder, archive, tmp_path / "x.npy"):
        for video in find_inputs(source).videos:
            copy = pickle.loads(pickle.dumps(video))
            assert copy == video
            assert np.array_equal(read_input(copy)[0], read_input(video)[0])


def test_missing_source(tmp_path):
    absent = tmp_path / "absent"
    assert error_text(absent) == f"{absent} does not exist"


@pytest.mark.parametrize("kind", [None, "videos", "frames", "images"])
def test_nothing_there(tmp_path, kind):
    (tmp_path / "notes.txt").write_text("nothing")
    assert error_text(tmp_path, kind=kind) == (
        f"no videos or frame folders found in {tmp_path} (looked for .mp4 .mov .mkv .webm .avi "
        ".gif and folders of .jpg/.png)"
    )


def test_videos_and_images_are_ambiguous(frame_root):
    write_video(frame_root / "a.mkv", moving_square(4))
    assert error_text(frame_root) == (
        f"{frame_root} holds both 1 video files and 12 images; say --kind videos or --kind frames"
    )
    videos, frames = find_inputs(frame_root, kind="videos"), find_inputs(frame_root, kind="frames")
    assert ([v.name for v in videos.videos], videos.ignored) == (["a.mkv"], 13)
    assert (len(frames.videos), frames.ignored) == (3, 2)


def test_unknown_kind_and_cache(film_folder):
    with pytest.raises(UsageError, match=f"--kind films: choose from {', '.join(KINDS)}"):
        find_inputs(film_folder, kind="films")
    with pytest.raises(UsageError, match="--kind long needs --chunk N"):
        find_inputs(film_folder, kind="long")
    (film_folder / "vgcache.json").write_text("{}")
    assert "is a prepared cache" in error_text(film_folder)


def test_frames_are_ordered_by_their_last_number():
    shuffled = ["s3_10.png", "s1_9.png", "s2_8.jpg"]
    assert ordered_frames("v", shuffled) == (["s2_8.jpg", "s1_9.png", "s3_10.png"], "")
    assert ordered_frames("v", ["b.png", "a.png"]) == (["a.png", "b.png"], "")
    gap = ["03.png", "04.png", "07.png", "09.png"]
    assert ordered_frames("a/v", gap) == (gap, "a/v: numbering jumps from 4 to 7")
    with pytest.raises(DataError, match=r"v mixes numbered and unnumbered frames \(1.png and a"):
        ordered_frames("v", ["1.png", "a.png"])
    with pytest.raises(DataError, match=r"v holds frame 1 twice \(01.png and 1.jpg\)"):
        ordered_frames("v", ["1.jpg", "01.png"])


def test_a_jump_is_a_warning_and_a_note(frame_root):
    (frame_root / "v2" / "000001.png").unlink()
    found = find_inputs(frame_root)
    assert found.warnings == ("v2: numbering jumps from 0 to 2",)
    frames, timing = read_input(found.videos[1])
    assert (len(frames), timing.flags) == (3, ("fps_unknown", "missing_frames"))


def test_mixed_names_stop_everything(frame_root):
    (frame_root / "v2" / "cover.png").write_bytes(b"x")
    assert error_text(frame_root) == (
        "v2 mixes numbered and unnumbered frames (000000.png and cover.png); their order is unclear"
    )


def test_images_beside_folders_of_images_are_refused(frame_root):
    write_pictures(frame_root, moving_square(2))
    found = find_inputs(frame_root)
    assert [video.name for video in found.videos] == ["deep/er/v1", "root", "v2", "v10"]
    reason, text = refusal(found.videos[1])
    assert reason == "mixed_folder"
    assert text.startswith("refused root: 2 images lie beside folders of frames")


def test_mixed_sizes_within_a_folder(frame_root):
    Image.new("RGB", (30, 20)).save(frame_root / "v10" / "000002.png")
    with pytest.raises(RefusedError) as error:
        read_input(find_inputs(frame_root).videos[2])
    assert (error.value.reason, error.value.frames) == ("mixed_sizes", 2)
    assert str(error.value) == (
        "refused v10: frames differ in size (64x48 and 30x20, first at 000002.png)"
    )


def test_labels_of_a_folder(frame_root):
    text = '{"labels": {"v2/000000.png": 3, "v2/000001.png": 3, "x/v10/000000.png": 0}}'
    (frame_root / "dataset.json").write_text(text)
    found = find_inputs(frame_root)
    assert [video.label for video in found.videos] == [-1, 3, 0]
    assert found.ignored == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not readable JSON"),
        ("[" * 100_000, "is not readable JSON"),
        ('{"labels": 3}', "holds no list of labels"),
        ('{"labels": [["v2/0.png"]]}', "holds the label ['v2/0.png']"),
        ('{"labels": {"v2/0.png": 0.5}}', "expected a frame and a whole number"),
        ('{"labels": {"v2/0.png": -1}}', "expected a frame and a whole number"),
        ('{"labels": [["v2/0.png", 1], ["v2/1.png", 2]]}', "of 'v2' the classes 1 and 2"),
    ],
)
def test_damaged_labels(frame_root, text, message):
    (frame_root / "dataset.json").write_text(text)
    assert message in error_text(frame_root)


def test_links(film_folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_video(elsewhere / "x.mkv", moving_square(3))
    (film_folder / "out").symlink_to(elsewhere)
    (film_folder / "file.mkv").symlink_to(elsewhere / "x.mkv")
    (film_folder / "loop").symlink_to(film_folder)
    (film_folder / "same.mkv").symlink_to(film_folder / "clip2.mkv")
    (film_folder / "gone.mp4").symlink_to(film_folder / "absent.mp4")
    (film_folder / "itself.mp4").symlink_to(film_folder / "itself.mp4")
    (elsewhere / "back").symlink_to(film_folder)
    (film_folder / "__MACOSX").mkdir()
    (film_folder / "__MACOSX" / "a.mp4").write_text("debris")
    plain = {video.name: video for video in find_inputs(film_folder).videos}
    good = ["clip2.mkv", "clip10.mkv", "same.mkv", "sub/clip1.mkv"]
    assert list(plain) == sorted(
        [*good, "file.mkv", "gone.mp4", "itself.mp4", "out"], key=natural_key
    )
    for name in ("out", "file.mkv"):
        assert refusal(plain[name]) == (
            "symlink",
            f"refused {name}: symbolic link points outside the source folder (use --follow-links)",
        )
    broken = "not a readable video (broken symbolic link)"
    assert refusal(plain["gone.mp4"]) == ("unreadable", f"refused gone.mp4: {broken}")
    assert refusal(plain["itself.mp4"])[0] == "unreadable"
    followed = {video.name: video for video in find_inputs(film_folder, follow_links=True).videos}
    assert sorted(followed) == sorted([*good, "file.mkv", "gone.mp4", "itself.mp4", "out/x.mkv"])
    assert len(read_input(followed["out/x.mkv"])[0]) == 3


def test_links_among_frames(frame_root, tmp_path):
    write_pictures(tmp_path / "elsewhere", moving_square(4))
    (frame_root / "v2" / "000003.png").unlink()
    (frame_root / "v2" / "000003.png").symlink_to(tmp_path / "elsewhere" / "000003.png")
    (frame_root / "v4").symlink_to(tmp_path / "elsewhere")
    refused = {v.name: refusal(v)[0] for v in find_inputs(frame_root).videos[1:3]}
    assert refused == {"v2": "symlink", "v4": "symlink"}
    frames, _ = read_input(find_inputs(frame_root, follow_links=True).videos[2])
    assert np.array_equal(frames, moving_square(4))


def test_things_that_are_no_files(film_folder):
    os.mkfifo(film_folder / "pipe.mp4")
    (film_folder / "folder.mp4").mkdir()
    found = find_inputs(film_folder)
    pipe = next(video for video in found.videos if video.name == "pipe.mp4")
    assert refusal(pipe) == (
        "unreadable",
        "refused pipe.mp4: not a readable video (not a regular file)",
    )
    assert len(found.videos) == 4
    only = find_inputs(film_folder / "pipe.mp4")
    assert refusal(only.videos[0])[0] == "unreadable"


def test_very_deep_folders_are_walked(tmp_path):
    deep = tmp_path
    for _ in range(400):
        deep = deep / "d"
        deep.mkdir()
    write_video(deep / "a.mkv", moving_square(2))
    (name,) = names(tmp_path)
    assert name.endswith("/d/a.mkv")


def test_names_are_one_printable_line(tmp_path):
    assert shown_name("a\nb\x1b[31m.mp4") == "a\\nb\\x1b[31m.mp4"
    assert shown_name(os.fsdecode(b"\xff.mp4")) == "\\udcff.mp4"
    (tmp_path / os.fsdecode(b"\xff.mp4")).write_bytes(b"text")
    found = find_inputs(tmp_path)
    assert refusal(found.videos[0])[1].startswith("refused \\udcff.mp4: not a readable video")
    for form in ("NFC", "NFD"):
        (tmp_path / f"{unicodedata.normalize(form, 'é')}.mkv").write_bytes(b"text")
    assert error_text(tmp_path).endswith("holds two videos called é.mkv; rename one")


def test_stamps_and_contents_follow_changes(frame_root, film_folder):
    film, v2 = find_inputs(film_folder).videos[0], find_inputs(frame_root).videos[1]
    film_before, before = (film.stamp(), film.content()), (v2.stamp(), v2.content())
    assert (film.stamp(), film.content()) == film_before
    a, b = frame_root / "v2" / "000000.png", frame_root / "v2" / "000001.png"
    c = a.with_name("c")
    a.rename(c), b.rename(a), c.rename(b)
    assert v2.stamp() != before[0]
    assert v2.content() != before[1]
    write_video(film_folder / "clip2.mkv", moving_square(21))
    assert film.stamp() != film_before[0]
    assert film.content() != film_before[1]
    (film_folder / "clip2.mkv").unlink()
    assert film.stamp() == (-1, 0)
    with pytest.raises(RefusedError, match=r"not a readable video \(No such file or directory\)"):
        film.content()
    with pytest.raises(RefusedError, match=r"not a readable video \(No such file or directory\)"):
        film.open()
