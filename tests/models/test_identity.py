"""What a training is but for its seed: the hash by which seeds are pooled."""

from dataclasses import replace

import pytest

from vgbench.models.g3an.config import G3ANConfig
from vgbench.models.g3an.module import G3AN
from vgbench.models.identity import changed_options, configuration_sha256
from vgbench.models.stylegan_v.config import StyleGANVConfig
from vgbench.registry import MODELS
from vgbench.types import VideoSpec

TINY = G3ANConfig(channels=4, appearance_dim=6, motion_dim=3, fsa_after_block=3)
ABOUT = {
    "model": "g3an",
    "dataset_fingerprint": "f",
    "batch_size": 8,
    "stages": {"image": {"artefact": "x", "key": "k", "sha256": "s"}},
}


def model(config=TINY, size=16, seed=0, **about):
    made = G3AN(config, VideoSpec(3, size, size), seed)
    made.provenance = {**ABOUT, **about}
    return made


def test_seed_length_and_machine_do_not_count():
    other = model(seed=1, fps=30.0, version="9", budget="paper", selection="best-of-2 by x")
    other.clips_seen = 1000
    assert configuration_sha256(other) == configuration_sha256(model())
    stage = {"image": {"artefact": "y", "key": "k", "sha256": "trained elsewhere"}}
    assert configuration_sha256(model(stages=stage)) == configuration_sha256(model())


@pytest.mark.parametrize(
    "changed",
    [
        {"config": replace(TINY, lr_g=1e-3)},
        {"size": 32},
        {"model": "other"},
        {"dataset_fingerprint": "g"},
        {"batch_size": 16},
        {"stages": {}},
        {"stages": {"image": {"key": "l", "sha256": "s"}}},
        {"stages": {"image": {"given": "x.ckpt", "sha256": "s"}}},
    ],
    ids=str,
)
def test_what_decides_a_training_counts(changed):
    assert configuration_sha256(model(**changed)) != configuration_sha256(model())


def test_changed_options():
    assert changed_options(G3ANConfig()) == {}
    assert changed_options(G3ANConfig(channels=8, strides=(1, 2))) == {
        "channels": 8,
        "strides": [1, 2],
    }


def test_nested_options_are_compared_with_the_method_s_defaults():
    own = StyleGANVConfig().motion
    assert changed_options(StyleGANVConfig(motion=replace(own, curve="bspline"))) == {
        "motion.curve": "bspline"
    }


@pytest.mark.parametrize("name", list(MODELS))
def test_no_default_is_a_change(name):
    assert changed_options(MODELS.get(name)()) == {}
