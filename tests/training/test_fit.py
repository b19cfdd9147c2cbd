"""Training runs: they resume exactly, stop cleanly, and never lose a good checkpoint."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.training.conftest import NARROW
from vgbench.config.compose import compose
from vgbench.errors import (
    CheckpointError,
    DataError,
    DivergenceError,
    InterruptedRunError,
    PreemptedError,
    UsageError,
)
from vgbench.models.checkpoint import file_sha256, load_model, read_checkpoint
from vgbench.nn.noise import seeded_generator
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder


def states_equal(a, b):
    """Returns whether two nested states are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(states_equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(states_equal, a, b))
    return a == b


def assert_same_checkpoint(one, other):
    """Checks two files first by what they hold, as that tells where they differ."""
    a, b = read_checkpoint(one), read_checkpoint(other)
    assert a["vgbench"] == b["vgbench"]
    for part in ("state_dict", "optimizer_states"):
        assert states_equal(a[part], b[part]), part
    assert file_sha256(one) == file_sha256(other)


def trained(config, path, **options):
    folder = RunFolder(path)
    fit(config, folder, NARROW, options.pop("listener", Listener()), **options)
    return folder


class StopAfter:
    """Sends a signal to this process once so many clips are seen."""

    def __init__(self, clips, number):
        self.clips, self.number = clips, number

    def __call__(self, plan):
        step = plan.model.train_clips

        def stepped(real, optimizers):
            if plan.model.clips_seen + len(real.video) == self.clips:
                os.kill(os.getpid(), self.number)
            return step(real, optimizers)

        plan.model.train_clips = stepped


def test_a_resumed_run_equals_an_uninterrupted_one(narrow, tmp_path):
    config = narrow("budget.kclips=0.024")
    whole = trained(config, tmp_path / "whole")
    with pytest.raises(PreemptedError) as caught:
        trained(config, tmp_path / "parts", listener=Listener(StopAfter(12, signal.SIGTERM)))
    assert caught.value.exit_code == 75
    assert f"vgbench run --resume {tmp_path / 'parts'}" in str(caught.value)
    parts = RunFolder(tmp_path / "parts")
    assert read_checkpoint(parts.last)["vgbench"]["clips_seen"] == 12
    again = Listener(StopAfter(16, signal.SIGTERM))
    with pytest.raises(PreemptedError):
        fit(config, parts, NARROW, again, resume=True)
    fit(config, parts, NARROW, Listener(), resume=True)

    assert read_checkpoint(whole.last)["vgbench"]["clips_seen"] == 24
    assert_same_checkpoint(whole.last, parts.last)


def test_the_run_folder_tells_the_story(narrow, tmp_path):
    config = narrow("budget.kclips=0.016")
    folder = trained(config, tmp_path / "run")
    assert json.loads((folder.path / "status.json").read_text())["state"] == "done"
    kept = sorted(p.name for p in folder.checkpoints.glob("kclip-*.ckpt"))
    assert kept == [f"kclip-00000.{n:03d}.ckpt" for n in (0, 8, 16)]
    assert folder.config() == config
    assert folder.overrides() == NARROW
    rows = folder.metrics.read_text().splitlines()
    assert rows[0].startswith("clips_seen,d_video,d_image,g_video,g_image")
    assert rows[-1].startswith("16,")
    assert list(folder.samples.glob("*.mp4"))
    assert json.loads((folder.path / "environment.json").read_text())["versions"]["torch"]


def test_ctrl_c_saves_and_says_how_to_continue(narrow, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRunError) as caught:
        trained(
            narrow("budget.kclips=0.024"),
            tmp_path / "run",
            listener=Listener(StopAfter(8, signal.SIGINT)),
        )
    assert caught.value.exit_code == 130
    assert read_checkpoint(tmp_path / "run/checkpoints/last.ckpt")["vgbench"]["clips_seen"] == 8
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.slow
def test_kill_minus_9_leaves_a_loadable_checkpoint(tmp_path):
    words = [*NARROW, "budget.kclips=100", f"--run-dir={tmp_path / 'run'}"]
    process = subprocess.Popen([sys.executable, "-m", "vgbench", "-q", "run", *words])
    last = tmp_path / "run/checkpoints/last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert read_checkpoint(last)["vgbench"]["model"] == "g3an"
    assert load_model(tmp_path / "run").clips_seen >= 0


def test_divergence_keeps_the_last_finite_state(narrow, tmp_path):
    def poison(plan):
        step = plan.model.train_clips

        def stepped(real, optimizers):
            if plan.model.clips_seen == 8:
                real = real._replace(video=real.video * float("nan"))
            return step(real, optimizers)

        plan.model.train_clips = stepped

    with pytest.raises(
        DivergenceError, match=r"diverged at 0.008 kclips: the video disc"
    ) as caught:
        trained(narrow("budget.kclips=0.024"), tmp_path / "run", listener=Listener(poison))
    assert caught.value.exit_code == 6
    model = load_model(tmp_path / "run")
    assert model.clips_seen == 8
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert json.loads((tmp_path / "run/status.json").read_text())["exit_code"] == 6


def test_a_full_disk_leaves_the_checkpoint_before(narrow, tmp_path, monkeypatch):
    save = torch.save

    def save_until_full(contents, file):
        if contents["vgbench"]["clips_seen"] < 16:
            return save(contents, file)
        file.write(b"half of a checkpoint")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", save_until_full)
    with pytest.raises(CheckpointError) as caught:
        trained(narrow("budget.kclips=0.024"), tmp_path / "run")
    assert "No space left on device; the checkpoint before it is intact" in str(caught.value)
    folder = RunFolder(tmp_path / "run")
    assert read_checkpoint(folder.last)["vgbench"]["clips_seen"] == 8
    left = {p.name for p in folder.checkpoints.iterdir()}
    assert left == {"last.ckpt", "kclip-00000.000.ckpt", "kclip-00000.008.ckpt"}
    assert json.loads((folder.path / "status.json").read_text())["state"] == "failed"


def test_other_data_is_refused_on_resume(narrow, tmp_path):
    folder = trained(narrow("budget.kclips=0.004"), tmp_path / "run")
    with pytest.raises(DataError, match="trained on other data"):
        fit(
            narrow("budget.kclips=0.008", "dataset.seed=1"), folder, NARROW, Listener(), resume=True
        )


def test_nothing_is_written_when_model_and_data_do_not_fit(narrow, tmp_path):
    with pytest.raises(UsageError, match="no networks for 48x48"):
        trained(narrow("dataset.resolution=48"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_taken_run_folder_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    with pytest.raises(UsageError) as caught:
        RunFolder.new(tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'} exists and is not empty; continue it with --resume, "
        "or choose --run-dir"
    )


def test_a_loaded_model_samples_what_the_trained_one_did(narrow, tmp_path):
    seen = {}

    def keep(plan):
        seen["model"] = plan.model

    trained(narrow("budget.kclips=0.008"), tmp_path / "run", listener=Listener(keep))
    loaded = load_model(tmp_path / "run")
    a = seen["model"].sample(2, 16, seeded_generator(0, "eval"))
    b = loaded.sample(2, 16, seeded_generator(0, "eval"))
    assert torch.equal(a, b)
    assert loaded.provenance["dataset"] == "shapes"


@pytest.mark.slow
def test_one_step_at_the_papers_size(tmp_path):
    words = ["model=g3an", "dataset=shapes", "budget=paper", "trainer.accelerator=cpu"]
    # Two clips instead of 96: the networks are the paper's, the memory a laptop's.
    words += ["budget.batch_size=2", "budget.kclips=0.002", "dataset.videos=4"]
    folder = RunFolder(tmp_path / "run")
    fit(compose(words, tmp_path), folder, words, Listener())
    model = load_model(folder.path)
    assert sum(p.numel() for p in model.generator.parameters()) == 23_090_437
    assert model.clips_seen == 2
    assert model.spec.height == 64
