"""`vgbench weights`."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from tests.weights.hostile_pickles import hostile_files
from tests.weights.made import i3d_state
from tests.weights.stylegan_made import (
    SMALL,
    image_gan,
    made_encoder,
    nvidia_state,
    psp_file,
    rosinality_generator,
    save_nvidia,
)
from vgbench.errors import CheckpointError
from vgbench.models.checkpoint import build_model
from vgbench.nn.encoder.inversion import WEncoder
from vgbench.training.artefacts import Artefact, given_stage, list_artefacts
from vgbench.types import Stage, VideoSpec


@pytest.fixture
def run(vgbench, monkeypatch, tmp_path):
    """Runs `vgbench weights ...` with its folder in the environment."""
    monkeypatch.setenv("VGBENCH_WEIGHTS_DIR", str(tmp_path / "installed"))
    return lambda *args: vgbench("weights", *args)


def test_import_then_list(run, tmp_path):
    torch.save(i3d_state(), tmp_path / "mine.pt")
    code, out, err = run("import", "i3d-k400", tmp_path / "mine.pt")
    assert code == 0, err
    assert f"installed i3d-k400 in {tmp_path / 'installed'}" in out
    assert "identity  other (unknown file)" in out
    assert "layout    piergiaj (torch)" in out
    (row,) = [r for r in json.loads(run("list", "--json")[1]) if r["installed"]]
    assert (row["name"], row["installed"]["files"][0]["name"]) == ("i3d-k400", "mine.pt")
    table = run("list")[1]
    assert "other, from" in table
    assert row["installed"]["tensors_sha256"][:8] in table
    again = run("import", "rgb_scratch", tmp_path / "mine.pt", "--json")
    assert json.loads(again[1])["installed"] == row["installed"]


def test_list_of_nothing(run):
    code, out, _ = run("list", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [r["name"] for r in rows] == [
        "i3d-k400",
        "i3d-k400-imagenet",
        "inception-2015",
        "resnext101-k400",
        "lpips-alex",
        "lpips-vgg",
        "arcface",
    ]
    assert not any(r["installed"] for r in rows)
    assert all(r["licence"] and r["home"] and r["files"] for r in rows)


def test_a_missing_file(run, tmp_path):
    code, _, err = run("import", "i3d-k400", tmp_path / "absent.pt")
    assert code == 4
    assert "absent.pt is neither a file of weights" in err


def test_the_option_wins_over_the_environment(run, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "i3d-k400.json").write_text("{}")
    assert run("list")[0] == 0
    assert run("list", "--weights-dir", folder)[0] == 4


def test_verify(run, tmp_path):
    assert run("verify") == (0, "no weights are installed\n", "")
    torch.save(i3d_state(), tmp_path / "mine.pt")
    run("import", "i3d-k400", tmp_path / "mine.pt")
    assert run("verify") == (0, "i3d-k400: intact, other (unknown file)\n", "")
    (row,) = json.loads(run("verify", "rgb_scratch", "--json")[1])
    assert row["installed"]["identity"] == "other"
    path = tmp_path / "installed" / "i3d-k400.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    code, out, err = run("verify")
    assert (code, out) == (4, "")
    assert "i3d-k400.safetensors is damaged" in err
    code, _, err = run("verify", "inception-2015")
    assert code == 4
    assert "vgbench weights import inception-2015" in err


def test_convert(run, tmp_path):
    torch.save(i3d_state(), tmp_path / "mine.pt")
    target = tmp_path / "ours.safetensors"
    code, out, _ = run("convert", "i3d-k400", tmp_path / "mine.pt", target)
    assert (code, out) == (0, f"wrote {target} from layout piergiaj (torch)\n")
    code, _, err = run("convert", "i3d-k400", tmp_path / "mine.pt", target)
    assert code == 2
    assert "expected the name of a new file" in err
    assert not (tmp_path / "installed").exists()


def started(model, folder, size=16):
    """Returns the image GAN that a run with `model.init.image=FOLDER` starts from."""
    name, spec = "stylegan2-frames", VideoSpec(3, size, size)
    weights = given_stage(Stage("image", name, model.config), folder, spec).load()
    found = build_model(model.config, spec, seed=9).eval()
    for part, network in (("generator", found.sampler), ("discriminator", found.discriminator)):
        own = {k.removeprefix(f"{part}."): v for k, v in weights.items() if k.startswith(part)}
        network.load_state_dict(own or network.state_dict())
    return found


@torch.no_grad()
def test_an_image_gan_becomes_the_start_of_a_run(run, tmp_path):
    model = image_gan("stylegan2-frames")
    networks = {"G_ema": nvidia_state(model.sampler), "D": nvidia_state(model.discriminator)}
    save_nvidia(tmp_path / "a.pkl", networks)
    folder = tmp_path / "gan"
    code, out, err = run("convert", "stylegan2-frames", tmp_path / "a.pkl", folder)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"wrote {folder}: stylegan2-frames, 16x16, from layout nvidia",
        "  options  z_dim=12 w_dim=12 channel_base=128 channel_max=16 mapping_layers=2",
        f"  use      model.init.image={folder}",
    ]
    assert sorted(path.name for path in folder.iterdir()) == [
        "artefact.json",
        "weights.safetensors",
    ]
    z, found = torch.randn(4, 12), started(model, folder)
    torch.testing.assert_close(found.sampler(z), model.sampler(z), rtol=0, atol=2e-5)
    images = torch.randn(8, 3, 16, 16)
    torch.testing.assert_close(found.discriminator(images), model.discriminator(images))
    (row,) = list_artefacts(tmp_path)
    assert (row["artefact"], row["run"], row["note"]) == ("gan", "a.pkl", "")
    with pytest.raises(CheckpointError, match="its videos differ in size"):
        started(model, folder, size=32)


@torch.no_grad()
def test_a_generator_alone(run, tmp_path):
    model = image_gan("stylegan2-frames")
    content = {"g_ema": rosinality_generator(model.sampler.state_dict())}
    content["latent_avg"] = model.sampler.mapping.w_avg
    torch.save(content, tmp_path / "a.pt")
    words = ("convert", "stylegan2-frames", tmp_path / "a.pt", tmp_path / "gan")
    code, out, _ = run(*words, "--json")
    assert code == 0
    shown = json.loads(out)
    assert shown["notes"] == ["the file has no discriminator"]
    assert (shown["file"], shown["layout"]) == ("a.pt", "rosinality")
    assert shown["options"] == SMALL["stylegan2-frames"]
    z, found = torch.randn(4, 12), started(model, tmp_path / "gan")
    torch.testing.assert_close(found.sampler(z), model.sampler(z), rtol=0, atol=2e-5)
    code, _, err = run(*words)
    assert code == 2
    assert "expected the name of a new folder" in err


def test_an_encoder_and_its_generator(run, tmp_path):
    model = image_gan("stylegan2-frames", 32)
    torch.save(psp_file(model, made_encoder(WEncoder)), tmp_path / "a.pt")
    code, out, err = run("convert", "inversion", tmp_path / "a.pt", tmp_path / "psp")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"wrote {tmp_path / 'psp'}: inversion, 32x32, from layout psp"
    assert "encoder.base_width=16" in lines[1]
    assert "image.use_noise=True" in lines[1]
    assert lines[2].startswith("  note     the mean style is not in the file")
    assert lines[-1] == f"  use      model.init.inversion={tmp_path / 'psp'}"
    artefact = Artefact.read(tmp_path / "psp")
    artefact.check()
    assert {name.split(".")[0] for name in artefact.load()} == {"encoder", "image"}


def test_convert_of_an_unknown_name(run, tmp_path):
    code, _, err = run("convert", "stylegan2-frame", tmp_path / "a.pt", tmp_path / "b")
    assert code == 2
    assert "Did you mean 'stylegan2-frames'" in err


HOSTILE = ("system.pkl", "deep.pkl", "getattr.pkl", "persistence.pkl", "beside.pt")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_one_error(run, tmp_path, name):
    canary = tmp_path / "canary"
    (tmp_path / name).write_bytes(hostile_files(canary)[name])
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("convert", "stylegan2-frames", tmp_path / name, tmp_path / "gan")
    assert (code, out) == (5, "")
    assert err.startswith("error: ")
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


def test_image_gans_that_cannot_be_had(run, tmp_path):
    words = ("convert", "stylegan2-frames", tmp_path / "a.pkl")
    code, _, err = run(*words, tmp_path / "gan")
    assert code == 4
    assert "a.pkl is not a file" in err
    save_nvidia(tmp_path / "a.pkl", {"G_ema": nvidia_state(image_gan("stylegan3-frames").sampler)})
    code, _, err = run(*words, tmp_path / "gan")
    assert code == 5
    assert "it holds 'stylegan3-frames', not 'stylegan2-frames'" in err
    assert not list(tmp_path.glob("*gan*"))


def test_fetch_shows_address_and_size_first(run, tmp_path, monkeypatch):
    monkeypatch.delenv("http_proxy", raising=False)
    (tmp_path / "www").mkdir()
    torch.save({k: v.half() for k, v in i3d_state().items()}, tmp_path / "www" / "half.pt")
    size = (tmp_path / "www" / "half.pt").stat().st_size
    handler = partial(QuietHandler, directory=tmp_path / "www")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/half.pt"
        code, out, err = run("fetch", "i3d-k400", "--url", url)
        missing = run("fetch", "i3d-k400", "--url", url + "x")
        server.shutdown()
        thread.join()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("i3d-k400: I3D RGB")
    assert "licence: Apache-2.0" in lines[1]
    assert lines[2].strip() == f"{url} ({size / 1e6:.1f} MB)"
    assert lines[3].startswith("installed i3d-k400")
    assert "other (unknown file)" in lines[4]
    assert missing[0] == 4
    assert missing[2].splitlines()[-1] == (
        "  vgbench weights import i3d-k400 /path/to/i3d_torchscript.pt"
    )


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.mark.parametrize("command", ["", "fetch", "import", "verify", "convert", "list"])
def test_help_has_two_examples(run, command):
    code, out, _ = run(*command.split(), "-h")
    assert code == 0
    assert sum(line.startswith("    vgbench weights ") for line in out.splitlines()) == 2
