"""G3AN's options are checked before torch is loaded."""

import dataclasses
import subprocess
import sys

import pytest

from vgbench.errors import UsageError
from vgbench.models.g3an.config import G3ANConfig
from vgbench.registry import MODELS
from vgbench.types import VideoSpec


def test_does_not_import_torch():
    code = "import sys, vgbench.models.g3an.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("mode", "x", "model.mode=x: expected one of 1p2d, 2p1d, 3d"),
        ("d_v", "2d", "model.d_v=2d: expected one of 1p2d, 3d"),
        ("fsa_layout", "new", "model.fsa_layout=new: expected one of fixed, reference"),
        ("channels", 0, "model.channels=0: expected an integer >= 1"),
        ("frames", 10, "model.frames=10: expected 16, 20, 24, ... (a motion step is 4 frames)"),
        ("frames", 18, "model.frames=18: expected 16, 20, 24"),
        ("image_channels", -1, "model.image_channels=-1: expected an integer >= 0"),
        ("image_frames", 17, "model.image_frames=17: expected 1 to 16, the frames of a clip"),
        ("strides", (), "model.strides=(): expected frame steps >= 1"),
        ("strides", (0,), "model.strides=(0,): expected frame steps >= 1"),
        ("lr_g", 0.0, "model.lr_g=0.0: expected a float > 0, e.g. 2e-4"),
        ("beta2", 1.0, "model.beta2=1.0: expected a float in [0, 1)"),
        ("ema_kclips", -1.0, "model.ema_kclips=-1.0: expected a float >= 0"),
    ],
)
def test_refuses_bad_values(option, value, expected):
    with pytest.raises(UsageError) as caught:
        G3ANConfig(**{option: value})
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("spec", "options", "expected"),
    [
        (VideoSpec(3, 64, 32), {}, "g3an has no networks for 64x32 videos"),
        (VideoSpec(3, 48, 48), {}, "g3an has no networks for 48x48 videos"),
        (VideoSpec(3, 16, 16), {}, "model.fsa_after_block=4: this resolution has 3 blocks"),
        (VideoSpec(), {"fsa_after_block": 6}, "model.fsa_after_block=6: this resolution has 5"),
        (VideoSpec(), {"channels": 1, "use_s_stream": False}, "model.channels=1: F-SA"),
    ],
)
def test_refuses_resolutions_it_has_no_networks_for(spec, options, expected):
    with pytest.raises(UsageError) as caught:
        G3ANConfig(**options).widths(spec)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (16, [8, 8, 4]),
        (32, [8, 8, 4, 2]),
        (64, [8, 8, 4, 2, 1]),
        (128, [8, 8, 8, 4, 2, 1]),
        (256, [8, 8, 8, 8, 4, 2, 1]),
    ],
)
def test_widths_by_resolution(size, widths):
    config = G3ANConfig(channels=3, use_attention=False)
    assert config.widths(VideoSpec(3, size, size)) == [3 * w for w in widths]


def test_defaults_are_the_papers():
    config = MODELS.get("g3an")()
    assert (config.channels, config.appearance_dim, config.motion_dim) == (64, 128, 10)
    assert (config.lr_g, config.lr_d, config.beta1, config.beta2) == (2e-4, 2e-4, 0.5, 0.999)
    assert (config.mode, config.d_v, config.use_attention) == ("1p2d", "1p2d", True)
    assert config.ema_kclips == 0
    policy = G3ANConfig(strides=(2, 3)).clips.policy
    assert (policy.frames, policy.strides, policy.min_frames) == (16, (2, 3), 46)


def test_budgets_name_existing_options():
    names = {field.name for field in dataclasses.fields(G3ANConfig)}
    assert set(G3ANConfig.budgets) == {"demo", "short", "paper"}
    for budget in G3ANConfig.budgets.values():
        assert set(budget) <= {"model", "budget"}
        options = budget.get("model", {})
        assert set(options) <= names
        lists = (list, tuple)  # lists in YAML
        G3ANConfig(**{k: tuple(v) if isinstance(v, lists) else v for k, v in options.items()})
