"""`vgbench animate` and `vgbench sample --style`: what users have, and what they see."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.test_photo import KINDS, picture, saved_as
from tests.models.small_styleinv import SPEC, built, image_gan, styleinv, transfer
from vgbench.data.photo import read_photo
from vgbench.models.checkpoint import FORMAT, load_model
from vgbench.models.g3an.config import G3ANConfig
from vgbench.nn.noise import seeded_generator
from vgbench.video import to_model_range, to_uint8

SIDE, GAP = SPEC.height, 2


def save(model, name, path):
    model.provenance = {"format": FORMAT, "version": "0", "model": name, "fps": 25.0}
    contents = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(contents)
    torch.save(contents, path)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder of untrained models: one that animates, styles for it, and others."""
    folder, image = tmp_path_factory.mktemp("checkpoints"), image_gan(1)
    model, same = built(styleinv()), built(transfer())
    for own in (model, same):
        own.start_from("image", image.export())
    save(model, "styleinv", folder / "model.ckpt")
    save(same, "style-transfer", folder / "same.ckpt")
    with torch.no_grad():
        same.generator_ema.network.synthesis.b32.conv1.weight.mul_(-1)
    save(same, "style-transfer", folder / "style.ckpt")
    save(built(transfer(), 7), "style-transfer", folder / "foreign.ckpt")
    save(built(G3ANConfig(channels=2, use_attention=False)), "g3an", folder / "g3an.ckpt")
    return folder


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """An empty folder, which is the current one."""
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    return tmp_path / "photos"


def panels(path, frames, columns=3):
    """Returns what is shown side by side, as videos."""
    with Image.open(path) as shown:
        strip = np.asarray(shown)
    width = columns * (SIDE + GAP) - GAP
    assert strip.shape == (SIDE, frames * width, 3)
    by_frame = strip.reshape(SIDE, frames, width, 3).swapaxes(0, 1)
    return [by_frame[:, :, i * (SIDE + GAP) :][:, :, :SIDE] for i in range(columns)]


def animated(vgbench, photo, checkpoints, *words, frames=2, columns=3):
    path = photo.with_name(f"{photo.name}-out.png")
    command = ("animate", photo, "--ckpt", checkpoints / "model.ckpt", "--frames", frames)
    code, _, err = vgbench(*command, "-o", path, *words)
    assert code == 0, err
    return panels(path, frames, columns)


def test_photograph_inversion_and_video_are_side_by_side(vgbench, checkpoints, photos):
    Image.fromarray(picture()).save(photos / "a.png")
    photo, inversion, video = animated(vgbench, photos / "a.png", checkpoints, frames=3)
    read = read_photo(photos / "a.png", SIDE)
    assert (photo == read).all()
    model = load_model(checkpoints / "model.ckpt")
    still = to_model_range(torch.from_numpy(read)[None, None])[:, :, 0]
    expected = to_uint8(model.invert(still)[:, :, None]).numpy()[0]
    assert (inversion == expected).all()
    (moved,) = model.animate(still, 3, [seeded_generator(0, "eval", 0)])
    assert np.array_equal(video, to_uint8(moved).numpy()[0])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_photographs_of_every_kind_are_shown_as_what_they_show(vgbench, checkpoints, photos, kind):
    path, plain = saved_as(kind, photos)
    found, expected = (animated(vgbench, one, checkpoints)[0] for one in (path, plain))
    # rounding of blended and of printed colours
    assert np.abs(found.astype(int) - expected).max() <= (1 if kind in KINDS[2::3] else 0)


def test_every_style_renders_the_same_motion(vgbench, checkpoints, photos):
    Image.fromarray(picture()).save(photos / "a.png")
    styles = [
        word for name in ("same", "style") for word in ("--style", checkpoints / f"{name}.ckpt")
    ]
    shown = animated(vgbench, photos / "a.png", checkpoints, *styles, columns=5)
    assert (shown[3] == shown[2]).all()
    assert np.abs(shown[4].astype(int) - shown[2]).max() > 8


def test_videos_and_what_is_told_of_them(vgbench, checkpoints, photos):
    Image.fromarray(picture()).save(photos / "a.png")
    words = ("animate", "a.png", "--ckpt", checkpoints / "model.ckpt", "--frames", 2)
    code, out, err = vgbench("--json", *words, "-o", "new/a.gif", "--fps", 5, "--scale", 2)
    assert code == 0, err
    shown = ["photograph", "inversion", "video"]
    assert json.loads(out) == {"output": "new/a.gif", "shown": shown, "frames": 2}
    with Image.open("new/a.gif") as gif:
        assert (gif.size, gif.n_frames, gif.info["duration"]) == ((200, 64), 2, 200)


def not_animated(photos):
    """Writes what is no photograph, and one."""
    (photos / "text.jpg").write_text("not a picture")
    (photos / "empty.png").touch()
    (photos / "folder.png").mkdir()
    Image.new("RGB", (1, 1)).save(photos / "dot.png")
    Image.fromarray(picture()).save(photos / "cut.png")
    (photos / "cut.png").write_bytes((photos / "cut.png").read_bytes()[:400])
    Image.fromarray(picture()).save(photos / "good.png")


REFUSED = {
    ("text.jpg",): (3, "text.jpg is not a picture; expected one of "),
    ("empty.png",): (3, "empty.png is not a picture"),
    ("folder.png",): (3, "folder.png cannot be read: Is a directory"),
    ("dot.png",): (3, "dot.png is 1x1 pixels; expected at least 16x16"),
    ("cut.png",): (3, "cut.png cannot be read: "),
    ("none.png",): (3, "none.png cannot be read: No such file or directory"),
    ("good.png", "--ckpt", "none.ckpt"): (5, "none.ckpt does not exist; give a .ckpt file"),
    ("good.png", "--ckpt", "good.png"): (5, "good.png is "),
    ("good.png", "--ckpt", "g3an.ckpt"): (
        2,
        "animate needs a model that moves through the styles of an image GAN (styleinv, "
        "stylevideogan); this is a G3AN",
    ),
    ("good.png", "--style", "foreign.ckpt"): (5, "the style was not finetuned from this model's"),
    ("good.png", "--style", "g3an.ckpt"): (5, "the style was not finetuned from this model's"),
    ("good.png", "-o", "x.avi"): (2, "cannot write 'x.avi': expected one of .mp4, .webm, .gif"),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_cannot_be_animated_is_said_in_one_error(vgbench, checkpoints, photos, words):
    not_animated(photos)
    before = sorted(photos.rglob("*"))
    options = [checkpoints / word if word.endswith(".ckpt") else word for word in words]
    code, out, err = vgbench("animate", "--ckpt", checkpoints / "model.ckpt", *options)
    expected, message = REFUSED[words]
    assert (code, out) == (expected, "")
    assert message in err
    assert err.startswith("error: ")
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert sorted(photos.rglob("*")) == before


def drawn(vgbench, checkpoints, name, *words):
    command = ("sample", checkpoints / "model.ckpt", "-n", 1, "--frames", 2, *words)
    code, _, err = vgbench(*command, "-o", name)
    assert code == 0, err
    with Image.open(name) as shown:
        return np.asarray(shown)


def test_samples_are_rendered_in_a_style(vgbench, checkpoints, photos):
    plain = drawn(vgbench, checkpoints, "a.png")
    same = drawn(vgbench, checkpoints, "b.png", "--style", checkpoints / "same.ckpt")
    other = drawn(vgbench, checkpoints, "c.png", "--style", checkpoints / "style.ckpt")
    assert (same == plain).all()
    model = load_model(checkpoints / "model.ckpt")
    model.restyle(load_model(checkpoints / "style.ckpt").sampler)
    (video,) = to_uint8(model.sample(1, 2, [seeded_generator(0, "eval", 0)])).numpy()
    assert (other == np.concatenate(list(video), axis=1)).all()
    assert np.abs(other.astype(int) - plain).max() > 8


@pytest.mark.parametrize(
    ("checkpoint", "style", "code", "message"),
    [
        ("g3an", "same", 2, "--style needs a model that moves through the styles"),
        ("model", "foreign", 5, "the style was not finetuned from this model's image GAN"),
        ("model", "g3an", 5, "the style was not finetuned from this model's image GAN"),
        ("model", "none", 5, "none.ckpt does not exist"),
    ],
)
def test_styles_that_do_not_fit_are_refused(
    vgbench, checkpoints, photos, checkpoint, style, code, message
):
    paths = checkpoints / f"{checkpoint}.ckpt", "--style", checkpoints / f"{style}.ckpt"
    found, _, err = vgbench("sample", *paths, "-o", "a.png")
    assert (found, err.startswith(f"error: {message}") or message in err) == (code, True)
    assert not list(photos.iterdir())
