"""Messages that a command can end with, word for word, and its exit code.

Mistyped options are in `tests/config/test_compose.py` and `test_main.py`, texts of the library in
`tests/test_texts.py`, data in `test_data.py`,
weights in `tests/weights`, protocols in `tests/metrics/test_protocol.py`.
"""

import errno
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from tests.training.conftest import NARROW
from tests.weights.made import save_checkpoint
from vgbench.config.compose import compose
from vgbench.errors import (
    WeightsError,
)
from vgbench.registry import MODELS
from vgbench.training.fit import Listener, fit
from vgbench.training.run_folder import RunFolder
from vgbench.weights.store import WeightStore


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a run that ended."""
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "run")
    words = [*NARROW, "budget.kclips=0.004"]
    fit(compose(words, folder.path), folder, words, Listener())
    return folder.path


# What needs a checkpoint; RUN stands for its run folder.
WITH_A_RUN = {
    ("eval", "RUN", "--batch", "none"): (
        2,
        "error: --batch none: expected auto or an integer >= 1\n",
    ),
    ("eval", "RUN", "--protocol", "fvd128"): (
        7,
        "error: protocol fvd128/vgbench@1 needs >= 128 frames per real video; 40 of 40 videos in "
        "'shapes' are shorter\n  (fvd16/vgbench@1 would accept 40).  Nothing was evaluated.\n",
    ),
    ("sample", "RUN", "--grid", "4by4"): (
        2,
        "error: --grid 4by4: expected ROWSxCOLUMNS, e.g. --grid 4x6\n",
    ),
    ("sample", "RUN", "-o", "RUN/config.yaml/x.mp4"): (
        2,
        "error: RUN/config.yaml: File exists\n",
    ),
    ("run", "--resume", "RUN", "model.channels=4", "seed=3"): (
        2,
        "error: these options cannot change when a run is resumed:\n"
        "  model.channels: 2 -> 4\n"
        "  seed: 0 -> 3\n"
        "  accepted: trainer.*, logger.*, protocol.*, budget.kclips, budget.checkpoint_kclips, "
        "budget.sample_kclips\n",
    ),
    ("run", *NARROW, "--run-dir", "RUN"): (
        2,
        "error: RUN exists and is not empty; continue it with --resume, or choose --run-dir\n",
    ),
}


@pytest.mark.parametrize("words", WITH_A_RUN, ids=lambda words: " ".join(words[:4]))
def test_texts_about_a_run(vgbench, trained, words):
    expected_code, text = WITH_A_RUN[words]
    code, _, err = vgbench(*(word.replace("RUN", str(trained)) for word in words))
    assert (code, err) == (expected_code, text.replace("RUN", str(trained)))


WITHOUT_A_RUN = {
    ("run", "dataset=shapes"): (
        2,
        "error: no model given; add model=NAME      (vgbench ls models)\n"
        "  e.g. vgbench run model=g3an dataset=shapes\n",
    ),
    ("run", *NARROW, "protocol.names=[fvd16/styleganw@1]"): (
        2,
        "error: unknown protocol 'fvd16/styleganw@1'. Did you mean 'fvd16/styleganv@1'",
    ),
    ("run", *NARROW, "trainer.accelerator=tpu"): (
        2,
        "error: trainer.accelerator=tpu: expected one of auto, cpu, gpu\n",
    ),
    ("run", *NARROW, "trainer.precision=fp8"): (
        2,
        "error: trainer.precision=fp8: expected one of 32-true, 64-true, 16-mixed, bf16-mixed, "
        "16-true, bf16-true\n",
    ),
    ("run", *NARROW, "--run-dir", "TMP/file/run"): (
        2,
        "error: TMP/file/run: Not a directory\n",
    ),
    ("eval", "--from-videos", "TMP"): (
        2,
        "error: --from-videos needs --dataset NAME, the videos to compare with\n",
    ),
    ("eval", "x.ckpt", "--from-videos", "TMP"): (
        2,
        "error: give a checkpoint or run folder, or --from-videos DIR, not both\n"
        "  e.g. vgbench eval runs/g3an-shapes-20260101-1a2b\n",
    ),
    ("eval", "TMP"): (
        5,
        "error: TMP holds no checkpoints/last.ckpt; is it a run folder?\n",
    ),
    ("eval", "TMP/file"): (
        5,
        "error: TMP/file is damaged or not a checkpoint (EOFError)\n"
        "  earlier ones lie beside it: checkpoints/kclip-*.ckpt\n",
    ),
    ("leaderboard", "show", "TMP/file"): (
        3,
        "error: TMP/file: not an evaluation file of vgbench "
        "(Expecting value: line 1 column 1 (char 0))\n  vgbench leaderboard check TMP/file\n",
    ),
    ("config", "options", "dataset=shaeps"): (
        2,
        "error: unknown dataset 'shaeps'. Did you mean 'shapes'?\n",
    ),
    ("evla",): (
        2,
        "Usage: vgbench [OPTIONS] COMMAND [ARGS]...\nTry 'vgbench --help' for help.\n\n"
        "Error: No such command 'evla'. Did you mean 'eval'?\n",
    ),
}


@pytest.mark.parametrize(
    "words", WITHOUT_A_RUN, ids=lambda words: " ".join((*words[:2], words[-1]))
)
def test_texts_without_a_run(vgbench, tmp_path, words):
    (tmp_path / "file").touch()
    expected_code, text = WITHOUT_A_RUN[words]
    code, _, err = vgbench(*(word.replace("TMP", str(tmp_path)) for word in words))
    # Lists of names grow; what stands in front of them does not change.
    listed = err if text.endswith("\n") and "unknown dataset" not in text else err[: len(text)]
    assert (code, listed) == (expected_code, text.replace("TMP", str(tmp_path)))


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a GPU")
def test_no_gpu(vgbench):
    words = [word for word in NARROW if "accelerator" not in word]
    code, _, err = vgbench("run", *words, "trainer.accelerator=gpu")
    assert (code, err) == (
        2,
        "error: trainer.accelerator=gpu: no GPU is found; expected auto or cpu      "
        "(vgbench doctor)\n",
    )


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_that_is_not_installed(vgbench, tmp_path, name):
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
    else:
        pytest.skip(f"{name} is installed")
    code, _, err = vgbench("run", *NARROW, f"logger.names=[{name}]", "--run-dir", tmp_path / "run")
    assert (code, err) == (
        2,
        f"error: logger.names={name}: {name} is not installed\n  pip install 'vgbench[{name}]'\n",
    )
    assert not (tmp_path / "run").exists()


def test_divergence(vgbench, tmp_path):
    run = tmp_path / "run"
    words = [*NARROW, "model.lr_d=1e38", "model.lr_g=1e38", "budget.kclips=0.04"]
    code, _, err = vgbench("-q", "run", *words, "--run-dir", run)
    assert code == 6
    text, _, rest = err.partition("\n")
    assert re.fullmatch(
        r"error: training diverged at 0(\.\d+)? kclips: the "
        r"((video discriminator|image discriminator|generator) loss is nan|"
        r"gradient of the \w+ ?\w* loss is not finite)",
        text,
    )
    assert re.fullmatch(
        rf"  (the last finite state|the checkpoint before it) is {run}/checkpoints/last.ckpt; "
        r"earlier ones lie beside it\n  try a smaller learning rate or another seed\n",
        rest,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stopped_run_says_how_to_go_on(tmp_path, number, code):
    run = tmp_path / "run"
    words = [*NARROW, "budget.kclips=100", f"--run-dir={run}"]
    command = [sys.executable, "-m", "vgbench", "-q", "run", *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    text = rf"stopped at \S+ kclips, state saved; continue with\n  vgbench run --resume {run}\n"
    assert re.search(rf"^{text}\Z", err, re.MULTILINE), err


def faulty(error):
    """Returns a function that fails as a bug or a disk would."""

    def fail(*_, **__):
        raise error

    return fail


def test_a_bug_is_shown_in_full(vgbench, monkeypatch):
    monkeypatch.setattr("vgbench.report.row_files.collect", faulty(RuntimeError("boom")))
    code, _, err = vgbench("leaderboard", "show")
    assert code == 1
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith(
        "RuntimeError: boom\nthis is a bug in vgbench; please report it with the lines above\n"
    )


def test_a_full_disk_is_no_bug(vgbench, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr("vgbench.report.row_files.write_text", faulty(full))
    assert vgbench("leaderboard", "export")[::2] == (2, "error: disk: No space left on device\n")
    code, _, err = vgbench("leaderboard", "export", "--traceback")
    assert code == 1
    assert "Traceback" in err


def test_ctrl_c_outside_training(vgbench, monkeypatch):
    monkeypatch.setattr("vgbench.report.row_files.collect", faulty(KeyboardInterrupt()))
    assert vgbench("leaderboard", "show")[::2] == (130, "\ninterrupted\n")


def test_a_broken_plugin_is_named_not_reported_as_a_bug(vgbench, monkeypatch):
    broken = EntryPoint("broken", "no_such_module:thing", "vgbench.models")
    monkeypatch.setitem(vars(MODELS), "_entry_points", {"broken": broken})
    code, _, err = vgbench("run", "model=broken", "dataset=shapes")
    assert (code, err) == (
        2,
        "error: plugin model 'broken' is broken: No module named 'no_such_module'\n"
        "  repair or uninstall no_such_module:thing      (vgbench ls plugins)\n",
    )


# Weights; files lie in TMP.

WEIGHTS = {
    ("i3d-k4oo", "file"): (
        2,
        "error: unknown weight 'i3d-k4oo'. Did you mean 'i3d-k400'",
    ),
    ("i3d-k400", "absent.pt"): (
        4,
        "error: TMP/absent.pt is neither a file of weights nor a TensorFlow checkpoint\n",
    ),
    ("i3d-k400", "half.index"): (
        4,
        "error: TMP/half.data-00000-of-00001 does not exist; a TensorFlow checkpoint is two "
        "files, NAME.index and NAME.data-00000-of-00001, in one folder\n",
    ),
    ("i3d-k400", "bad.index"): (
        4,
        "error: TMP/bad.index is not a readable checkpoint index: "
        "the table's closing number is missing\n",
    ),
    ("i3d-k400", "cut.index"): (
        4,
        "error: TMP/cut.data-00000-of-00001 is cut short or damaged at tensor 'w'; copy it again\n",
    ),
    ("i3d-k400", "int.index"): (
        4,
        "error: TMP/int.data-00000-of-00001: 'w' has TensorFlow type 3, not 1 (float32)\n",
    ),
    ("i3d-k400", "list.pt"): (
        4,
        "error: TMP/list.pt holds list, not a mapping of tensors\n",
    ),
    ("i3d-k400", "text.pt"): (
        4,
        "error: TMP/text.pt is not a file of tensors (",
    ),
    ("i3d-k400", "one.pt"): (
        4,
        "error: TMP/one.pt is not 'i3d-k400': the file holds 1 tensors (w, ...) in no known layout",
    ),
}


@pytest.fixture
def odd_weights(tmp_path):
    """Folder of files that are no weights."""
    variables = {"w": np.ones(3, np.float32)}
    for name, dtype in (("half", 1), ("cut", 1), ("int", 3)):
        save_checkpoint(tmp_path / name, variables, dtype=dtype)
    suffix = ".data-00000-of-00001"
    (tmp_path / f"half{suffix}").unlink()
    (tmp_path / f"cut{suffix}").write_bytes(b"1234")
    for name in ("bad.index", f"bad{suffix}", "text.pt"):
        (tmp_path / name).write_text("not weights")
    torch.save([1], tmp_path / "list.pt")
    torch.save({"w": torch.ones(3)}, tmp_path / "one.pt")
    return tmp_path


@pytest.mark.parametrize("words", WEIGHTS, ids=" ".join)
def test_texts_about_weights(vgbench, odd_weights, words):
    expected_code, text = WEIGHTS[words]
    name, file = words
    installed = ("--weights-dir", odd_weights / "installed")
    code, _, err = vgbench("weights", "import", name, odd_weights / file, *installed)
    text = text.replace("TMP", str(odd_weights))
    assert (code, err[: len(text)]) == (expected_code, text)
    assert err == text or not text.endswith("\n")


def test_weights_that_are_not_installed(tmp_path):
    with pytest.raises(WeightsError) as caught:
        WeightStore(tmp_path).load("i3d-k400")
    assert str(caught.value).splitlines()[:2] == [
        "weights 'i3d-k400' not found and offline; put the file anywhere and run",
        "  vgbench weights import i3d-k400 /path/to/i3d_torchscript.pt",
    ]
    assert caught.value.exit_code == 4
