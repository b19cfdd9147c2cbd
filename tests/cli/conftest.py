"""Running the command line as users do, in this process or in a new one."""

import os
import subprocess
import sys

import pytest

from vgbench.cli.main import main


@pytest.fixture
def vgbench(capsys, tmp_path, monkeypatch):
    """Returns a function from words to (exit code, stdout, stderr)."""
    monkeypatch.setenv("VGBENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("VGBENCH_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("VGBENCH_FEATURES_DIR", str(tmp_path / "features"))
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words):
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return stop.value.code, printed.out, printed.err

    return call


@pytest.fixture
def vgbench_process():
    """Returns a function that runs vgbench in a process of its own."""

    def call(*words, timeout=300):
        command = [sys.executable, "-m", "vgbench", *map(str, words)]
        settings = {"OMP_NUM_THREADS": "1", "VGBENCH_FEATURES_DIR": "none"}
        environment = {**os.environ, **settings}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment
        )

    return call
