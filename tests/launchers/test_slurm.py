"""The Slurm job: what it asks for, which run a task makes, and how it ends."""

import signal
import subprocess
import time

import pytest

from tests.launchers.scripts import program, task
from vgbench.launchers.base import Task, Work
from vgbench.launchers.slurm import SlurmLauncher

# Words that a shell would take apart.
AWKWARD = ("run", "model.x='a b'", 'model.y="$HOME;`date`"', "model.z=[1,2]", "*")


def written(path, launcher=None, **changes):
    """Returns the script of two runs whose interpreter writes down what it is given."""
    folder = path / "my sweep"
    folder.mkdir(exist_ok=True)
    python = program(path / "bin" / "python", 'printf "%s\\n" "$@" > given.txt; exit ${CODE:-0}')
    work = {
        "folder": folder,
        "tasks": [Task("one", ("run", "seed=0")), Task("two", AWKWARD)],
        "at_once": None,
        "python": python,
        "directory": path,
        "variables": {"VGBENCH_DATA_DIR": "/data/of mine"},
    }
    return (launcher or SlurmLauncher()).write(Work(**{**work, **changes}))


def directives(script):
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH --")]
    return dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines)


def test_the_script_asks_for_the_resources(tmp_path):
    launcher = SlurmLauncher(gpus=2, cpus=6, mem="64G", time="1-00:00:00", partition="long")
    script = written(tmp_path, launcher, at_once=4)
    assert directives(script) == {
        "job-name": "'my sweep'",
        "array": "0-1%4",
        "output": f"'{script.parent}'/slurm-%A_%a.txt",
        "open-mode": "append",
        "requeue": "",
        "signal": "B:TERM@180",
        "nodes": "1",
        "ntasks-per-node": "2",
        "cpus-per-task": "6",
        "gpus-per-node": "2",
        "mem": "64G",
        "time": "1-00:00:00",
        "partition": "long",
    }
    assert "srun" not in script.read_text()
    assert launcher.overrides()["trainer.devices"] == "2"
    assert launcher.command(script) == ["sbatch", str(script)]


def test_without_gpus_none_are_asked_for(tmp_path):
    launcher = SlurmLauncher(gpus=0)
    assert "gpus-per-node" not in directives(written(tmp_path, launcher))
    assert directives(written(tmp_path, launcher))["array"] == "0-1"
    assert launcher.overrides()["trainer.accelerator"] == "cpu"


@pytest.mark.parametrize("nodes", [1, 2])
def test_it_is_a_script(tmp_path, nodes):
    script = written(tmp_path, SlurmLauncher(nodes=nodes, setup="module load 'a b'"))
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_task_is_a_run(tmp_path):
    script = written(tmp_path, SlurmLauncher(setup='echo "$VGBENCH_DATA_DIR" > setup.txt'))
    for number, words in enumerate([("run", "seed=0"), AWKWARD]):
        assert task(script, number).wait(30) == 0
        assert (tmp_path / "given.txt").read_text().splitlines() == ["-m", "vgbench", *words]
    assert (tmp_path / "setup.txt").read_text() == "/data/of mine\n"
    assert task(script, 2).wait(30) == 2
    assert not (tmp_path / "bin" / "requeued.txt").exists()


@pytest.mark.parametrize(("code", "requeued"), [(75, "requeue 77_1\n"), (6, None)])
def test_only_a_run_with_its_state_saved_is_queued_again(tmp_path, code, requeued):
    script = written(tmp_path)
    assert task(script, 1, CODE=str(code)).wait(30) == code
    file = tmp_path / "bin" / "requeued.txt"
    assert (file.read_text() if file.exists() else None) == requeued


def test_a_signal_is_passed_on_and_waited_for(tmp_path):
    script = written(tmp_path)
    program(
        tmp_path / "bin" / "python",
        "trap 'sleep 0.3; touch saved; exit 75' TERM\ntouch ready\n"
        "for _ in $(seq 200); do sleep 0.1; done",
    )
    process = task(script, 0)
    while not (tmp_path / "ready").exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 75
    assert (tmp_path / "saved").exists()
    assert (tmp_path / "bin" / "requeued.txt").read_text() == "requeue 77_0\n"
