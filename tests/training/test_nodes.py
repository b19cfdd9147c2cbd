"""Several machines, started by torchrun, and runs that go on with another number of processes."""

import os
import subprocess
import sys

import pytest

from tests.training.processes import CASES, COMMON, train
from tests.training.test_distributed import assert_equal_states, free_port
from vgbench.config.compose import compose
from vgbench.models.checkpoint import read_checkpoint
from vgbench.training.run_folder import RunFolder

WHOLE = "budget.kclips=0.016"


def on_two_machines(*words):
    """Runs `vgbench` by torchrun on two machines with a process each, both of which are this."""
    port = free_port()
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "torch.distributed.run"),
                *("--nnodes=2", f"--node-rank={rank}", "--nproc-per-node=1"),
                *("--master-addr=127.0.0.1", f"--master-port={port}"),
                *("-m", "vgbench", *map(str, words)),
            ],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    texts = [process.communicate(timeout=300)[0] for process in processes]
    return [process.returncode for process in processes], texts


@pytest.mark.slow
def test_a_run_goes_on_with_any_number_of_processes(tmp_path):
    path = tmp_path / "run"
    train("g3an", path, 1)
    words = ["budget.kclips=0.012", "--resume", path]
    codes, texts = on_two_machines("run", *words)
    assert codes == [0, 0], texts
    assert "device   cpu" in texts[0]
    assert "device" not in texts[1], "only the first process speaks"
    assert RunFolder(path).config().trainer.processes == 2
    train("g3an", path, 1, words=[WHOLE], resume=True)

    train("g3an", tmp_path / "whole", 1, words=[WHOLE])
    parts, whole = (read_checkpoint(RunFolder(p).last) for p in (path, tmp_path / "whole"))
    # The same clips and latents at every step: what is left is the order of sums.
    assert parts["vgbench"] == whole["vgbench"]
    assert_equal_states(whole["state_dict"], parts["state_dict"], 1e-9)


@pytest.mark.slow
def test_machines_that_go_on_agree_on_a_refusal(tmp_path):
    words = [*COMMON, *CASES["g3an"]]
    path = tmp_path / "run"
    RunFolder(path).start(compose(words, tmp_path / "data"), words)
    again = ("run", "--continue", "--run-dir", path, *words, "model.channels=3")
    codes, texts = on_two_machines(*again)
    assert codes == [1, 1]  # torchrun's own
    for text in texts:
        assert f"{path} was begun with other options:\n  model.channels: 2 -> 3\n" in text
