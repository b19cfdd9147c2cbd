"""Checkpoint files: the same state is the same bytes."""

import torch

from vgbench.training.checkpoint_io import AtomicCheckpointIO


def state(name, betas):
    """Returns a state that holds one text and one tuple twice."""
    groups = [{"name": name(), "betas": betas()} for _ in range(2)]
    return {"optimizer_states": groups, "state_dict": {name(): torch.arange(3.0)}}


def written(path, contents):
    AtomicCheckpointIO().save_checkpoint(contents, path)
    return path.read_bytes()


def test_what_is_shared_in_memory_does_not_matter(tmp_path):
    text, pair = "a text", (0.0, 0.99)
    shared = state(lambda: text, lambda: pair)
    apart = state(lambda: "".join(["a", " text"]), lambda: tuple([0.0, 0.99]))  # noqa: C409
    assert apart == apart | {"optimizer_states": shared["optimizer_states"]}
    assert apart["optimizer_states"][0]["name"] is not apart["optimizer_states"][1]["name"]
    assert written(tmp_path / "a.ckpt", shared) == written(tmp_path / "b.ckpt", apart)


def test_how_often_a_run_was_resumed_is_not_kept(tmp_path):
    contents = state(lambda: "w", lambda: (1, 2))
    counted = contents | {"epoch": 3, "global_step": 12, "loops": {"ready": 3}}
    assert written(tmp_path / "a.ckpt", counted) == written(tmp_path / "b.ckpt", contents)
    assert "epoch" in counted  # the caller's own is as it was


def test_sizes_stay_sizes(tmp_path):
    AtomicCheckpointIO().save_checkpoint({"size": torch.Size([2, 3])}, tmp_path / "a.ckpt")
    read = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert type(read["size"]) is torch.Size
