"""Processes for the runs of a sweep, some at a time; they end together and leave nothing behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING

import click

from vgbench.cli import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vgbench.cli.sweep import PlannedRun

_POLL_S = 0.1
_FORWARDED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


@dataclass
class _Job:
    """A run that is being trained.

    Attributes:
        run: The run.
        process: Its process, the leader of a group of its own.
        slot: Number of its place among those that train at once.
    """

    run: "PlannedRun"
    process: subprocess.Popen[bytes]
    slot: int


class Jobs:
    """Runs that are trained, each by a process.

    One at a time writes to the terminal; of several, each writes to a file beside its folder.

    Args:
        runs: What is trained, in this order.
        at_once: Processes at a time.
        keep_going: Whether the others are trained after one failed; otherwise those that are being
            trained save their state and stop.
        folder: Of the sweep.
    """

    def __init__(
        self, runs: "Sequence[PlannedRun]", at_once: int, keep_going: bool, folder: Path
    ) -> None:
        self.waiting = list(runs)
        self.count = len(runs)
        self.at_once = min(at_once, max(1, len(runs)))
        self.keep_going = keep_going
        self.folder = folder
        self.running: list[_Job] = []
        self.received: signal.Signals | None = None
        self.code = 0

    def run(self) -> int:
        """Returns the exit code of the first run that failed, or 0.

        After Ctrl-C it is 130, after another signal 75: the same command goes on.
        """
        previous = {number: signal.signal(number, self._receive) for number in _FORWARDED}
        try:
            while self.waiting or self.running:
                self._start_what_fits()
                self._take_in_what_ended()
                time.sleep(_POLL_S)
        finally:
            for job in self.running:
                job.process.kill()
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self.received is not None:
            return 130 if self.received == signal.SIGINT else 75
        return self.code

    def _receive(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._stop(number)

    def _stop(self, number: int) -> None:
        """Starts no more runs, and passes a signal on to those that are being trained."""
        self.waiting.clear()
        for job in self.running:
            if job.process.poll() is None:
                job.process.send_signal(number)

    def _start_what_fits(self) -> None:
        while self.waiting and len(self.running) < self.at_once:
            slot = min(set(range(self.at_once)) - {job.slot for job in self.running})
            run = self.waiting.pop(0)
            number = self.count - len(self.waiting)
            with ExitStack() as opened:
                output = self._output(run, opened)
                where = f", output in {self._file(run)}" if self.at_once > 1 else ""
                self._tell(f"[{number}/{self.count}] {run.point.name}{where}")
                process = subprocess.Popen(
                    [sys.executable, "-m", "vgbench", *run.command],
                    env=environment(run, slot, self.at_once),
                    stdout=output,
                    stderr=output if self.at_once > 1 else None,
                    # A group of its own, so that Ctrl-C arrives once, through `_receive`.
                    process_group=0,
                )
            self.running.append(_Job(run, process, slot))
            if self.received is not None:  # it came while the process was started
                process.send_signal(self.received)

    def _output(self, run: "PlannedRun", opened: ExitStack) -> "IO[bytes] | int | None":
        if self.at_once > 1:
            self._file(run).parent.mkdir(parents=True, exist_ok=True)
            return opened.enter_context(self._file(run).open("ab"))
        return sys.stderr.fileno() if common.option("as_json") else None

    def _file(self, run: "PlannedRun") -> Path:
        return self.folder / f"{run.point.name}.txt"

    def _take_in_what_ended(self) -> None:
        ended = [job for job in self.running if job.process.poll() is not None]
        self.running = [job for job in self.running if job not in ended]
        for job in ended:
            code = job.process.returncode
            code = code if code >= 0 else 128 - code
            if code == 0:
                self._tell(f"done    {job.run.point.name}")
                continue
            self._tell(f"ended with code {code}: {job.run.point.name}{self._last_words(job.run)}")
            self.code = self.code or code
            if not self.keep_going and self.received is None:
                self._stop(signal.SIGTERM)

    def _last_words(self, run: "PlannedRun") -> str:
        """Returns the last lines of what a run wrote to its file."""
        if self.at_once == 1:
            return ""
        lines = self._file(run).read_text(encoding="utf-8", errors="replace").splitlines()
        return "".join(f"\n  {line}" for line in lines[-5:])

    def _tell(self, line: str) -> None:
        if not common.option("quiet"):
            click.echo(line, err=True)


def environment(run: "PlannedRun", slot: int, at_once: int) -> dict[str, str]:
    """Returns the variables of a run's process: its share of cores and of GPUs.

    Args:
        run: The run.
        slot: Number of its place among those that train at once.
        at_once: How many those are.
    """
    # Without a limit each process would take all cores.
    devices = run.config.trainer.devices
    threads = max(1, (os.cpu_count() or 1) // (at_once * devices))
    variables = {"OMP_NUM_THREADS": str(threads), **os.environ}
    if at_once > 1 and run.config.trainer.accelerator != "cpu":
        given = os.environ.get("CUDA_VISIBLE_DEVICES")
        gpus = _gpus() if given is None else given.split(",")
        variables |= {"CUDA_VISIBLE_DEVICES": ",".join(share_of(gpus, slot, devices))}
    return variables


def share_of(gpus: "Sequence[str]", slot: int, devices: int) -> list[str]:
    """Returns the GPUs of one of the places; places beyond the last GPU share the first ones.

    Args:
        gpus: All that there are.
        slot: Number of the place.
        devices: GPUs of each place.
    """
    if devices >= len(gpus):
        return list(gpus)
    places = len(gpus) // devices
    first = (slot % places) * devices
    return list(gpus[first : first + devices])


def _gpus() -> list[str]:
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
