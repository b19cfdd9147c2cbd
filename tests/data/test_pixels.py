"""From one input to the raw frames of its pieces."""

import pickle
import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.data.conftest import decode_video, moving_square, write_pictures, write_video, write_zip
from vgbench.data.decode import RefusedError
from vgbench.data.geometry import Geometry
from vgbench.data.inputs.find import find_inputs
from vgbench.data.inputs.video_files import VideoFile
from vgbench.data.prepare.options import Options
from vgbench.data.prepare.pixels import Piece, decode_pieces
from vgbench.errors import DataError


def pieces(path, tmp_path, **options):
    """Returns the pieces of a file or input, and their frames."""
    video = as_input(path) if isinstance(path, Path) else path
    wanted = Options(**{"resolution": 16, "min_frames": 2} | options)
    out = tmp_path / "piece.raw"
    made = decode_pieces(video, wanted, out)
    side = wanted.resolution
    frames = np.fromfile(out, np.uint8).reshape(-1, side, side, 3)
    assert len(frames) == sum(piece.frames for piece in made)
    assert not out.with_suffix(".frames").exists()
    return made, frames


def as_input(path):
    return VideoFile(path.name, path.name, path=path)


def refused(path, tmp_path, **options):
    with pytest.raises(RefusedError) as error:
        pieces(path, tmp_path, **options)
    assert not list(tmp_path.glob("*.frames"))
    return error.value.reason, str(error.value)


def squares(frames, side=16):
    return np.stack([Geometry(side).square(frame) for frame in frames])


@pytest.fixture
def film(tmp_path):
    return write_video(tmp_path / "film.mkv", moving_square(50))


def test_a_whole_video(film, tmp_path):
    (piece,), frames = pieces(film, tmp_path)
    assert piece == Piece("film.mkv", "film.mkv", -1, 50, 25.0, (), 0)
    assert pickle.loads(pickle.dumps(piece)) == piece
    assert np.array_equal(frames, squares(moving_square(50)))


@pytest.mark.parametrize("recipe", ["default", "styleganv", "stylesv", "styleinv", "g3an"])
def test_recipes(film, tmp_path, recipe):
    _, frames = pieces(film, tmp_path, recipe=recipe)
    geometry = Geometry(16, recipe)
    assert np.array_equal(frames, [geometry.square(f) for f in moving_square(50)])


def test_stride_and_longest(film, tmp_path):
    expected = squares(moving_square(50))
    (piece,), frames = pieces(film, tmp_path, stride=7)
    assert (piece.frames, piece.fps) == (8, pytest.approx(25 / 7))
    assert np.array_equal(frames, expected[::7])
    _, frames = pieces(film, tmp_path, stride=3, max_frames=5)
    assert np.array_equal(frames, expected[:15:3])


def test_chunks(film, tmp_path):
    made, frames = pieces(film, tmp_path, chunk=8, stride=2)
    assert [piece.name for piece in made] == [f"film.mkv#0000{i}" for i in range(3)]
    assert {(piece.group, piece.frames) for piece in made} == {("film.mkv", 8)}
    assert np.array_equal(frames, squares(moving_square(50))[:48:2])  # the tail of one is dropped
    made, frames = pieces(film, tmp_path, chunk=20, max_frames=5)
    assert [piece.frames for piece in made] == [5, 5]
    assert np.array_equal(frames, squares(moving_square(50))[[*range(5), *range(20, 25)]])


def test_resampling(tmp_path):
    path = write_video(tmp_path / "a.mkv", moving_square(60), fps=30)
    (piece,), frames = pieces(path, tmp_path, fps=10.0)
    assert (piece.frames, piece.fps) == (20, 10)
    assert np.array_equal(frames, squares(moving_square(60))[::3])
    _, frames = pieces(path, tmp_path, fps=10.0, stride=4)
    assert np.array_equal(frames, squares(moving_square(60))[::12])
    (piece,), frames = pieces(path, tmp_path, fps=60.0, allow_duplicate=True)
    assert np.array_equal(frames, squares(moving_square(60)).repeat(2, axis=0))
    assert refused(path, tmp_path, fps=31.0) == (
        "fps_too_low",
        "refused a.mkv: 30.0 fps are fewer than 31 (use --allow-duplicate)",
    )
    assert pieces(path, tmp_path, fps=30.2)[0][0].frames == 60


def test_variable_rate_shows_the_frame_on_screen(clips_dir, tmp_path):
    # the white square moves with time, so its place tells which frame is shown
    path = clips_dir / "made_vfr_h264.mp4"
    source, timing = decode_video(path)
    (piece,), frames = pieces(path, tmp_path, fps=25.0, resolution=96)
    assert piece.flags == ("vfr",)
    duration = timing.times_s[-1] + 1 / timing.fps
    assert piece.frames == int(duration * 25 + 1e-6)
    for k, frame in enumerate(frames):
        on_screen = np.flatnonzero(timing.times_s <= k / 25 + 1e-6)[-1]
        assert np.array_equal(frame, Geometry(96).square(source[on_screen]))


def test_pictures_have_no_rate_to_resample(tmp_path):
    write_pictures(tmp_path / "root" / "v", moving_square(20))
    (video,) = find_inputs(tmp_path / "root").videos
    (piece,), _ = pieces(video, tmp_path, kind="frames")
    assert (piece.fps, piece.flags) == (25, ("fps_unknown",))
    assert refused(video, tmp_path, fps=25.0) == (
        "fps_unknown",
        "refused v: frame rate is unknown; --fps needs timestamps",
    )


def test_every_kind_gives_the_same_pixels(tmp_path):
    source = moving_square(20, 48, 48)
    film = write_video(tmp_path / "film.mkv", source)
    folder = write_pictures(tmp_path / "root" / "v", source).parent
    np.save(tmp_path / "a.npy", source[None])
    sources = (film, folder, write_zip(tmp_path / "a.zip", folder), tmp_path / "a.npy")
    made = []
    for source in sources:
        (video,) = find_inputs(source).videos
        made.append(pieces(video, tmp_path)[1])
    assert all(np.array_equal(frames, made[0]) for frames in made)


def test_single_images_need_no_length(tmp_path):
    write_pictures(tmp_path / "images", moving_square(3))
    for video in find_inputs(tmp_path / "images").videos:
        (piece,), frames = pieces(video, tmp_path, kind="images", min_frames=16)
        assert (piece.frames, len(frames)) == (1, 1)
    assert refused(video, tmp_path, kind="frames", min_frames=16)[0] == "too_short"


def test_too_short(film, tmp_path):
    assert refused(film, tmp_path, min_frames=51) == (
        "too_short",
        "refused film.mkv: 50 frames after fps/stride, at least 51 needed",
    )
    text = "refused film.mkv: 13 frames after fps/stride, at least 16 needed"
    assert refused(film, tmp_path, stride=4, min_frames=16) == ("too_short", text)
    text = "refused film.mkv: 50 frames after fps/stride, at least 60 needed"
    assert refused(film, tmp_path, chunk=60) == ("too_short", text)


@pytest.mark.parametrize(
    "name", ["made_too_short_5f.mp4", "rotate_0.mov", "rotate_90.mov", "rotate_180.mov"]
)
def test_short_clips(clips_dir, tmp_path, name):
    assert refused(clips_dir / name, tmp_path, min_frames=16)[0] == "too_short"


def scenes(*lengths):
    rng = np.random.default_rng(0)
    levels = [20, 220, 90, 250]
    return np.concatenate(
        [
            rng.integers(0, 6, (n, 32, 32, 3), dtype=np.uint8) + np.uint8(level)
            for n, level in zip(lengths, levels, strict=False)
        ]
    )


def test_scene_cuts(tmp_path):
    frames = scenes(6, 3, 9)
    path = write_video(tmp_path / "a.mkv", frames)
    (piece,), _ = pieces(path, tmp_path, scene_cuts="report")
    assert (piece.name, piece.flags) == ("a.mkv", ("scene_cuts=6,9",))
    made, kept = pieces(path, tmp_path, scene_cuts="split", min_frames=4)
    assert [(p.name, p.frames, p.flags) for p in made] == [
        ("a.mkv#00000", 6, ()),
        ("a.mkv#00001", 9, ()),
    ]
    assert np.array_equal(kept, squares(np.concatenate([frames[:6], frames[9:]])))
    made, _ = pieces(path, tmp_path, scene_cuts="split", chunk=3)
    assert [p.frames for p in made] == [3, 3, 3, 3, 3, 3]
    made, _ = pieces(path, tmp_path, scene_cuts="report", chunk=8)
    assert [p.flags for p in made] == [("scene_cuts=6",), ("scene_cuts=1",)]


def test_rotation_and_pixel_aspect(clips_dir, tmp_path):
    (piece,), _ = pieces(clips_dir / "rotate_90.mov", tmp_path)
    assert piece.rotation == -90
    wide = {"sample_aspect_ratio": Fraction(2)}
    path = write_video(tmp_path / "a.mp4", moving_square(20), "libx264", **wide)
    source, _ = decode_video(path)
    _, frames = pieces(path, tmp_path)
    assert np.array_equal(frames[3], Geometry(16).square(source[3], Fraction(2)))
    _, frames = pieces(path, tmp_path, ignore_sar=True)
    assert np.array_equal(frames, squares(source))


def test_enlarging(film, tmp_path):
    (piece,), _ = pieces(film, tmp_path, resolution=64)
    assert piece.flags == ("upscaled",)
    assert refused(film, tmp_path, resolution=64, upscale=False)[0] == "upscale"
    with pytest.raises(DataError, match=r"film\.mkv is 64x48; --crop none needs square frames"):
        pieces(film, tmp_path, crop="none")


def test_frames_before_damage_may_be_kept(clips_dir, tmp_path):
    path = clips_dir / "midstream_corrupt.mp4"
    invalid = "Invalid data found when processing input"
    whole = ("decode_error", f"refused {path.name}: decoding failed after 28 frames ({invalid})")
    assert refused(path, tmp_path) == whole
    (piece,), frames = pieces(path, tmp_path, keep_partial=True)
    assert (piece.frames, piece.flags) == (28, ("partial",))
    assert len(frames) == 28
    assert refused(path, tmp_path, keep_partial=True, min_frames=29) == whole
    truncated = clips_dir / "bad_truncated.webm"
    assert refused(truncated, tmp_path, keep_partial=True)[0] == "truncated"


def test_memory_does_not_grow_with_the_film(tmp_path):
    def peak(count):
        path = write_video(tmp_path / f"{count}.mkv", moving_square(count), gop_size=12)
        tracemalloc.start()
        pieces(path, tmp_path, fps=20.0, scene_cuts="report", resolution=4)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)
    assert peak(400) - peak(100) < 300 * 300  # a frame has 9216 bytes; its number and time stay
