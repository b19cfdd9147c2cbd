"""NVIDIA's pickles are read without running what they hold."""

import pickle
import sys

import numpy as np
import pytest
import torch

from tests.weights.hostile_pickles import Call, hostile_files, in_network, source
from tests.weights.stylegan_made import foreign_modules, nvidia_content, save_nvidia, torch_bytes
from vgbench.errors import CheckpointError
from vgbench.weights.nvidia_pickle import read_nvidia_pickle
from vgbench.weights.stylegan_files import read_networks

NAMES = list(hostile_files(type("Canary", (), {"name": "x", "__str__": lambda _: "x"})()))


@pytest.fixture
def canary(tmp_path):
    """Path of a file that only executed code makes, in a folder of its own."""
    (tmp_path / "yard").mkdir()
    return tmp_path / "yard" / "canary"


@pytest.mark.parametrize("name", NAMES)
def test_hostile_files(tmp_path, canary, name, monkeypatch):
    (tmp_path / "evil_module.py").write_text(source(canary))
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / "yard" / name
    path.write_bytes(hostile_files(canary)[name])
    with pytest.raises(CheckpointError) as refusal:
        read_networks(path)
    assert len(str(refusal.value).splitlines()) <= 5
    assert str(path) in str(refusal.value)
    assert list(canary.parent.iterdir()) == [path]
    assert "evil_module" not in sys.modules


def test_the_canary_can_die(canary):
    """These files do what they are said to: a reader that trusts them runs their commands."""
    files = hostile_files(canary)
    for name in ("system.pkl", "nested.pkl", "getattr.pkl", "inst.pkl", "obj.pkl", "system-0.pkl"):
        trusted = files[name]
        if name == "obj.pkl":
            trusted = trusted.replace(b"csubprocess\nPopen", b"cos\nsystem")
        pickle.loads(trusted)
        assert canary.exists(), name
        canary.unlink()


def test_source_is_neither_run_nor_read(tmp_path, canary):
    tensors = {"a.weight": torch.randn(2, 3)}
    save_nvidia(tmp_path / "a.pkl", {"G_ema": tensors}, source=source(canary))
    network = read_nvidia_pickle(tmp_path / "a.pkl")["G_ema"]
    assert torch.equal(dict(network.tensors())["a.weight"], tensors["a.weight"])
    assert not canary.exists()


@pytest.mark.parametrize("old", [False, True])
def test_what_stands_beside_tensors(tmp_path, old):
    """Arrays and numbers of NumPy, under their names before version 2 too."""
    with foreign_modules() as (persistence, util):
        content = nvidia_content(persistence, util, {"D": {"w": torch.arange(6.0)}})
        content["D"].meta["state"]["numbers"] = np.arange(3), np.float32(2), np.dtype("<f4")
        content["D"].meta["state"]["_init_kwargs"]["depth"] = 3
        data = pickle.dumps(content, protocol=3)
    assert b"numpy._core." in data
    if old:
        data = data.replace(b"numpy._core.", b"numpy.core.")
    (tmp_path / "a.pkl").write_bytes(data)
    network = read_nvidia_pickle(tmp_path / "a.pkl")["D"]
    assert network.class_name == "Generator"
    assert network.options["depth"] == 3
    assert dict(network.tensors()).keys() == {"w"}


def test_views_and_half_precision(tmp_path):
    both = torch.randn(4, 6)
    tensors = {"left": both[:, :2], "turned": both.t(), "half": both.half(), "number": both[1, 1]}
    save_nvidia(tmp_path / "a.pkl", {"G": tensors})
    read = dict(read_nvidia_pickle(tmp_path / "a.pkl")["G"].tensors())
    assert read.keys() == tensors.keys()
    for name, want in tensors.items():
        assert torch.equal(read[name], want)
        assert read[name].is_contiguous()


def test_a_tensor_larger_than_its_storage(tmp_path, canary):
    wide = torch.ones(1).expand(10**6, 10**6)
    (tmp_path / "a.pkl").write_bytes(in_network(wide, canary))
    with pytest.raises(CheckpointError, match="in a storage of 1 numbers"):
        read_networks(tmp_path / "a.pkl")


def test_networks_that_contain_themselves(tmp_path, canary):
    with foreign_modules() as (persistence, util):
        content = nvidia_content(persistence, util, {"G_ema": {"w": torch.ones(1)}})
        content["G_ema"].meta["state"]["_modules"] = (below := {})
        content["G_ema"].meta["state"]["_init_kwargs"] = below
        below["again"] = below
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match="damaged or no file of StyleGAN"):
        read_networks(tmp_path / "a.pkl")


def test_networks_of_tensorflow(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x03cdnnlib.tflib.network\nNetwork\n)R.")
    with pytest.raises(CheckpointError, match="holds networks of TensorFlow"):
        read_networks(tmp_path / "a.pkl")


def test_files_that_end_early(tmp_path):
    save_nvidia(tmp_path / "a.pkl", {"G_ema": {"w": torch.randn(50)}})
    whole = (tmp_path / "a.pkl").read_bytes()
    old = torch_bytes({"g_ema": {"w": torch.randn(50)}}, _use_new_zipfile_serialization=False)
    new = torch_bytes({"g_ema": {"w": torch.randn(50)}})
    for data in (whole, old, new):
        for length in (0, 1, 20, len(data) // 2, len(data) - 1):
            (tmp_path / "b").write_bytes(data[:length])
            with pytest.raises(CheckpointError, match="damaged or no file"):
                read_networks(tmp_path / "b")


@pytest.mark.parametrize("content", [{}, {"D": 3}, [1], None, {"G_ema": None}])
def test_pickles_of_something_else(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(CheckpointError, match=r"no network 'G_ema'|not a dict of networks"):
        read_networks(tmp_path / "a.pkl")


def test_a_call_is_named(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Call(print, "x")))
    with pytest.raises(CheckpointError, match=r"names builtins.print, which is never called"):
        read_networks(tmp_path / "a.pkl")
