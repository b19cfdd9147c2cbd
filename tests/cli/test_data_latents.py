"""`vgbench data latents`: the latents a run would make, made before it and found by it."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from tests.weights.stylegan_made import image_gan, made_encoder, psp_file
from vgbench.data import latents as on_disk
from vgbench.models.base import plain
from vgbench.models.checkpoint import FORMAT, build_model
from vgbench.models.inverter_config import InverterOptions
from vgbench.nn.encoder.inversion import WPlusEncoder
from vgbench.registry import MODELS
from vgbench.training import latents
from vgbench.training.artefacts import write_artefact
from vgbench.types import VideoSpec

pytestmark = pytest.mark.slow

WIDTHS = {"z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 4}
ENCODER = InverterOptions("wplus", 16, (1, 1, 1, 1))
INVERSION = MODELS.get("inversion")(**WIDTHS, encoder=ENCODER)
SHAPES = [
    "shapes",
    "dataset.videos=6",
    "dataset.frames=25",
    "dataset.resolution=16",
    "model.videos=4",
]
RUN = [
    *(f"model.{name}={value}" for name, value in WIDTHS.items()),
    "model.encoder.base_width=16",
    "model.encoder.units=[1,1,1,1]",
    "model.critic.embed_widths=[8]",
    "model.report_kclips=0",
    "stages.image.kclips=0.004",
    "stages.image.batch_size=4",
    "stages.inversion.kclips=0.004",
    "stages.inversion.batch_size=4",
    "budget.batch_size=4",
    "budget.kclips=0.004",
    "budget.sample_kclips=1",
    "trainer.accelerator=cpu",
]


def checkpoint(path, name, config, size=16):
    model = build_model(config, VideoSpec(height=size, width=size), seed=0)
    model.provenance = {"format": FORMAT, "version": "0", "model": name}
    contents = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(contents)
    torch.save(contents, path)
    return path


@pytest.fixture
def inversion(tmp_path):
    return checkpoint(tmp_path / "inversion.ckpt", "inversion", INVERSION)


def kept(tmp_path):
    return sorted((tmp_path / "runs" / "artefacts").glob("latents-*"))


def test_latents_are_made_once_and_are_those_of_the_encoder(vgbench, inversion, tmp_path):
    code, out, err = vgbench("data", "latents", *SHAPES, "--ckpt", inversion)
    assert code == 0, err
    (folder,) = kept(tmp_path)
    assert out.splitlines()[0] == "encoding 100 frames of 4 videos"
    text = f": 100 frames of 4 videos, 6 x 8 numbers each, 19.20 kB -> {folder}"
    assert out.splitlines()[-1] == f"encoded{text}"
    before = (folder / on_disk.FRAMES).stat().st_mtime_ns

    code, out, _ = vgbench("data", "latents", *SHAPES, "--ckpt", inversion)
    assert (code, out) == (0, f"up to date{text}\n")
    code, out, _ = vgbench("--json", "data", "latents", *SHAPES, "--ckpt", inversion)
    found = json.loads(out)
    assert (found["state"], found["folder"]) == ("up to date", str(folder))
    assert set(found["origin"]) == {
        "data", "videos", "encoder", "encoder.encoder", "encoder.generator",
    }  # fmt: skip
    assert (folder / on_disk.FRAMES).stat().st_mtime_ns == before
    assert kept(tmp_path) == [folder]


def test_other_data_videos_or_weights_are_other_latents(vgbench, inversion, tmp_path):
    other = checkpoint(tmp_path / "o.ckpt", "inversion", replace(INVERSION, flip=False))
    contents = torch.load(other)
    contents["state_dict"]["generator.encoder.styles.0.linear.bias"] += 1
    torch.save(contents, other)
    for words in (
        [*SHAPES, "--ckpt", inversion],
        [*SHAPES, "--ckpt", other],
        [*SHAPES[:-1], "--ckpt", inversion],
        [*SHAPES, "dataset.seed=1", "--ckpt", inversion],
    ):
        code, out, err = vgbench("data", "latents", *words)
        assert (code, out.splitlines()[0][:8]) == (0, "encoding"), err
    assert len(kept(tmp_path)) == 4


@pytest.mark.slow
def test_a_run_finds_them_and_its_inversion_makes_the_same(vgbench, tmp_path):
    words = ["model=stylevideogan", f"dataset={SHAPES[0]}", *SHAPES[1:], *RUN]
    folder = tmp_path / "run"
    code, out, err = vgbench("run", *words, "--run-dir", folder)
    assert code == 0, err
    assert "encoding 100 frames of 4 videos" in out
    (artefact,) = (tmp_path / "runs" / "artefacts").glob("inversion-*")
    for ckpt in (artefact, folder / "stages" / "02-inversion", folder):
        code, out, err = vgbench("data", "latents", *SHAPES, "--ckpt", ckpt)
        assert (code, out[:10]) == (0, "up to date"), err

    (own,) = kept(tmp_path)
    array = (own / on_disk.FRAMES).read_bytes()
    for file in own.iterdir():
        file.unlink()
    own.rmdir()
    assert vgbench("data", "latents", *SHAPES, "--ckpt", artefact)[0] == 0
    assert (own / on_disk.FRAMES).read_bytes() == array
    code, out, err = vgbench("run", *words, "seed=1", "--run-dir", tmp_path / "other")
    assert code == 0, err
    assert "encoding" not in out


def test_an_interruption_leaves_nothing_that_is_believed(vgbench, inversion, tmp_path, monkeypatch):
    assert vgbench("data", "latents", *SHAPES, "--ckpt", inversion)[0] == 0
    (folder,) = kept(tmp_path)
    array = (folder / on_disk.FRAMES).read_bytes()
    folder.rename(tmp_path / "whole")
    encode = latents.encoded

    def interrupted(*arguments):
        for i, part in enumerate(encode(*arguments)):
            if i == 2:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(latents, "encoded", interrupted)
    code, _, err = vgbench("data", "latents", *SHAPES, "--ckpt", inversion)
    assert (code, err.splitlines()[-2:]) == (
        130,
        ["interrupted; what is encoded is kept", "  continue: the same command"],
    )
    assert kept(tmp_path) == []
    monkeypatch.undo()
    monkeypatch.setenv("VGBENCH_RUNS_DIR", str(tmp_path / "runs"))
    code, out, _ = vgbench("data", "latents", *SHAPES, "--ckpt", inversion)
    assert (code, out.splitlines()[0]) == (
        0,
        "encoding 100 frames of 4 videos, of which 50 are there",
    )
    assert (folder / on_disk.FRAMES).read_bytes() == array


def test_stale_latents_are_refused(vgbench, inversion, tmp_path):
    vgbench("data", "latents", *SHAPES, "--ckpt", inversion)
    (folder,) = kept(tmp_path)
    about = json.loads((folder / on_disk.ABOUT).read_text())
    about["origin"]["encoder.generator"] = "f" * 64
    (folder / on_disk.ABOUT).write_text(json.dumps(about))
    code, _, err = vgbench("data", "latents", *SHAPES, "--ckpt", inversion)
    assert code == 3
    assert "stale: the encoder.generator was ffffffffffff and is" in err
    assert f"rm -r {folder}" in err


def test_weights_of_psp(vgbench, tmp_path):
    gan = image_gan("stylegan2-frames", 32)
    encoder = made_encoder(WPlusEncoder, 32, gan.sampler.num_ws)
    rows = gan.sampler.mapping.w_avg.repeat(gan.sampler.num_ws, 1)
    torch.save(psp_file(gan, encoder, latent_avg=rows), tmp_path / "psp.pt")
    folder = tmp_path / "psp"
    code, _, err = vgbench("weights", "convert", "inversion", tmp_path / "psp.pt", folder)
    assert code == 0, err
    words = ["shapes", "dataset.videos=2", "dataset.frames=25", "dataset.resolution=32"]
    code, out, err = vgbench("data", "latents", *words, "--ckpt", folder)
    assert code == 0, err
    assert "50 frames of 2 videos, 8 x 12 numbers each" in out
    code, _, err = vgbench("data", "latents", *SHAPES, "--ckpt", folder)
    assert (code, err.splitlines()[0]) == (
        5,
        f"error: {folder} encodes frames of 32x32, those of 'shapes' are of 16x16",
    )


def test_what_encodes_nothing_is_refused(vgbench, inversion, tmp_path):
    def refusal(ckpt, *words):
        code, _, err = vgbench("data", "latents", *(words or SHAPES), "--ckpt", ckpt)
        return code, err.splitlines()[0].removeprefix("error: ")

    w = checkpoint(tmp_path / "w.ckpt", "inversion", replace(INVERSION, encoder=replace(ENCODER,
                   latent_space="w")))  # fmt: skip
    assert refusal(w) == (
        5,
        f"{w} encodes into W, one style per frame; the latents to train on are of W+",
    )
    config = MODELS.get("stylegan2-frames")(**WIDTHS)
    image = checkpoint(tmp_path / "i.ckpt", "stylegan2-frames", config)
    says = "holds 'stylegan2-frames', which encodes no frames; expected an 'inversion' into W+"
    assert refusal(image) == (5, f"{image} {says}")
    record = {"format": 1, "key": "0", "model": "stylegan2-frames", "config": plain(asdict(config)),
              "spec": {"height": 16, "width": 16}}  # fmt: skip
    write_artefact(tmp_path / "a", {"x": torch.ones(1)}, record)
    assert refusal(tmp_path / "a") == (5, f"{tmp_path / 'a'} {says}")
    assert refusal(tmp_path / "none")[0] == 5
    assert refusal(inversion, "nothing")[0] == 3
    assert refusal(inversion, "shapes", "model.no=1")[0] == 2
    code, text = refusal(inversion, "shapes", "dataset.frames=24", "dataset.resolution=16")
    assert (code, "no video has the 25 frames" in text) == (3, True)
