"""`vgbench sample`: videos and pictures of checkpoints."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from vgbench.media import slices
from vgbench.models.checkpoint import FORMAT, build_model, load_model
from vgbench.nn.motion_options import MotionConfig
from vgbench.nn.noise import seeded_generator
from vgbench.registry import MODELS
from vgbench.types import VideoSpec
from vgbench.video import to_uint8

_WIDTHS = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8}
_MOTION = MotionConfig(z_dim=8, v_dim=8, frequencies=4, max_period=64, distance=8)
OPTIONS = {
    "stylesv": _WIDTHS | {"motion": _MOTION},
    "stylegan2-frames": _WIDTHS,
    "g3an": {"channels": 2, "use_attention": False},
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Returns a function from a model's name to a checkpoint of it, untrained."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def made(name):
        path = folder / f"{name}.ckpt"
        if not path.exists():
            model = build_model(
                MODELS.get(name)(**OPTIONS[name]), VideoSpec(height=32, width=32), 0
            )
            model.provenance = {"format": FORMAT, "version": "0", "model": name, "fps": 25.0}
            contents = {"state_dict": model.state_dict()}
            model.on_save_checkpoint(contents)
            torch.save(contents, path)
        return path

    return made


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_slices_lie_one_below_another(vgbench, checkpoint, tmp_path):
    path, words = checkpoint("g3an"), ("--slice", "--slice-row", 5, "-n", 2, "--frames", 20)
    code, out, err = vgbench("sample", path, *words, "-o", tmp_path / "s.png", "--scale", 2)
    assert code == 0, err
    assert f"wrote row 5 of 2 videos of 20 frames to {tmp_path / 's.png'}" in out
    pixels = pixels_of(tmp_path / "s.png")
    assert pixels.shape == (2 * (20 + 2 + 20), 64, 3)
    generators = [seeded_generator(0, "eval", i) for i in range(2)]
    videos = to_uint8(load_model(path).sample(2, 20, generators)).numpy()
    assert np.array_equal(pixels[:40:2, ::2], slices(videos, 5)[0])
    assert np.array_equal(pixels[44::2, ::2], slices(videos, 5)[1])


def test_a_trajectory_is_plotted(vgbench, checkpoint, tmp_path):
    pytest.importorskip("matplotlib")
    target = tmp_path / "t.png"
    code, out, err = vgbench(
        "--json", "sample", checkpoint("stylesv"), "--trajectory", "--frames", 24, "-o", target
    )
    assert code == 0, err
    assert json.loads(out) == {"output": str(target), "videos": 4, "frames": 24}
    assert pixels_of(target).std() > 10


def test_a_grid_of_a_continuous_model(vgbench, checkpoint, tmp_path):
    target = tmp_path / "g.gif"
    code, out, err = vgbench(
        "sample", checkpoint("stylesv"), "--grid", "2x3", "--frames", 3, "-o", target
    )
    assert code == 0, err
    assert "wrote 6 videos of 3 frames" in out


def test_images_are_drawn_where_there_are_no_videos(vgbench, checkpoint, tmp_path):
    code, out, err = vgbench(
        "sample", checkpoint("stylegan2-frames"), "-n", 3, "-o", tmp_path / "i.png"
    )
    assert code == 0, err
    assert "wrote 3 videos of 1 frame to" in out
    assert pixels_of(tmp_path / "i.png").shape == (66, 66, 3)


TEXTS = {
    ("g3an", "--slice", "--slice-row", "32"): "row 32: expected one of 0 to 31",
    ("g3an", "--slice-row", "3"): "--slice-row is the row of --slice; give both or neither",
    ("g3an", "--slice", "--grid", "2x2"): (
        "--grid and --slice make different pictures; give one of them"
    ),
    ("g3an", "--slice", "-o", "x.mp4"): "cannot write 'x.mp4': expected one of .png",
    ("g3an", "--trajectory"): "G3AN has no motion codes over time; leave out --trajectory",
    ("stylegan2-frames", "--slice"): "1 frame shows no motion; --slice needs --frames 2 or more",
    ("stylegan2-frames", "--slice", "--frames", "4"): (
        "'StyleGAN2Frames' draws at most 1 frames, 4 asked"
    ),
}


@pytest.mark.parametrize("words", TEXTS, ids=" ".join)
def test_what_cannot_be_drawn_is_said(vgbench, checkpoint, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name, *options = words
    code, _, err = vgbench("sample", checkpoint(name), *options)
    assert (code, err) == (2, f"error: {TEXTS[words]}\n")
    assert not list(tmp_path.iterdir())
