"""`vgbench weights`."""

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from tests.weights.made import i3d_state


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
    assert (row["name"], row["installed"]["source"]) == ("i3d-k400", "mine.pt")
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
