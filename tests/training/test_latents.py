"""Runs that train on latents: encoded once, shared, refused when stale; resumed to the last bit."""

import csv
import json
import math
import os
import signal

import pytest
import torch

from tests.training.test_fit import assert_same_checkpoint, states_equal
from vgbench.config.compose import compose
from vgbench.data.sources import open_dataset
from vgbench.errors import DataError, PreemptedError
from vgbench.models.checkpoint import load_model, read_checkpoint
from vgbench.models.stylevideogan.latents import latent_moments
from vgbench.training import callbacks, latents
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder
from vgbench.video import to_model_range

NARROW = [
    "model=stylevideogan",
    "model.backend=identity",
    "model.identity.num_ws=2",
    "model.identity.w_dim=8",
    "model.generator.z_dim=4",
    "model.generator.memory_widths=[8]",
    "model.generator.trunk_widths=[8]",
    "model.critic.embed_widths=[8]",
    "model.critic.conv_channels=[8,8]",
    "model.training.frames=5",
    "model.training.critic_steps=3",
    "model.training.ema_kclips=0.02",
    "model.videos=20",
    "model.report_kclips=0.02",
    "dataset=shapes",
    "dataset.videos=24",
    "dataset.frames=8",
    "dataset.resolution=16",
    "budget.batch_size=4",
    "budget.checkpoint_kclips=0.016",
    "budget.sample_kclips=1",
    "trainer.accelerator=cpu",
]


def trained(tmp_path, name, *words, listener=None, resume=False):
    """Returns the folder of a run and what it told; all runs of a test share their latents."""
    told = []
    folder = RunFolder(tmp_path / name)
    config = compose([*NARROW, *words], tmp_path / "data")
    listener = listener or Listener(message=told.append)
    fit(config, folder, NARROW, listener, resume, artefacts=tmp_path / "artefacts")
    return folder, told


def kept(tmp_path):
    return sorted((tmp_path / "artefacts").glob("latents-shapes-*"))


@pytest.mark.slow
def test_frames_are_encoded_once_for_many_runs(tmp_path):
    first, told = trained(tmp_path, "first", "budget.kclips=0.004")
    assert told[0] == "encoding 160 frames of 20 videos"
    assert told[1].endswith(f"kept as {kept(tmp_path)[0].name}")
    _, told = trained(tmp_path, "other", "budget.kclips=0.004", "seed=1")
    assert told == []
    for word in ("model.identity.seed=1", "model.videos=19"):
        _, told = trained(tmp_path, word, "budget.kclips=0.004", word)
        assert told[0].startswith("encoding"), word
    assert len(kept(tmp_path)) == 3
    assert {p.name for p in kept(tmp_path)[0].iterdir()} == {"latents.json", "latents.npy"}

    config = compose(NARROW, tmp_path / "data")
    source, model = open_dataset(config.dataset), load_model(first.path)
    frames = torch.stack(
        [torch.from_numpy(source.read(i, torch.arange(8).numpy())) for i in range(20)]
    )
    ws = model.backend.encode(to_model_range(frames).transpose(1, 2).flatten(0, 1))
    moments = latent_moments([ws])
    torch.testing.assert_close(model.generator.scale.mean, moments.mean.float())
    torch.testing.assert_close(model.sampler.scale.std, moments.std.float() + 1e-6)
    assert model.offset.joint.axes.any()


def test_no_picture_is_read_once_all_are_encoded(tmp_path):
    trained(tmp_path, "first", "budget.kclips=0.004")

    def blind(plan):
        def read(*_):
            raise AssertionError("a picture was read")

        plan.source.read = read

    folder, _ = trained(tmp_path, "second", "budget.kclips=0.02", listener=Listener(start=blind))
    assert read_checkpoint(folder.last)["vgbench"]["clips_seen"] == 20


def test_stale_latents_end_a_run(tmp_path):
    trained(tmp_path, "first", "budget.kclips=0.004")
    about = kept(tmp_path)[0] / "latents.json"
    contents = json.loads(about.read_text())
    contents["origin"]["encoder.basis"] = "f" * 64
    about.write_text(json.dumps(contents))
    with pytest.raises(DataError, match=r"stale: the encoder.basis was ffffffffffff and is"):
        trained(tmp_path, "second", "budget.kclips=0.004")
    status = json.loads((tmp_path / "second/status.json").read_text())
    assert status["state"] == "failed"


@pytest.mark.slow
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole, _ = trained(tmp_path, "whole", "budget.kclips=0.06")
    # Between two steps of the generator, of which there are three in this time.
    trained(tmp_path, "parts", "budget.kclips=0.028")
    parts, _ = trained(tmp_path, "parts", "budget.kclips=0.06", resume=True)
    assert_same_checkpoint(whole.last, parts.last)


REPORTED = {
    "phi": (0, math.pi / 2),
    "spread": (0, 10),
    "diversity": (0, 10),
    "roughness": (0, 100),
    "roughness_data": (0, 100),
    "sigma_start": (0, 10),
    "sigma_end": (0, 10),
    "repeating": (0, 1),
}


def test_what_the_losses_do_not_show_is_in_the_metrics(tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks, "_LOG_SECONDS", 0.0)
    folder, _ = trained(tmp_path, "run", "budget.kclips=0.06")
    rows = list(csv.DictReader(folder.metrics.open()))
    assert {key[7:] for key in rows[0] if key.startswith("report_")} == set(REPORTED)
    for name, (low, high) in REPORTED.items():
        seen = [float(row[f"report_{name}"]) for row in rows if row[f"report_{name}"]]
        # at 0, 20 and 40 clips; numbers that stand still are none of a generator that learns
        assert len(seen) == 3, name
        assert all(low <= value <= high for value in seen), name
        assert len(set(seen)) > 1 or name == "repeating", name
    trace = {"wasserstein", "gradient_penalty", "gradient_norm", "generator", "angle_penalty",
             "phi", "displacement"}  # fmt: skip
    for name in trace:
        assert any(row[name] for row in rows), name


@pytest.mark.slow
def test_a_signal_while_frames_are_encoded_leaves_a_run_that_goes_on(tmp_path, monkeypatch):
    encoded, parts = latents.encoded, []

    def interrupted(*arguments):
        for part in encoded(*arguments):
            parts.append(part)
            if len(parts) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            yield part

    monkeypatch.setattr(latents, "encoded", interrupted)
    with pytest.raises(PreemptedError, match="stopped at 0 kclips, state saved"):
        trained(tmp_path, "parts", "budget.kclips=0.02")
    assert len(parts) == 3
    assert not kept(tmp_path)
    monkeypatch.undo()
    parts, told = trained(tmp_path, "parts", "budget.kclips=0.02", resume=True)
    whole, _ = trained(tmp_path, "whole", "budget.kclips=0.02")
    a, b = read_checkpoint(whole.last), read_checkpoint(parts.last)
    assert states_equal(a["state_dict"], b["state_dict"])
    assert told[0].startswith("encoding")
