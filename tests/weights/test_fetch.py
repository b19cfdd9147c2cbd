"""Downloads, against a server of our own."""

import dataclasses
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.weights.made import TINY, Tiny, deepmind_names, drawn_state, save_checkpoint, save_tiny
from vgbench.errors import UnknownNameError, WeightsError
from vgbench.weights.catalog import KnownFile, read_catalog
from vgbench.weights.fetch import fetch_weights
from vgbench.weights.store import WeightStore


class Server(ThreadingHTTPServer):
    """Serves `files`; can cut connections, forget about ranges, and counts what it sent."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}
        self.cut_after = None
        self.ranges = True
        self.etags = True
        self.sent = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = 0
        if wanted and self.server.ranges and self.headers.get("If-Range") == etag:
            start = int(wanted[1])
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.server.etags:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:][: self.server.cut_after]
        self.server.sent.append((start, len(body)))
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def content(server, tmp_path):
    """The bytes of the tiny network's file, which the server has as /tiny.pt."""
    server.files["/tiny.pt"] = save_tiny(tmp_path / "source.pt")
    return server.files["/tiny.pt"]


@pytest.fixture
def store(server, content, tmp_path):
    """A store that knows the file at the server, by its git blob id."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    known = KnownFile("tiny", True, download=(f"{server.url}/tiny.pt",), git_blob_sha1=blob)
    return WeightStore(tmp_path / "store", {"tiny": dataclasses.replace(TINY, files=(known,))})


def installed_files(store):
    return sorted(str(p.relative_to(store.folder)) for p in store.folder.rglob("*") if p.is_file())


def fails(store, reason, **options):
    """Checks that fetching ends in one error with this reason, and installs nothing."""
    with pytest.raises(WeightsError) as caught:
        fetch_weights(store, "tiny", **options)
    assert caught.value.exit_code == 4
    found = str(caught.value).splitlines()
    assert found[0].startswith("cannot fetch 'tiny' from http://127.0.0.1:")
    assert found[2:] == [
        "  or get the file in another way, put it anywhere and run",
        "  vgbench weights import tiny /path/to/tiny.pt",
    ]
    assert re.fullmatch(reason, found[1].strip()), found[1]
    assert not any(name.startswith("tiny.") for name in installed_files(store))


def test_fetch_installs_and_leaves_nothing_else(store, server, content):
    seen = []
    installed = fetch_weights(store, "small", on_progress=seen.append)
    assert (installed.name, installed.identity, installed.matched) == (
        "tiny",
        "official",
        "file: tiny",
    )
    assert installed.source == "tiny.pt"
    assert (seen[0].url, seen[0].done, seen[0].total) == (
        f"{server.url}/tiny.pt",
        0,
        len(content),
    )
    assert seen[-1].done == len(content)
    assert installed_files(store) == ["tiny.json", "tiny.safetensors"]
    assert store.load("tiny")[1] == installed.ref


def test_what_is_there_is_not_downloaded_again_unless_damaged(store, server):
    first = fetch_weights(store, "tiny")
    assert fetch_weights(store, "tiny") == first
    assert len(server.sent) == 1
    path = store.folder / "tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert fetch_weights(store, "tiny") == first
    assert len(server.sent) == 2


def test_a_cut_connection_is_continued(store, server, content):
    server.cut_after = 20_000
    fails(store, rf"the connection was cut after 16384 of {len(content)} bytes; run the same .*")
    server.cut_after = None
    seen = []
    assert fetch_weights(store, "tiny", on_progress=seen.append).identity == "official"
    assert server.sent == [(0, 20_000), (16_384, len(content) - 16_384)]
    assert (seen[0].done, seen[0].total) == (16_384, len(content))


@pytest.mark.parametrize("weakness", ["ranges", "etags"])
def test_servers_that_cannot_continue_start_over(store, server, content, weakness):
    setattr(server, weakness, False)
    server.cut_after = 20_000
    fails(store, "the connection was cut .*")
    server.cut_after = None
    assert fetch_weights(store, "tiny").identity == "official"
    assert server.sent == [(0, 20_000), (0, len(content))]


def test_a_kill_after_the_last_byte_does_no_harm(store, content):
    part = store.folder / "downloads" / "tiny" / "tiny.pt.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    part.with_name("tiny.pt.tag").write_text(f'"{hashlib.md5(content).hexdigest()}"')
    assert fetch_weights(store, "tiny").identity == "official"


def test_a_file_that_changed_between_two_attempts_is_not_mixed(store, server, content):
    server.cut_after = 20_000
    server.files["/tiny.pt"] = content[::-1]
    fails(store, "the connection was cut .*")
    server.cut_after, server.files["/tiny.pt"] = None, content
    assert fetch_weights(store, "tiny").identity == "official"
    assert server.sent[-1] == (0, len(content))


@pytest.mark.parametrize("by", ["git_blob_sha1", "sha256_prefix"])
def test_a_changed_file_is_refused_and_forgotten(store, server, content, by, tmp_path):
    if by == "sha256_prefix":
        known = dataclasses.replace(
            store.catalog["tiny"].files[0],
            git_blob_sha1="",
            sha256_prefix=hashlib.sha256(content).hexdigest()[:8],
        )
        catalog = {"tiny": dataclasses.replace(TINY, files=(known,))}
        store = WeightStore(tmp_path / "second", catalog)
    server.files["/tiny.pt"] = save_tiny(tmp_path / "other.pt", seed=1)
    kind = {"git_blob_sha1": "git blob", "sha256_prefix": "sha256"}[by]
    fails(store, rf"the file changed; .*\(\d+ bytes, {kind} [0-9a-f]+, expected [0-9a-f]+\)")
    assert installed_files(store) == []
    server.files["/tiny.pt"] = content
    assert fetch_weights(store, "tiny").identity == "official"


def test_an_answer_that_is_no_file_of_weights(store, server):
    server.files["/login"] = b"<html>Sign in to download</html>"
    fails(store, ".*is not a file of tensors.*", url=f"{server.url}/login")


def test_a_missing_page(store, server):
    server.files.clear()
    fails(store, "the server answered 404 Not Found")


def test_a_dead_proxy(store, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    fails(store, r"the proxy failed \(.*refused\); it is set in HTTPS_PROXY or HTTP_PROXY")


def test_a_proxy_that_refuses(store, server, monkeypatch):
    # asked as a proxy, the server is given the whole address as path and answers 404
    monkeypatch.setenv("http_proxy", server.url)
    fails(store, "the server answered 404 Not Found")


def test_no_server(store):
    fails(store, r"no connection \(.*refused\)", url="http://127.0.0.1:9/tiny.pt")


def test_a_mirror_is_recognised_by_content(store, server, content, tmp_path):
    server.files = {"/mirror/x.pt": content, "/odd.pt": save_tiny(tmp_path / "odd.pt", seed=2)}
    good = fetch_weights(store, "tiny", url=f"{server.url}/mirror/x.pt")
    odd = fetch_weights(store, "tiny", url=f"{server.url}/odd.pt")
    assert (good.identity, odd.identity) == ("official", "other")


def test_a_checkpoint_of_two_files(server, tmp_path):
    entry = read_catalog()["i3d-k400"]
    prefix = tmp_path / "model.ckpt"
    save_checkpoint(prefix, deepmind_names(drawn_state(Tiny)))
    names = [url.rpartition("/")[2] for url in entry.files[0].download]
    assert names == ["model.ckpt.index", "model.ckpt.data-00000-of-00001"]
    server.files = {f"/{name}": (tmp_path / name).read_bytes() for name in names}
    known = KnownFile("both", True, download=tuple(f"{server.url}/{name}" for name in names))
    store = WeightStore(tmp_path / "s", {"tiny": dataclasses.replace(TINY, files=(known,))})
    server.cut_after = 200
    with pytest.raises(WeightsError, match="was cut after"):
        fetch_weights(store, "tiny")
    server.cut_after = None
    installed = fetch_weights(store, "tiny")
    assert (installed.layout, installed.source) == ("deepmind (tensorflow)", names[1])


def test_what_only_a_browser_can_get(tmp_path):
    with pytest.raises(WeightsError) as caught:
        fetch_weights(WeightStore(tmp_path), "resnext101-k400")
    assert "can only be had with a browser: https://drive.google.com/" in str(caught.value)
    assert "vgbench weights import resnext101-k400 /path/to/resnext-101" in str(caught.value)
    with pytest.raises(UnknownNameError):
        fetch_weights(WeightStore(tmp_path), "i3d")
