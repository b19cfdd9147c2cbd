"""Starting the processes of a run that trains on several devices of this machine."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import IO, Any

import click

# Seconds that the others have to end by themselves after one ended with an error.
_GRACE_S = 60.0
_POLL_S = 0.1
_FORWARDED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


def launch(count: int, run_dir: Path) -> int:
    """Runs this command once more in `count` processes that know each other; returns a code.

    The code is that of the first process that ended with an error, or 0. Signals reach all
    processes. What the first one writes is shown; of the others only what they say when one of
    them ends with an error before the first does.

    Args:
        count: Number of processes.
        run_dir: Folder of the run, which all share.
    """
    group = _Group(count, run_dir)
    previous = {number: signal.signal(number, group.forward) for number in _FORWARDED}
    try:
        return group.wait()
    finally:
        group.end()
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Group:
    """The processes of one run."""

    def __init__(self, count: int, run_dir: Path) -> None:
        shared = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(_free_port()),
            "VGBENCH_RUN_DIR": str(run_dir),
        }
        # Without a limit each process would take all cores.
        threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count))}
        self.words: list[IO[bytes] | None] = [
            tempfile.TemporaryFile() if rank else None  # noqa: SIM115 closed in `end`
            for rank in range(count)
        ]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "vgbench", *sys.argv[1:]],
                env={**threads, **os.environ, **shared, "LOCAL_RANK": str(rank)},
                stdout=words,
                stderr=words,
                # A group of its own, so that Ctrl-C arrives once, through `forward`.
                process_group=0,
            )
            for rank, words in enumerate(self.words)
        ]

    def forward(self, number: int, _: FrameType | None) -> None:
        """Passes a signal on to every process."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def wait(self) -> int:
        """Returns the code of the first process that fails, or 0 when all are done."""
        while True:
            codes = [process.poll() for process in self.processes]
            failed = [rank for rank, code in enumerate(codes) if code]
            if failed:
                self._wait_for_rest()
                return self._report(failed[0])
            if None not in codes:
                return 0
            time.sleep(_POLL_S)

    def _wait_for_rest(self) -> None:
        deadline = time.monotonic() + _GRACE_S
        for process in self.processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _report(self, rank: int) -> int:
        """Shows what a process other than the first said; returns its code."""
        words, code = self.words[rank], self.processes[rank].returncode
        if words is not None and code != self.processes[0].returncode:
            words.seek(0)
            click.echo(f"process {rank} failed first:\n{words.read().decode().strip()}", err=True)
        return code if code > 0 else 128 - code

    def end(self) -> None:
        """Leaves nothing behind."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
        for words in self.words:
            if words is not None:
                words.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: Any = probe.getsockname()[1]
    return int(port)
