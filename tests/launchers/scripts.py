"""Programs that stand for those of a cluster, and tasks started as Slurm starts them."""

import os
import subprocess


def program(path, text):
    """Writes a program and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


def task(script, number, **variables):
    """Starts an array task of a script as Slurm does."""
    bin_ = script.parent.parent / "bin"
    answer = f'[ "$1" = show ] && echo 127.0.0.1 || echo "$@" >> {bin_}/requeued.txt'
    program(bin_ / "scontrol", answer)
    known = {
        "SLURM_ARRAY_TASK_ID": str(number),
        "SLURM_ARRAY_JOB_ID": "77",
        "SLURM_JOB_ID": str(os.getpid()),
    }
    path = f"{bin_}:{os.environ['PATH']}"
    environment = {**os.environ, **known, "PATH": path, **variables}
    return subprocess.Popen(["bash", str(script)], env=environment)
