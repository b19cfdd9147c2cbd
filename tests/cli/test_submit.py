"""Sweeps that a launcher starts: writing the job, handing it over, and what its tasks train."""

import json
import os

import pytest

from tests.launchers.scripts import program, task
from tests.training.conftest import NARROW
from vgbench.cli.main import main


def test_a_missing_sbatch_is_one_error(vgbench, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    words = ("run", *NARROW, "launcher=slurm", "--submit", "--run-dir", tmp_path / "sweep")
    code, _, err = vgbench(*words)
    assert (code, err) == (
        2,
        "error: 'sbatch' is not found on this machine; on one that has it, run\n"
        f"  sbatch {tmp_path}/sweep/job.sbatch\n",
    )


def test_a_job_is_handed_over(vgbench, tmp_path, monkeypatch):
    program(tmp_path / "bin" / "sbatch", 'echo "Submitted batch job 12: $1"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    words = ("run", *NARROW, "launcher=slurm", "--submit", "--run-dir", tmp_path / "sweep")
    code, out, _ = vgbench("--json", *words)
    job = tmp_path / "sweep" / "job.sbatch"
    assert code == 0
    assert json.loads(out) == {
        "job": str(job),
        "runs": [str(tmp_path / "sweep" / "g3an-shapes")],
        "submitted": f"Submitted batch job 12: {job}",
    }
    assert "trainer.accelerator=cpu" in job.read_text()  # said by the words, not by the launcher
    assert "trainer.devices=1" in job.read_text()


def job(path, *words):
    """Writes the job of a sweep of two small runs and returns the script."""
    sweep = [*NARROW, "budget.kclips=0.008", "seed=0,1", "launcher=slurm", "launcher.gpus=0"]
    with pytest.raises(SystemExit):
        main(["-q", "run", "-m", *sweep, *words, "--run-dir", str(path / "sweep")])
    return path / "sweep" / "job.sbatch"


def status(path):
    return json.loads((path / "status.json").read_text())


@pytest.mark.slow
def test_a_task_trains_its_run_and_a_second_one_finds_it_done(tmp_path):
    script = job(tmp_path, "launcher.cpus=1")
    assert task(script, 1).wait(300) == 0
    run = tmp_path / "sweep" / "g3an-shapes-seed1"
    assert status(run)["state"] == "done"
    assert not run.with_name("g3an-shapes-seed0").exists()
    last = (run / "checkpoints/last.ckpt").stat().st_mtime_ns
    assert task(script, 1).wait(300) == 0
    assert (run / "checkpoints/last.ckpt").stat().st_mtime_ns == last


@pytest.mark.slow
def test_the_machines_of_a_task_train_together(tmp_path):
    script = job(tmp_path, "launcher.cpus=1", "launcher.nodes=2")
    program(
        tmp_path / "bin" / "srun",
        "for n in 0 1; do\n"
        '  SLURM_PROCID=$n SLURM_NODEID=$n SLURM_LOCALID=0 "$@" &\n  all="$all $!"\ndone\n'
        "for one in $all; do wait $one || exit $?; done",
    )
    assert task(script, 0, SLURM_JOB_NODELIST="two").wait(300) == 0
    run = tmp_path / "sweep" / "g3an-shapes-seed0"
    assert (status(run)["state"], status(run)["clips_seen"]) == ("done", 8)
    assert "nodes: 2" in (run / "config.yaml").read_text()
