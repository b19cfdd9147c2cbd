"""Messages of the library that commands pass on, word for word."""

import re
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from vgbench import media
from vgbench.config.compose import compose
from vgbench.config.schema import BudgetConfig, TrainerConfig
from vgbench.config.sweep import expand
from vgbench.data.arrays import ArraySource
from vgbench.errors import (
    CheckpointError,
    DataError,
    DivergenceError,
    FrameLimitError,
    ProtocolError,
    UsageError,
)
from vgbench.evaluation import open_subject
from vgbench.metrics.energy import energy_distance
from vgbench.metrics.extractors.jet import JetNormalizer, jet_features
from vgbench.metrics.frechet import frechet_distance
from vgbench.models.checkpoint import build_model
from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.discriminator import ImageDiscriminator
from vgbench.models.g3an.module import G3AN, load_reference
from vgbench.registry import Registry
from vgbench.training.checkpoint_io import AtomicCheckpointIO
from vgbench.training.run_folder import RunFolder
from vgbench.types import VideoSpec, record
from vgbench.video import check_clips

# A user's own YAML.

YAML = {
    "name: [tiny\n": (
        "TMP/budget/tiny.yaml, line 2: not YAML: expected ',' or ']', but got '<stream end>'"
    ),
    "klips: 1\n": (
        "budget.klips: 'budget' has no such option. Did you mean budget.kclips (default 100)?\n"
        "  see: vgbench config options budget"
    ),
    "kclips: fast\n": "budget.kclips: expected a float, e.g. budget.kclips=100",
    "kclips: -1\n": "budget.kclips=-1.0: expected a positive number",
}


@pytest.mark.parametrize("content", YAML)
def test_mistakes_in_a_users_yaml(tmp_path, content):
    (tmp_path / "budget").mkdir()
    (tmp_path / "budget" / "tiny.yaml").write_text(content)
    words = ["model=g3an", "dataset=shapes", "budget=tiny"]
    with pytest.raises(UsageError) as caught:
        compose(words, tmp_path, config_dir=tmp_path)
    assert str(caught.value) == YAML[content].replace("TMP", str(tmp_path))


def g3an(size=32, **options):
    return build_model(
        G3ANConfig(channels=2, use_attention=False, **options),
        VideoSpec(height=size, width=size),
        seed=0,
    )


def diverging(loss):
    model = g3an(16)
    model.descend(loss(model), model.configure_optimizers()[2], "generator")


class Limited(G3AN):
    max_frames = 20


def limited():
    model = g3an(16)
    model.__class__ = Limited
    model.sample(1, 21, torch.Generator())


def taken():
    registry = Registry("toy", {"a": "json:dumps"})
    registry.register("a", 1)


def full_disk(tmp_path):
    (tmp_path / "file").touch()
    AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file" / "a.ckpt")


def without_grid():
    super(G3AN, g3an(16)).sample_grid(2, 2, 16, 0)


LIBRARY = {
    "sweep of nonsense": (
        lambda _: expand(["model=g3an", "nonsense"]),
        UsageError,
        "'nonsense' is not understood; options are written key=value, e.g. model=g3an",
    ),
    "option of another version": (
        lambda _: record(BudgetConfig, {"klips": 1, "age": 2}),
        UsageError,
        "BudgetConfig has no option age, klips",
    ),
    "devices": (
        lambda _: TrainerConfig(devices=0),
        UsageError,
        "trainer.devices=0: expected 1 or more",
    ),
    "no run folder": (
        RunFolder.open,
        UsageError,
        "TMP is not a run folder: it holds no config.yaml",
    ),
    "checkpoint that cannot be written": (
        full_disk,
        CheckpointError,
        "cannot write TMP/file/a.ckpt: File exists; the checkpoint before it is intact",
    ),
    "picture": (
        lambda tmp: media.write_clip(tmp / "x.mkv", np.zeros((1, 4, 4, 3), np.uint8), 25.0),
        UsageError,
        "cannot write 'x.mkv': expected one of .mp4, .webm, .gif, .png",
    ),
    "name taken": (
        lambda _: taken(),
        UsageError,
        "toy 'a' is registered twice; choose another name",
    ),
    "no videos": (
        lambda _: g3an(16).sample(0, 16, torch.Generator()),
        UsageError,
        "cannot sample 0 videos of 16 frames; both must be >= 1",
    ),
    "too many frames": (
        lambda _: limited(),
        FrameLimitError,
        "'Limited' draws at most 20 frames, 21 asked",
    ),
    "no grid": (
        lambda _: without_grid(),
        UsageError,
        "G3AN has no separate appearance and motion; leave out --grid",
    ),
    "loss": (
        lambda _: diverging(lambda model: next(model.generator.parameters()).sum() * torch.inf),
        DivergenceError,
        r"the generator loss is (-?inf|nan)",
    ),
    "gradient": (
        lambda _: diverging(
            lambda model: (next(model.generator.parameters()) * 0.0).sqrt().sum() * 0.0
        ),
        DivergenceError,
        "the gradient of the generator loss is not finite",
    ),
    "resolution": (
        lambda _: g3an(48),
        UsageError,
        "g3an has no networks for 48x48 videos; "
        "it has for square ones of 16, 32, 64, 128, 256 pixels",
    ),
    "attention after no block": (
        lambda _: G3ANConfig().widths(VideoSpec(3, 16, 16)),
        UsageError,
        "model.fsa_after_block=4: this resolution has 3 blocks; expected 1..3, "
        "or model.use_attention=false",
    ),
    "attention on a narrow map": (
        lambda _: G3ANConfig(channels=1).widths(VideoSpec()),
        UsageError,
        "model.channels=1: F-SA after block 4 needs a map of 8 channels or more; "
        "expected more, or model.use_attention=false",
    ),
    "frame of another size": (
        lambda _: g3an(16).d_image(torch.zeros(2, 3, 8, 8)),
        UsageError,
        "this image discriminator was built for (batch, 3, 16, 16), got (2, 3, 8, 8)",
    ),
    "published checkpoint": (
        lambda _: load_reference(ImageDiscriminator(G3ANConfig(channels=2), VideoSpec()), {}),
        CheckpointError,
        r"Error\(s\) in loading state_dict for ImageDiscriminator:\n(.|\n)+"
        r"\n  the published training command has model.use_attention=false",
    ),
    "floats as clips": (
        lambda _: check_clips(torch.zeros(1, 2, 4, 4, 3)),
        DataError,
        "expected uint8 clips of shape (B, T, H, W, 3) with values 0..255, "
        "got torch.float32 (1, 2, 4, 4, 3)\n"
        "  model outputs in [-1, 1] are converted by vgbench.video.to_uint8",
    ),
    "grey clips": (
        lambda _: check_clips(torch.zeros(1, 2, 4, 4, 1, dtype=torch.uint8)),
        DataError,
        "expected 3 colour channels in the last axis, got (1, 2, 4, 4, 1)",
    ),
    "subject": (
        lambda _: open_subject(3, 0, "cpu", 1, ArraySource(np.zeros((1, 9, 32, 32, 3), np.uint8))),
        UsageError,
        "cannot evaluate a int; give a model, a checkpoint, videos as a folder, source or uint8 "
        "array, or a function from a number to uint8 (T, H, W, 3)",
    ),
    "short clip": (
        lambda _: jet_features(torch.zeros(8, 64, 64, 3, dtype=torch.uint8)),
        DataError,
        "jet needs clips of 9 frames or more, got 8",
    ),
    "small clip": (
        lambda _: jet_features(torch.zeros(9, 64, 27, 3, dtype=torch.uint8)),
        DataError,
        "jet with 3 levels needs frames of 28x28 pixels or more, got 64x27",
    ),
    "reference set": (
        lambda _: JetNormalizer.fit(np.zeros((1, 198))),
        ProtocolError,
        "a reference set needs two clips or more, got 1",
    ),
    "lonely sample": (
        lambda _: frechet_distance(np.zeros((1, 2)), np.zeros((5, 2))),
        ProtocolError,
        "a Fréchet distance needs two samples or more on each side, got 1 and 5",
    ),
    "features": (
        lambda _: energy_distance(np.full((3, 2), np.nan), np.zeros((3, 2))),
        DataError,
        "features are not finite; check the weights of their extractor",
    ),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_texts_of_the_library(tmp_path, name):
    call, kind, text = LIBRARY[name]
    with pytest.raises(kind) as caught:
        call(tmp_path)
    got, text = str(caught.value), text.replace("TMP", str(tmp_path))
    assert got == text or re.fullmatch(text, got), got
    assert len(got.splitlines()) <= 5 or "state_dict" in got


def test_two_plugins_of_one_name(monkeypatch):
    points = [EntryPoint("a", f"{where}:thing", "vgbench.toys") for where in ("one", "two")]
    monkeypatch.setattr("vgbench.registry.entry_points", lambda group: points)
    with pytest.raises(UsageError) as caught:
        Registry("toy", {}).names()
    assert str(caught.value) == (
        "toy 'a' is registered twice: by one:thing and by two:thing; uninstall one of them"
    )
