"""The evaluation as users call it: on models, checkpoints, folders and functions."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import vgbench
from tests.training.conftest import NARROW
from vgbench import media
from vgbench.config.compose import compose
from vgbench.data.config import ShapesConfig
from vgbench.errors import CheckpointError, DataError, ProtocolError, UsageError, WeightsError
from vgbench.subjects import open_subject
from vgbench.metrics.protocol import get_protocol
from vgbench.models.checkpoint import build_model
from vgbench.report.rows import read_json
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
def test_two_processes_give_the_same_row(run, tmp_path):
    words = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    words += ["--master-port=29611", "-m", "vgbench", "eval", str(run.path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VGBENCH_FEATURES_DIR": "none"}
    two = [*words, "-o", str(tmp_path / "two.json")]
    one = [sys.executable, "-m", "vgbench", "eval", str(run.path), "-o", str(tmp_path / "one.json")]
    for command in (two, one):
        subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    for a, b in zip(
        read_json(tmp_path / "one.json"), read_json(tmp_path / "two.json"), strict=True
    ):
        assert b.value == pytest.approx(a.value, rel=1e-4)
        assert b.floor == pytest.approx(a.floor, rel=1e-4)
        assert (a.n_real, a.n_fake) == (b.n_real, b.n_fake)


def test_a_video_does_not_depend_on_how_it_is_asked_for(tmp_path):
    config = compose(NARROW, tmp_path)
    model = build_model(config.model, VideoSpec(height=32, width=32), seed=0)
    protocol = get_protocol("hed16/demo@1")
    clips = {}
    for batch_size in (1, 4):
        subject = open_subject(model, 0, "cpu", batch_size)
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
        open_subject(3, 0, "cpu", 1)
