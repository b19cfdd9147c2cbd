"""Checkpoints: what is refused, and that nothing in a file is ever executed."""

import pickle

import pytest
import torch

from tests.staged.config import ColouredConfig, ColourOptions, registered
from vgbench import __version__
from vgbench.errors import CheckpointError
from vgbench.models.checkpoint import (
    FORMAT,
    config_from,
    find_checkpoint,
    load_model,
    read_checkpoint,
)


def saved(path, **about):
    section = {"format": FORMAT, "version": "0.1.0", **about}
    torch.save({"vgbench": section, "state_dict": {}}, path)
    return path


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert caught.value.exit_code == 5
    return str(caught.value)


def test_damaged(tmp_path):
    path = saved(tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:200])
    text = refused(path)
    assert text.startswith(f"{path} is damaged or not a checkpoint (")
    assert text.endswith(")\n  earlier ones lie beside it: checkpoints/kclip-*.ckpt")


@pytest.mark.parametrize("content", [b"", b"hello", bytes(range(256)) * 10])
def test_not_a_checkpoint(tmp_path, content):
    path = tmp_path / "a.ckpt"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_foreign(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": {}}, path)
    assert refused(path) == f"{path} was not written by vgbench: it has no 'vgbench' section"


def test_future(tmp_path):
    path = saved(tmp_path / "a.ckpt", format=FORMAT + 1)
    assert refused(path) == (
        f"{path} has format {FORMAT + 1}, this vgbench reads up to {FORMAT}; "
        "it was written by vgbench 0.1.0: upgrade to it"
    )


class Malicious:
    def __reduce__(self):
        return (open, (str(self.target), "w"))


def test_hostile_pickle_executes_nothing(tmp_path):
    Malicious.target = tmp_path / "executed"
    path = tmp_path / "a.ckpt"
    torch.save({"vgbench": {"format": 1}, "state_dict": Malicious()}, path)
    assert refused(path) == (
        f"{path} is not a vgbench checkpoint: it holds objects other than tensors and plain "
        "values, which are never loaded"
    )
    path.write_bytes(pickle.dumps(Malicious()))
    refused(path)
    assert not Malicious.target.exists()


def test_absent(tmp_path):
    path = tmp_path / "none.ckpt"
    assert refused(path) == f"{path} does not exist"
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint(path)
    assert str(caught.value) == f"{path} does not exist; give a .ckpt file or a run folder"
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds no checkpoints/last.ckpt; is it a run folder?"


def test_options_of_another_version(tmp_path):
    about = {"model": "g3an", "config": {"no_such_option": 1}, "spec": {}, "seed": 0}
    with pytest.raises(CheckpointError) as caught:
        load_model(saved(tmp_path / "a.ckpt", **about))
    assert str(caught.value) == (
        f"the checkpoint has options that 'g3an' of vgbench {__version__} does not know: "
        "no_such_option\n  it was written by vgbench 0.1.0"
    )


def test_nested_options(tmp_path):
    with registered():
        plain = {"layers": 0, "colour": {"width": 5, "strength": 0.1}}
        about = {"model": "coloured", "config": plain, "version": "0.1.0"}
        assert config_from(about) == ColouredConfig(layers=0, colour=ColourOptions(5, 0.1))
        about["config"] = {"colour": {"widht": 5}}
        with pytest.raises(CheckpointError, match=r"does not know: colour\.widht\n"):
            config_from(about)


def test_weights_that_do_not_fit(tmp_path):
    about = {"model": "g3an", "config": {"channels": 2}, "spec": {"height": 32, "width": 32}}
    path = saved(tmp_path / "a.ckpt", **about, seed=0, clips_seen=0)
    with pytest.raises(CheckpointError) as caught:
        load_model(path)
    text = (
        f'{path}: its weights do not fit: Missing key(s) in state_dict: "generator.block1.conv_v.'
    )
    assert str(caught.value).startswith(text)
    assert len(str(caught.value).splitlines()) == 1
