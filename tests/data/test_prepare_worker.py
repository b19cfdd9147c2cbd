import os
import pickle
import signal
import time
from pathlib import Path

import pytest

from vgbench.data.decode import RefusedError
from vgbench.data.prepare.worker import Pool, Task, Worker


def pause(seconds, value):
    time.sleep(seconds)
    return value


def die_once(marker):
    """Ends the process the first time it is called."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second try"


@pytest.fixture(scope="module")
def worker():
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def pool():
    with Pool(3) as pool:
        yield pool


def test_returns_and_raises(worker):
    assert worker.call(30.0, max, 3, 4) == 4
    with pytest.raises(ZeroDivisionError):
        worker.call(30.0, divmod, 1, 0)
    first = worker.call(30.0, os.getpid)
    assert first == worker.call(30.0, os.getpid) != os.getpid()


def test_a_hang_is_killed_and_replaced(worker):
    worker.call(30.0, os.getpid)
    with pytest.raises(RefusedError, match="decoding took longer than 0 s") as error:
        worker.call(0.2, time.sleep, 60)
    assert error.value.reason == "timeout"
    assert worker.call(30.0, max, 1, 2) == 2


def test_a_crash_is_a_refusal(worker):
    with pytest.raises(RefusedError, match=r"the decoder crashed \(exit code 3\)") as error:
        worker.call(30.0, os._exit, 3)
    assert error.value.reason == "crashed"
    assert worker.call(30.0, max, 1, 2) == 2


def test_refusals_survive_the_pipe():
    error = RefusedError("truncated", "ends early", 3, "a.mp4")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.reason, copy.frames) == ("refused a.mp4: ends early", "truncated", 3)


def test_results_come_in_order_and_at_once(pool):
    waits = [0.4, 0.0, 0.2, 0.0, 0.1]
    tasks = [Task(30.0, pause, (wait, number)) for number, wait in enumerate(waits)]
    assert list(pool.ordered(tasks)) == [0, 1, 2, 3, 4]
    start = time.perf_counter()
    list(pool.ordered([Task(30.0, pause, (0.7, n)) for n in range(3)]))
    assert time.perf_counter() - start < 2.0  # one after the other: 2.1


def test_tasks_are_not_taken_far_ahead_of_a_slow_one(pool):
    taken = []

    def tasks():
        for number in range(100):
            taken.append(number)
            yield Task(30.0, pause, (0.3 if number == 0 else 0.0, number))

    results = pool.ordered(tasks())
    assert next(results) == 0
    assert len(taken) < 20
    assert list(results) == list(range(1, 100))


def test_one_bad_task_does_not_touch_the_others(pool, tmp_path):
    tasks = [
        Task(30.0, pause, (0.0, "a")),
        Task(0.3, pause, (60.0, "hang")),
        Task(30.0, os._exit, (3,)),
        Task(30.0, die_once, (str(tmp_path / "marker"),)),
        Task(30.0, pause, (0.0, "b")),
    ]
    results = list(pool.ordered(tasks))
    assert [r.reason if isinstance(r, RefusedError) else r for r in results] == [
        "a",
        "timeout",
        "crashed",
        "second try",
        "b",
    ]


def test_other_errors_are_raised(pool):
    with pytest.raises(ZeroDivisionError):
        list(pool.ordered([Task(30.0, divmod, (1, 0))]))
