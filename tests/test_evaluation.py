"""The evaluation as users call it: on models, checkpoints, folders and functions."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import vgbench
from tests.training.conftest import NARROW
from vgbench import media
from vgbench.config.compose import compose
from vgbench.data.arrays import ArraySource
from vgbench.data.config import ShapesConfig
from vgbench.errors import CheckpointError, DataError, ProtocolError, UsageError, WeightsError
from vgbench.metrics.protocol import get_protocol
from vgbench.models.checkpoint import build_model
from vgbench.report.board import board
from vgbench.report.row_files import read_rows
from vgbench.subjects import open_subject, real_clips
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder
from vgbench.types import VideoSpec

PROTOCOLS = ["hed16/demo@1", "hfd16/demo@1"]


@pytest.fixture(scope="module")
def shapes():
    return vgbench.open_dataset(ShapesConfig(resolution=32, videos=24))


@pytest.fixture(scope="module")
def others():
    return vgbench.open_dataset(ShapesConfig(resolution=32, videos=24, seed=1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    words = [*NARROW, "dataset.videos=24", "budget.kclips=0.004"]
    fit(compose(words, folder.path), folder, words, Listener())
    return folder


def frames_of(source):
    return lambda i: source.read(i, np.arange(16))


def test_a_function_in_three_lines(shapes, others):
    good = vgbench.evaluate(shapes, frames_of(others), PROTOCOLS)
    noise = vgbench.evaluate(
        shapes, lambda i: np.random.default_rng(i).integers(0, 256, (16, 32, 32, 3), np.uint8)
    )
    assert [row.metric for row in good] == ["hED16", "hFD16"]
    assert good[0].value < 0.2 < 1 < noise[0].value
    assert good[0].floor is not None
    assert (good[0].n_real, good[0].n_fake, good[0].resolution) == (24, 24, "32x32")
    assert good[0].weights_identity == "handcrafted"
    assert "n_real = 24 instead of 256" in good[0].note


def test_the_same_videos_score_zero(shapes):
    protocol = vgbench.evaluate(shapes, frames_of(shapes), "hfd16/demo@1")[0]
    assert protocol.value > 0  # other starts of the same videos
    fixed = vgbench.open_dataset(ShapesConfig(resolution=32, videos=24, frames=16))
    assert vgbench.evaluate(fixed, frames_of(fixed), "hfd16/demo@1")[0].value < 1e-9


@pytest.mark.parametrize("batch_size", [1, 5])
def test_batch_size_does_not_change_the_row(run, shapes, batch_size):
    reference = vgbench.evaluate(shapes, run.path, PROTOCOLS, batch_size=16)
    other = vgbench.evaluate(shapes, run.path, PROTOCOLS, batch_size=batch_size)
    for a, b in zip(reference, other, strict=True):
        assert b.value == pytest.approx(a.value, rel=1e-4)
        assert (a.n_fake, a.note, a.checkpoint_sha256) == (b.n_fake, b.note, b.checkpoint_sha256)


@pytest.mark.slow
def test_rows_of_two_seeds_are_pooled(run, shapes, tmp_path):
    folder = RunFolder(tmp_path / "other")
    words = [*NARROW, "dataset.videos=24", "budget.kclips=0.004", "seed=1"]
    fit(compose(words, folder.path), folder, words, Listener())
    rows = [vgbench.evaluate(shapes, path, PROTOCOLS[:1])[0] for path in (run.path, folder.path)]
    assert [row.seed_train for row in rows] == [0, 1]
    assert rows[0].config_sha256 == rows[1].config_sha256
    assert rows[0].checkpoint_sha256 != rows[1].checkpoint_sha256
    assert json.loads(rows[0].config)["channels"] == 2
    ((entry,),) = (table.entries for table in board(rows))
    assert (entry.model, entry.n, entry.rows) == ("g3an", 2, tuple(rows))
    assert entry.mean == pytest.approx(np.mean([row.value for row in rows]))
    foreign = vgbench.evaluate(shapes, frames_of(shapes), PROTOCOLS[:1])[0]
    assert (foreign.seed_train, foreign.config, foreign.config_sha256) == (None, "", "")


@pytest.mark.slow
def test_two_processes_give_the_same_row(run, tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    words += ["--master-port=29611", "-m", "vgbench", "eval", str(run.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VGBENCH_FEATURES_DIR": "none"}
    two = [*words, "-o", str(tmp_path / "two.json")]
    one = [sys.executable, "-m", "vgbench", "eval", str(run.path), "-o", str(tmp_path / "one.json")]
    for command in (two, one):
        subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    for a, b in zip(
        read_rows(tmp_path / "one.json"), read_rows(tmp_path / "two.json"), strict=True
    ):
        assert b.value == pytest.approx(a.value, rel=1e-4)
        assert b.floor == pytest.approx(a.floor, rel=1e-4)
        assert (a.n_real, a.n_fake) == (b.n_real, b.n_fake)


def test_a_video_does_not_depend_on_how_it_is_asked_for(shapes, tmp_path):
    config = compose(NARROW, tmp_path)
    model = build_model(config.model, VideoSpec(height=32, width=32), seed=0)
    protocol = get_protocol("hed16/demo@1")
    clips = {}
    for batch_size in (1, 4):
        subject = open_subject(model, 0, "cpu", batch_size, shapes)
        clips[batch_size] = torch.stack(list(subject.read(protocol, 6, 0, 1)))
        odd = torch.stack(list(subject.read(protocol, 6, 1, 2)))
        assert (odd.int() - clips[batch_size][1::2].int()).abs().max() <= 1
    assert (clips[1].int() - clips[4].int()).abs().max() <= 1


def test_a_folder_of_videos(tmp_path, shapes, others):
    for i in range(12):
        media.write_clip(tmp_path / f"{i}.mp4", others.read(i, np.arange(20)), 25.0)
    row = vgbench.evaluate(shapes, tmp_path, "hed16/demo@1")[0]
    assert (row.model, row.n_fake, row.checkpoint_sha256) == (tmp_path.name, 12, "")
    assert "decoded from video files" in row.note
    assert "n_fake = 12 instead of 24" in row.note


def test_short_generated_videos_are_refused(shapes):
    with pytest.raises(ProtocolError) as caught:
        vgbench.evaluate(shapes, lambda i: np.zeros((10, 32, 32, 3), np.uint8), "hed16/demo@1")
    assert str(caught.value) == (
        "protocol hed16/demo@1 needs >= 16 frames per generated video; video 0 has 10.  "
        "Nothing was evaluated."
    )
    assert caught.value.exit_code == 7


def test_float_videos_are_refused(shapes):
    with pytest.raises(UsageError, match="expected uint8"):
        vgbench.evaluate(shapes, lambda i: np.zeros((16, 32, 32, 3), np.float32), "hed16/demo@1")


def test_other_sizes_are_refused(shapes):
    with pytest.raises(ProtocolError, match="64x64 pixels, the first real clip 32x32"):
        vgbench.evaluate(shapes, lambda i: np.zeros((16, 64, 64, 3), np.uint8), "hed16/demo@1")


def test_short_real_videos_are_refused(others):
    with pytest.raises(ProtocolError) as caught:
        vgbench.evaluate(others, frames_of(others), "fvd128")
    assert "needs >= 128 frames per real video; 24 of 24 videos in 'shapes' are shorter" in str(
        caught.value
    )


def test_missing_weights_are_named(tmp_path):
    many = vgbench.open_dataset(ShapesConfig(resolution=32, videos=64))
    with pytest.raises(WeightsError) as caught:
        vgbench.evaluate(many, frames_of(many), "fvd16", weights_dir=tmp_path)
    assert caught.value.exit_code == 4
    assert "vgbench weights import i3d-k400" in str(caught.value)


def test_missing_things_are_named(shapes, tmp_path):
    with pytest.raises(CheckpointError, match=r"give a .ckpt file or a run"):
        vgbench.evaluate(shapes, tmp_path / "no.ckpt")
    with pytest.raises(DataError, match="does not exist"):
        vgbench.evaluate(tmp_path / "nothing", frames_of(shapes))
    with pytest.raises(UsageError, match="cannot evaluate a int"):
        open_subject(3, 0, "cpu", 1, shapes)


def arrays(seed, n=8, frames=18):
    """Random walks of a block of noise: cheap videos that move."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, 256, (n, 1, 28, 28, 3), np.uint8)
    return np.concatenate([np.roll(first, t * (1 + seed), axis=2) for t in range(frames)], axis=1)


def test_arrays_sources_folders_and_functions_are_the_same_videos():
    real, fake = arrays(0), arrays(1)
    source = ArraySource(fake, name="mine")
    given = (fake, torch.from_numpy(fake), source, lambda i: fake[i])
    rows = [vgbench.evaluate(real, one, "hed16/demo@1")[0] for one in given]
    assert len({(row.value, row.floor, row.n_real, row.n_fake) for row in rows}) == 1
    assert [row.model for row in rows] == ["array", "array", "mine", "lambda"]
    assert rows[0].dataset_fingerprint == ArraySource(real).fingerprint
    assert rows[0].dataset_fingerprint != source.fingerprint
    same = vgbench.evaluate(torch.from_numpy(real), fake, "hed16/demo@1")[0]
    assert (same.value, same.dataset_fingerprint) == (rows[0].value, rows[0].dataset_fingerprint)


@pytest.mark.parametrize("wrong", [np.zeros((4, 16, 24, 24, 3)), np.zeros((16, 24, 24, 3), "u1")])
def test_arrays_of_another_kind_are_refused(wrong):
    for real, fake in ((wrong, arrays(1)), (arrays(0), wrong)):
        with pytest.raises(DataError, match=r"expected uint8 clips of shape \(B, T, H, W, 3\)"):
            vgbench.evaluate(real, fake, "hed16/demo@1")
    with pytest.raises(DataError, match="no video in an array"):
        vgbench.evaluate(arrays(0)[:0], arrays(1))


def test_unknown_settings_are_an_error():
    with pytest.raises(TypeError, match="no setting batchsize"):
        vgbench.evaluate(arrays(0), arrays(1), batchsize=3)


def test_a_cached_evaluation_asks_for_no_frame(tmp_path):
    class Counting(ArraySource):
        reads = 0

        def read(self, i, frames):
            Counting.reads += 1
            return super().read(i, frames)

    real, fake = Counting(arrays(0)), Counting(arrays(1))
    expected = vgbench.evaluate(real, fake, "hed16/demo@1")[0]
    stages = []
    for once, protocol in ((24, "hed16/demo@1"), (0, "hfd16/demo@1"), (0, "hed16/demo@1")):
        Counting.reads = 0
        row = vgbench.evaluate(
            real,
            fake,
            protocol,
            feature_cache=tmp_path,
            batch_size="auto",
            on_progress=lambda stage, done, total: stages.append(stage),
        )[0]
        assert Counting.reads == once
    assert replace(row, date="") == replace(expected, date="")
    assert {"real", "real (cached)", "fake (cached)", "floor (cached)"} <= set(stages)
    Counting.reads = 0
    vgbench.evaluate(real, fake, "hed16/demo@1", seed=1, feature_cache=tmp_path)
    assert Counting.reads == 8  # other starts of the generated videos


def test_a_checkpoint_is_sampled_once(run, shapes, tmp_path, monkeypatch):
    first = vgbench.evaluate(shapes, run.path, PROTOCOLS[0], feature_cache=tmp_path)[0]
    monkeypatch.setattr(vgbench.VideoGAN, "sample", None)
    again = vgbench.evaluate(shapes, run.path, PROTOCOLS, feature_cache=tmp_path)[0]
    assert replace(again, date="") == replace(first, date="")


def test_sampling_goes_on_with_fewer_videos_when_memory_runs_out(run, shapes, monkeypatch):
    model = vgbench.load_model(run.path)
    sample, sizes = model.sample, []

    def limited(n, frames, generators):
        sizes.append(n)
        if n > 4:
            raise torch.OutOfMemoryError("injected")
        return sample(n, frames, generators)

    protocol = get_protocol(PROTOCOLS[0])
    expected = torch.stack(list(open_subject(model, 0, "cpu", 4, shapes).read(protocol, 6, 0, 1)))
    monkeypatch.setattr(model, "sample", limited)
    subject = open_subject(model, 0, "cpu", "auto", shapes)
    assert torch.equal(torch.stack(list(subject.read(protocol, 6, 0, 1))), expected)
    assert sizes == [6, 6, 4, 2]  # 16 at most at first, then 8, then 4


def test_trials_take_their_own_clips_from_any_position():
    source = ArraySource(arrays(0, n=6, frames=30))
    protocol = replace(get_protocol("hed16/demo@1"), trials=3)

    def read(first, step):
        clips = real_clips(source, protocol, n=6, draw=0, part=(first, step))
        return [clip.numpy().tobytes() for clip in clips]

    every = read(0, 1)
    assert len(every) == 18
    assert len(set(every)) > 12
    for first, step in ((5, 1), (7, 1), (1, 2), (13, 4), (3, 5)):
        assert read(first, step) == every[first::step]
