"""Several processes train what one would on the same global batch."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from tests.training.conftest import NARROW
from tests.training.processes import CASES, train
from vgbench.models.checkpoint import read_checkpoint
from vgbench.training.distributed import weights_digest
from vgbench.training.run_folder import RunFolder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_two_processes(*words):
    """Runs a Python command in two processes that know each other; returns their outputs."""
    known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, *map(str, words)],
            env={**os.environ, **known, "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    texts = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(texts)
    return texts


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of the runs of all cases, trained by two processes."""
    folder = tmp_path_factory.mktemp("two")
    in_two_processes("-m", "tests.training.processes", folder)
    return folder


def assert_equal_states(one, two, tolerance):
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_make_the_steps_of_one(trained, tmp_path, case):
    train(case, tmp_path / case, 1)
    one = read_checkpoint(RunFolder(tmp_path / case).last)
    two = read_checkpoint(RunFolder(trained / case).last)
    assert one["vgbench"] == two["vgbench"]
    assert one["vgbench"]["clips_seen"] == 8
    start = read_checkpoint(tmp_path / case / "checkpoints/kclip-00000.000.ckpt")
    moved = sum(
        not torch.equal(value, start["state_dict"][name])
        for name, value in one["state_dict"].items()
    )
    assert moved > 0.7 * len(one["state_dict"])
    assert_equal_states(one["state_dict"], two["state_dict"], 1e-9)
    rows = [RunFolder(p / case).metrics.read_text().split("\n")[1] for p in (tmp_path, trained)]
    one, two = ([float(cell) for cell in row.split(",")[:-1]] for row in rows)
    assert one == pytest.approx(two, rel=1e-5)


@pytest.mark.slow
def test_one_process_goes_on_where_two_stopped(trained, tmp_path):
    path = tmp_path / "g3an"
    shutil.copytree(trained / "g3an", path)
    train("g3an", path, 1, words=["budget.kclips=0.012"], resume=True)
    train("g3an", tmp_path / "whole", 1, words=["budget.kclips=0.012"])
    resumed, whole = (read_checkpoint(RunFolder(p).last) for p in (path, tmp_path / "whole"))
    assert resumed["vgbench"] == whole["vgbench"]
    assert_equal_states(whole["state_dict"], resumed["state_dict"], 1e-9)


@pytest.mark.slow
def test_what_couples_a_batch_has_derivatives_of_two_orders():
    in_two_processes("-m", "tests.nn.two_processes")


def in_two_devices(path, *words):
    """Starts `vgbench run` on two devices as users do."""
    command = [sys.executable, "-m", "vgbench", "run", *NARROW, "trainer.devices=2"]
    command += [*words, f"--run-dir={path}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_run_on_two_devices_that_diverges_ends_with_its_code(tmp_path):
    words = ["budget.kclips=0.4", "model.lr_g=1e30", "model.lr_d=1e30"]
    process = in_two_devices(tmp_path / "run", *words)
    out, text = process.communicate(timeout=120)
    assert process.returncode == 6, text
    assert out.count("folder") == 1, "only the first process speaks"
    assert text.count("training diverged at") == 1
    folder = RunFolder(tmp_path / "run")
    assert json.loads((folder.path / "status.json").read_text())["exit_code"] == 6
    state = read_checkpoint(folder.last)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


@pytest.mark.slow
def test_a_signal_stops_all_processes_after_the_same_step(tmp_path):
    process = in_two_devices(tmp_path / "run", "budget.kclips=100")
    last, deadline = RunFolder(tmp_path / "run").last, time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=120)
    assert process.returncode == 75, text
    assert text.count("state saved; continue with") == 1
    assert json.loads((tmp_path / "run/status.json").read_text())["state"] == "preempted"


def test_equal_weights_have_equal_digests():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = weights_digest(network)
    assert weights_digest(network) == before
    network[1].running_var[1] += 1e-6
    assert weights_digest(network) != before
