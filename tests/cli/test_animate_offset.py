"""`vgbench animate` with StyleVideoGAN: the offset trick and other styles."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.models.small_styleinv import SPEC, styleinv
from vgbench.models.animation import Offset
from vgbench.models.checkpoint import FORMAT, build_model, load_model
from vgbench.models.inverter_config import InverterOptions
from vgbench.models.stylevideogan.config import StyleVideoGANConfig
from vgbench.models.stylevideogan.options import CriticOptions, GeneratorOptions, OffsetOptions
from vgbench.nn.noise import seeded_generator
from vgbench.registry import MODELS
from vgbench.types import VideoSpec
from vgbench.video import to_model_range, to_uint8

SIZE = VideoSpec(height=16, width=16)
WIDTHS = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8}
CONFIG = StyleVideoGANConfig(
    **WIDTHS,
    generator=GeneratorOptions(z_dim=6, memory_widths=(8,), trunk_widths=(8,)),
    critic=CriticOptions(embed_widths=(8,), embed_dim=8, conv_channels=(8, 8)),
    encoder=InverterOptions("wplus", 16, (1, 1, 1, 1)),
    offset=OffsetOptions(max_rank=4),
)


def checkpoint(path, name, model):
    model.provenance = {"format": FORMAT, "version": "0", "model": name, "fps": 25.0}
    contents = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(contents)
    torch.save(contents, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a StyleVideoGAN that knows its latents, an image GAN of its styles, a photo."""
    folder = tmp_path_factory.mktemp("animated")
    model = build_model(CONFIG, SIZE, seed=1)
    axes = torch.linalg.qr(torch.randn(48, 3, generator=seeded_generator(0, "axes"))).Q
    moves = 2 * torch.randn(200, 3, generator=seeded_generator(0, "moves")) @ axes.T
    model.see_latents(moves.view(200, 6, 8))
    checkpoint(folder / "model.ckpt", "stylevideogan", model)
    style = build_model(MODELS.get("stylegan2-frames")(**WIDTHS), SIZE, seed=2)
    own = {f"generator.{key}": value for key, value in model.backend.generator.state_dict().items()}
    style.load_state_dict({**style.state_dict(), **own})
    torch.nn.init.normal_(style.generator.synthesis.b4.const)
    if style.generator_ema is not None:
        style.generator_ema.network.load_state_dict(style.generator.state_dict())
    checkpoint(folder / "style.ckpt", "stylegan2-frames", style)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder


def panels(path, count, frames=3):
    """Returns the videos of a strip of frames, `(count, T, H, W, 3)`."""
    with Image.open(path) as picture:
        shown = np.asarray(picture.convert("RGB"))
    columns = shown.shape[1] // frames
    gap = (columns - count * 16) // max(count - 1, 1)
    return np.stack(
        [
            [shown[:16, t * columns + i * (16 + gap) :][:, :16] for t in range(frames)]
            for i in range(count)
        ]
    )


def animated(vgbench, folder, *words):
    target = folder / "out.png"
    ckpt = folder / "model.ckpt"
    code, out, err = vgbench(
        "animate", folder / "photo.png", "--ckpt", ckpt, "--frames", 3, "-o", target, *words
    )
    assert code == 0, err
    return target, out


def expected(folder, offset=None, styles=()):
    model = load_model(folder / "model.ckpt")
    with Image.open(folder / "photo.png") as picture:
        photo = to_model_range(torch.from_numpy(np.asarray(picture).copy())[None, None])[:, :, 0]
    choice = {} if offset is None else {"offset": offset}
    videos = model.animate(photo, 3, [seeded_generator(0, "eval", 0)], styles, **choice)
    return to_uint8(torch.cat(videos)).numpy(), to_uint8(model.invert(photo)[:, :, None]).numpy()


CHOICES = {
    (): Offset(),
    ("--naive",): Offset(rank=0),
    ("--rank", 0): Offset(rank=0),
    ("--rank", 1): Offset(rank=1),
    ("--rank", 1, "--per-style"): Offset(rank=1, per_style=True),
    ("--ref", "first"): Offset("first"),
    ("--ref", "first", "--naive"): Offset("first", 0),
}


def test_each_choice_is_another_video(vgbench, folder):
    seen = {}
    for words, offset in CHOICES.items():
        path, _ = animated(vgbench, folder, *words)
        _, inversion, video = panels(path, 3)
        (want,), (inverted,) = expected(folder, offset)
        assert np.array_equal(video, want), words
        assert np.array_equal(inversion[0], inverted[0])
        seen.setdefault(video.tobytes(), set()).add(offset)
    assert all(len(offsets) == 1 for offsets in seen.values()), seen.values()


def test_the_naive_offset_from_the_first_frame_starts_at_the_inversion(vgbench, folder):
    path, _ = animated(vgbench, folder, "--ref", "first", "--naive")
    _, inversion, video = panels(path, 3).astype(int)
    assert np.abs(video[0] - inversion[0]).max() <= 1
    path, _ = animated(vgbench, folder, "--ref", "first")
    _, inversion, video = panels(path, 3).astype(int)
    assert np.abs(video[0] - inversion[0]).max() > 1


def test_the_video_in_another_style(vgbench, folder):
    path, out = animated(vgbench, folder, "--style", folder / "style.ckpt", "--rank", 2)
    assert "wrote photograph, inversion, video, style 1 of 3 frames" in out
    *_, video, styled = panels(path, 4)
    style = load_model(folder / "style.ckpt").sampler
    want, _ = expected(folder, Offset(rank=2), [style])
    assert np.array_equal(np.stack((video, styled)), want)
    assert not np.array_equal(video, styled)


def test_a_style_of_another_image_gan_is_refused(vgbench, folder, tmp_path):
    style = build_model(MODELS.get("stylegan2-frames")(**WIDTHS), SIZE, seed=9)
    path = checkpoint(tmp_path / "other.ckpt", "stylegan2-frames", style)
    code, _, err = vgbench("animate", folder / "photo.png", "--ckpt", folder / "model.ckpt",
                           "--style", path, "-o", tmp_path / "x.png")  # fmt: skip
    assert code == 5
    assert "the style was not finetuned from this model's image GAN" in err
    assert not (tmp_path / "x.png").exists()


REFUSED = {
    ("--rank", "9"): "rank 9: the model keeps 4 directions, expected 0 to 4",
    ("--naive", "--rank", "2"): (
        "--rank, --naive: --naive spares no directions; leave out the rest"
    ),
    ("--naive", "--per-style"): (
        "--per-style, --naive: --naive spares no directions; leave out the rest"
    ),
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_what_cannot_be_spared_is_said(vgbench, folder, tmp_path, words):
    target = tmp_path / "x.png"
    code, _, err = vgbench(
        "animate", folder / "photo.png", "--ckpt", folder / "model.ckpt", "-o", target, *words
    )
    assert (code, err.splitlines()[0]) == (2, f"error: {REFUSED[words]}")
    assert not target.exists()


def test_other_models_know_no_offset(vgbench, folder, tmp_path):
    model = build_model(styleinv(), SPEC, seed=0)
    path = checkpoint(tmp_path / "inv.ckpt", "styleinv", model)
    code, _, err = vgbench("animate", folder / "photo.png", "--ckpt", path, "--ref", "mean",
                           "-o", tmp_path / "x.png")  # fmt: skip
    says = "--ref: for stylevideogan only; a StyleInV starts from the photograph itself"
    assert (code, err) == (2, f"error: {says}\n")
