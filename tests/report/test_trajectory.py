"""Pictures of motion codes over time."""

import builtins

import numpy as np
import pytest
from PIL import Image

from vgbench.errors import UsageError
from vgbench.report.trajectory import draw_trajectories, principal_axes, speeds

TIMES = np.linspace(0, 20, 161)


def test_the_speed_on_a_circle_is_radius_times_rate():
    angle = 0.3 * TIMES
    circle = 5 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    at, speed = speeds(np.stack([circle, 2 * circle]), TIMES)
    np.testing.assert_allclose(at, TIMES[:-1] + 1 / 16)
    np.testing.assert_allclose(speed[0], 1.5, rtol=1e-3)
    np.testing.assert_allclose(speed[1], 3.0, rtol=1e-3)


def test_a_kink_shows_as_a_jump_of_the_speed():
    line = np.stack([np.minimum(TIMES, 10) + 3 * np.maximum(TIMES - 10, 0)], axis=1)
    _, speed = speeds(line[None], TIMES)
    np.testing.assert_allclose(np.unique(speed.round(6)), [1, 3])


def test_principal_axes_hold_a_plane_in_many_dimensions():
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.standard_normal((7, 2)))[0]
    flat = rng.standard_normal((3, 50, 2)) * (4, 1)
    found = principal_axes(flat @ plane.T + 5)
    assert found.shape == (3, 50, 2)
    both = found.reshape(-1, 2)
    assert both[:, 0].std() > both[:, 1].std()
    distances = [np.linalg.norm(x[0, 1:] - x[0, :-1], axis=1) for x in (found, flat)]
    np.testing.assert_allclose(*distances)


def test_a_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    codes = np.random.default_rng(0).standard_normal((2, 161, 4)).cumsum(axis=1)
    draw_trajectories(tmp_path / "new" / "x.png", codes, TIMES, 8)
    with Image.open(tmp_path / "new" / "x.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (480, 1200, 3)
    assert (pixels == (31, 119, 180)).all(axis=2).sum() > 500  # the first video's colour


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    load = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError) as caught:
        draw_trajectories(tmp_path / "x.png", np.zeros((1, 161, 2)), TIMES, 8)
    assert str(caught.value) == (
        "pictures of trajectories need matplotlib\n  pip install 'vgbench[plots]'"
    )
    assert not (tmp_path / "x.png").exists()
