import numpy as np
import pytest

from tests.data.conftest import moving_square, write_pictures, write_video, write_zip
from vgbench.data.sources import VideoFolderSource, VideoSource
from vgbench.errors import DataError


def test_folder_of_videos(film_folder):
    source = VideoFolderSource(film_folder)
    assert isinstance(source, VideoSource)
    assert [source.meta(i).video_id for i in range(len(source))] == [
        "clip2.mkv",
        "clip10.mkv",
        "sub/clip1.mkv",
    ]
    assert [source.meta(i).n_frames for i in range(3)] == [20, 24, 40]
    assert source.meta(2).fps == pytest.approx(50)
    assert (source.meta(1).height, source.meta(1).width) == (64, 48)
    frames = np.array([7, 3, 3])
    assert np.array_equal(source.read(0, frames), moving_square(20)[frames])


def test_frames_archives_and_arrays(tmp_path):
    folder = write_pictures(tmp_path / "root" / "v", moving_square(5)).parent
    (folder / "dataset.json").write_text('{"labels": {"v/000000.png": 2}}')
    np.savez_compressed(tmp_path / "a.npz", video=moving_square(5)[None])
    frames = np.array([4, 0])
    for root in (folder, write_zip(tmp_path / "a.zip", folder), tmp_path / "a.npz"):
        source = VideoFolderSource(root)
        assert np.array_equal(source.read(0, frames), moving_square(5)[frames])
        assert source.meta(0).n_frames == 5
        assert source.meta(0).label == (None if root.suffix == ".npz" else 2)
    prints = [VideoFolderSource(root).fingerprint for root in (folder, tmp_path / "a.zip")]
    assert prints[0] == prints[1]


def test_fingerprint_follows_names_and_contents(film_folder):
    first = VideoFolderSource(film_folder).fingerprint
    assert len(first) == 64
    assert VideoFolderSource(film_folder).fingerprint == first
    (film_folder / "clip2.mkv").rename(film_folder / "clip3.mkv")
    renamed = VideoFolderSource(film_folder).fingerprint
    write_video(film_folder / "clip3.mkv", moving_square(21))
    assert len({first, renamed, VideoFolderSource(film_folder).fingerprint}) == 3


def test_one_file_is_a_folder_of_one(film_folder):
    source = VideoFolderSource(film_folder / "clip10.mkv")
    assert [source.meta(0).video_id, len(source)] == ["clip10.mkv", 1]


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        VideoFolderSource(tmp_path / "absent")
    with pytest.raises(DataError, match="no videos or frame folders found"):
        VideoFolderSource(tmp_path)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    source = VideoFolderSource(tmp_path)
    with pytest.raises(DataError, match=r"refused a\.mp4: not a readable video"):
        source.meta(0)
