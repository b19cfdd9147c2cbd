"""Sweeps on the command line: what is refused, what runs, and how they go on after any end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.conftest import NARROW
from tests.training.test_stylevideogan_stages import NARROW as STAGED
from vgbench.cli.jobs import Jobs, environment, share_of
from vgbench.cli.sweep import PlannedRun
from vgbench.config.compose import compose
from vgbench.config.sweep import Point
from vgbench.locks import exclusive
from vgbench.registry import LAUNCHERS
from vgbench.training.run_folder import RunFolder

RUN = ("run", *NARROW)
ERRORS = {
    ("run", "-m", *NARROW, "seed=0,1", "--resume", "x"): (
        "error: a sweep takes no --resume: the same words again go on with its runs\n"
    ),
    (*RUN, "--jobs", "2"): "error: --jobs is for sweeps; add -m\n",
    (*RUN, "--keep-going"): "error: --keep-going is for sweeps; add -m\n",
    (*RUN, "--submit"): (
        "error: --submit needs a launcher; add launcher=NAME, e.g. launcher=slurm\n"
    ),
    (*RUN, "--continue"): ("error: --continue needs the folder of the run: --run-dir DIR\n"),
    (*RUN, "trainer.nodes=2"): (
        "error: trainer.nodes=2: several machines are started by torchrun, on each of them\n"
        "  to use this one alone: trainer.nodes=1\n"
    ),
    (*RUN, "launcher=slum"): (
        "error: unknown launcher 'slum'. Did you mean 'slurm'?\n"
        f"  launchers: {', '.join(LAUNCHERS)}      (vgbench ls launchers)\n"
    ),
    (*RUN, "launcher=slurm", "launcher.tme=1"): (
        "error: launcher.tme: 'slurm' has no such option. Did you mean launcher.time (default )?\n"
        "  see: vgbench config options launcher=slurm\n"
    ),
    (*RUN, "launcher=slurm", "launcher.gpus=many"): (
        "error: launcher.gpus=many: expected an integer, e.g. launcher.gpus=1\n"
    ),
    (*RUN, "launcher=slurm", "launcher.nodes=0"): ("error: launcher.nodes=0: expected 1 or more\n"),
    (*RUN, "launcher.gpus=1"): (
        "error: launcher.gpus=1: no launcher given; add launcher=NAME, e.g. launcher=slurm\n"
    ),
    (*RUN, "launcher=slurm", "seed=0,1"): (
        "error: seed=0,1 is a sweep; add -m to run 2 jobs, or quote it to mean text\n"
    ),
}


@pytest.mark.parametrize("words", ERRORS, ids=lambda words: " ".join(words[-2:]))
def test_error_texts(vgbench, words):
    code, _, err = vgbench(*words)
    assert (code, err) == (2, ERRORS[words])


def test_every_point_is_checked_first(vgbench):
    code, _, err = vgbench("run", "-m", *NARROW, "model.mode=1p2d,4d")
    assert (code, err) == (2, "error: model.mode=4d: expected one of 1p2d, 2p1d, 3d\n")


def test_a_dry_run_shows_the_commands(vgbench, tmp_path):
    folder = tmp_path / "sweep"
    words = ("run", "-m", "model=g3an", "dataset=shapes", "seed=0,1", "--run-dir", folder)
    code, out, _ = vgbench(*words, "--dry-run", "--eval")
    assert code == 0
    assert out.splitlines() == [
        f"vgbench run --continue --run-dir {folder}/g3an-shapes-seed{seed} --eval "
        f"model=g3an dataset=shapes seed={seed}"
        for seed in (0, 1)
    ]
    assert not folder.exists()


def test_a_point_with_other_options_is_refused(vgbench, tmp_path):
    folder = RunFolder(tmp_path / "sweep" / "g3an-shapes")
    folder.start(compose([*NARROW, "budget.kclips=1"], tmp_path / "data"), NARROW)
    words = ("run", "-m", *NARROW, "budget.kclips=2", "trainer.threads=1")
    code, _, err = vgbench(*words, "--run-dir", folder.path.parent)
    assert (code, err) == (
        2,
        f"error: {folder.path} was begun with other options:\n"
        "  budget.kclips: 1.0 -> 2.0\n"
        "  repeat the words that it was begun with, or choose another --run-dir\n",
    )


@pytest.mark.parametrize("how", ["new", "resume"])
def test_one_process_at_a_time_trains_in_a_folder(vgbench, tmp_path, how):
    folder = RunFolder(tmp_path / "run")
    words = [*NARROW, "--run-dir", folder.path]
    if how == "resume":
        folder.start(compose(NARROW, tmp_path / "data"), NARROW)
        folder.checkpoints.mkdir()
        folder.last.touch()
        words = ["--resume", folder.path]
    with exclusive(folder.path, print, print):
        code, _, err = vgbench("run", *words)
    assert (code, err) == (
        2,
        f"error: process {os.getpid()} on {socket.gethostname()} trains in {folder.path}; "
        f"wait for its end, or stop it: kill {os.getpid()}\n",
    )


def planned(folder, name, *command, words=()):
    """Returns a run of a sweep whose process is any command of vgbench."""
    config = compose([*NARROW, *words], folder / "data")
    return PlannedRun(Point(name, ()), config, folder / name, command)


@pytest.mark.slow
@pytest.mark.parametrize("keep_going", [True, False])
def test_a_failure_ends_a_sweep_or_not(tmp_path, capfd, keep_going):
    runs = [
        planned(tmp_path, "one", "--version"),
        planned(tmp_path, "two", "eval", "none.ckpt"),
        planned(tmp_path, "three", "--no-such-option"),
        planned(tmp_path, "four", "--version"),
    ]
    assert Jobs(runs, 1, keep_going, tmp_path).run() == 5
    _, err = capfd.readouterr()
    assert "[1/4] one\n" in err
    assert "done    one\n" in err
    assert "ended with code 5: two\n" in err
    assert ("ended with code 2: three\n" in err) == keep_going
    assert ("done    four\n" in err) == keep_going


@pytest.mark.slow
def test_what_several_jobs_say_is_kept_in_files(tmp_path, capfd):
    runs = [
        planned(tmp_path, "one", "--version", words=["trainer.accelerator=cpu"]),
        planned(tmp_path, "two", "eval", "none.ckpt"),
    ]
    assert Jobs(runs, 2, True, tmp_path).run() == 5
    out, err = capfd.readouterr()
    assert out == ""
    assert (tmp_path / "one.txt").read_text().startswith("vgbench")
    assert f"[1/2] one, output in {tmp_path / 'one.txt'}\n" in err
    error = "error: none.ckpt does not exist; give a .ckpt file or a run folder"
    assert f"ended with code 5: two\n  {error}\n" in err


def test_jobs_share_cores_and_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    on_cpu = planned(tmp_path, "one")
    on_gpu = planned(tmp_path, "two", words=["trainer.accelerator=auto", "trainer.devices=2"])
    assert environment(on_cpu, 1, 4)["OMP_NUM_THREADS"] == "4"
    assert environment(on_cpu, 1, 4)["CUDA_VISIBLE_DEVICES"] == "4,5,6"
    assert environment(on_gpu, 0, 4)["OMP_NUM_THREADS"] == "2"
    assert environment(on_gpu, 1, 4)["CUDA_VISIBLE_DEVICES"] == "4,5"
    assert environment(on_gpu, 0, 1)["CUDA_VISIBLE_DEVICES"] == "4,5,6"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert environment(on_cpu, 1, 4)["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize(
    ("gpus", "devices", "shares"),
    [
        ("0123", 1, ["0", "1", "2", "3", "0"]),
        ("0123", 2, ["01", "23", "01"]),
        ("012", 2, ["01", "01"]),
        ("0", 1, ["0", "0"]),
        ("01", 4, ["01", "01"]),
        ("", 1, ["", ""]),
    ],
)
def test_places_share_gpus(gpus, devices, shares):
    found = ["".join(share_of(list(gpus), slot, devices)) for slot in range(len(shares))]
    assert found == shares


# Whole sweeps.

SWEEP = [*STAGED, "dataset.resolution=32", "seed=0,1", "protocol.names=[hed16/demo]"]
SWEEP += ["dataset.frames=20", "dataset.videos=40"]


class Sweep:
    """A sweep of two runs with shared stages, in a folder of its own."""

    def __init__(self, path):
        self.path, self.folder = path, path / "runs" / "sweep"
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "VGBENCH_RUNS_DIR": str(path / "runs"),
            "VGBENCH_FEATURES_DIR": str(path / "features"),
        }

    def start(self, *words):
        command = [sys.executable, "-m", "vgbench", "--json", "run", "-m", *SWEEP, *words]
        command += ["--eval", "--run-dir", str(self.folder)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def until(self, pattern):
        """Returns once a file of that pattern is there."""
        deadline = time.monotonic() + 300
        while not list(self.path.glob(pattern)):
            assert time.monotonic() < deadline, pattern
            time.sleep(0.02)

    def training(self):
        """Returns the numbers of the processes that hold the folders of runs."""
        return [json.loads(file.read_text())["pid"] for file in self.folder.glob("*.lock")]

    def board(self):
        """Returns all rows without the day they were measured, which their hash covers too."""
        rows = [
            row
            for file in self.folder.glob("*/eval/*.json")
            for row in json.loads(file.read_text())["rows"]
        ]
        for row in rows:
            del row["date"], row["row_sha256"]
        return sorted(rows, key=lambda row: (row["seed_train"], row["clips_seen"]))


def ended(process, code):
    out, err = process.communicate(timeout=500)
    assert process.returncode == code, err
    return json.loads(out), err


@pytest.mark.slow
def test_a_sweep_that_was_stopped_and_killed_makes_the_same_board(tmp_path):
    whole, parts = Sweep(tmp_path / "whole"), Sweep(tmp_path / "parts")
    summary, _ = ended(whole.start(), 0)
    assert [run["point"] for run in summary["runs"]] == [
        f"stylevideogan-shapes-seed{seed}" for seed in (0, 1)
    ]
    assert {(run["state"], run["kclips"]) for run in summary["runs"]} == {("done", 0.008)}
    assert all(Path(run["checkpoint"]).is_file() for run in summary["runs"])

    process = parts.start("--jobs", "2")
    parts.until("runs/sweep/*/stages/01-image/checkpoints/last.ckpt")
    process.send_signal(signal.SIGTERM)
    summary, _ = ended(process, 75)
    assert {run["state"] for run in summary["runs"]} <= {"preempted", "new"}

    process = parts.start("--jobs", "2")
    parts.until("runs/sweep/*/stages/02-inversion/checkpoints/last.ckpt")
    process.kill()
    process.communicate()
    process = parts.start("--jobs", "2")  # while those of the killed one still train
    time.sleep(2)
    process.kill()
    process.communicate()
    for pid in parts.training():
        os.kill(pid, signal.SIGKILL)

    ended(parts.start("--jobs", "2"), 0)
    assert parts.board() == whole.board()
    assert len(parts.board()) == 4
    hashes = {row["checkpoint_sha256"] for row in parts.board()}
    assert len(hashes) == 4
    artefacts = [
        {path.name for path in (sweep.path / "runs/artefacts").glob("[!.]*")}
        for sweep in (whole, parts)
    ]
    assert artefacts[0] == artefacts[1]
    rows = {file: file.stat().st_mtime_ns for file in parts.folder.glob("*/eval/*.json")}
    summary, err = ended(parts.start(), 0)
    assert "2 runs in" in err
    assert "2 of them done" in err
    assert {file: file.stat().st_mtime_ns for file in rows} == rows
