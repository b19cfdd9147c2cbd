"""Worker processes that can be killed: a hang inside FFmpeg cannot be interrupted from Python."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from vgbench.data.decode import RefusedError

P = ParamSpec("P")
T = TypeVar("T")
_AHEAD = 4  # tasks per worker that may be finished before their turn


class Worker(AbstractContextManager["Worker"]):
    """Runs functions one at a time in a process of its own; replaces it after a kill or a crash.

    The process is spawned, never forked: forking after torch or av has been used can deadlock.
    It imports what the functions need and nothing else, so no torch.
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._limit_s, self.deadline = 0.0, 0.0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(patience_s=0.5 if error is None else 0.0)

    def call(
        self, limit_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns `function(*args, **kwargs)`, run in the process; raises what it raises.

        Args:
            limit_s: Wall-clock limit in seconds.
            function: A function at the top of a module.
            args: Its arguments; they and the result are pickled.
            kwargs: Its keyword arguments.

        Raises:
            RefusedError: With reason `timeout` or `crashed`; the process is replaced.
        """
        self.start(limit_s, function, *args, **kwargs)
        return self.result()  # type: ignore[no-any-return]

    def start(
        self, limit_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Connection:
        """Starts a call and returns what becomes readable when it has ended."""
        if self._pipe is None:
            self._pipe, theirs = self._context.Pipe()
            self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
        self._limit_s, self.deadline = limit_s, time.monotonic() + limit_s
        self._pipe.send((function, args, kwargs))
        return self._pipe

    def result(self) -> Any:
        """Waits for the call that was started and returns what it returned; raises as `call`."""
        assert self._pipe is not None
        try:
            if not self._pipe.poll(max(0.0, self.deadline - time.monotonic())):
                self.stop()
                raise RefusedError("timeout", f"decoding took longer than {self._limit_s:.0f} s")
            result, error = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            code = self.stop()
            raise RefusedError("crashed", f"the decoder crashed (exit code {code})") from None
        if error is not None:
            raise error
        return result

    def stop(self, patience_s: float = 0.5) -> int | None:
        """Ends the process, if there is one, and returns its exit code.

        Args:
            patience_s: How long it may take to end by itself, as an idle one does at once.
        """
        if self._process is None or self._pipe is None:
            return None
        self._pipe.close()
        self._process.join(timeout=patience_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        code = self._process.exitcode
        self._process = self._pipe = None
        return code


@dataclass(frozen=True)
class Task:
    """One call of a function, with a wall-clock limit in seconds."""

    limit_s: float
    function: Callable[..., Any]
    args: tuple[Any, ...]


class Pool(AbstractContextManager["Pool"]):
    """Several workers, whose results come in the order of the tasks.

    Args:
        workers: Number of processes; they start when they are needed.
    """

    def __init__(self, workers: int) -> None:
        self._workers = [Worker() for _ in range(workers)]

    def __exit__(self, *reason: Any) -> None:
        for worker in self._workers:
            worker.__exit__(*reason)

    def ordered(self, tasks: Iterable[Task]) -> Generator[Any, None, None]:
        """Yields what each task returned, or the `RefusedError` it raised, in order.

        A task whose process dies is tried once more, since it may have been killed from outside.
        Closing the iterator stops what is running.

        Raises:
            Exception: Whatever else a task raises.
        """
        waiting = enumerate(tasks)
        idle, turn = list(self._workers), 0
        busy: dict[Connection, tuple[int, Task, Worker]] = {}
        done: dict[int, Any] = {}
        try:
            while True:
                while idle and len(done) < _AHEAD * len(self._workers):
                    number, task = next(waiting, (None, None))
                    if number is None or task is None:
                        break
                    worker = idle.pop()
                    pipe = worker.start(task.limit_s, task.function, *task.args)
                    busy[pipe] = number, task, worker
                if turn in done:
                    yield done.pop(turn)
                    turn += 1
                elif not busy:
                    return
                else:
                    for number, outcome, worker in _collect(busy):
                        done[number] = outcome
                        idle.append(worker)
        finally:
            for _, _, worker in busy.values():
                worker.stop(patience_s=0.0)


def _collect(
    busy: dict[Connection, tuple[int, Task, Worker]],
) -> Iterator[tuple[int, Any, Worker]]:
    """Waits for any call to end or to exceed its limit, and yields every one that did."""
    soonest = min(worker.deadline for _, _, worker in busy.values())
    ready = set(wait(list(busy), timeout=max(0.0, soonest - time.monotonic())))
    for pipe, (number, task, worker) in list(busy.items()):
        if pipe in ready or worker.deadline <= time.monotonic():
            del busy[pipe]
            yield number, _outcome(worker, task), worker


def _outcome(worker: Worker, task: Task) -> Any:
    try:
        return worker.result()
    except RefusedError as refusal:
        if refusal.reason != "crashed":
            return refusal
    try:
        return worker.call(task.limit_s, task.function, *task.args)
    except RefusedError as refusal:
        return refusal


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent decides
    try:
        while True:
            function, args, kwargs = pipe.recv()
            try:
                result = function(*args, **kwargs)
            except Exception as error:  # everything is passed on and raised by the caller
                pipe.send((None, error))
            else:
                pipe.send((result, None))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
