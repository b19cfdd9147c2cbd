"""The lock of a folder: held by one, waited for or refused by others, never left by the dead."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from vgbench.locks import exclusive


class BusyError(Exception):
    pass


def refuse(owner):
    raise BusyError(owner)


def test_a_second_holder_is_told_who_holds_it(tmp_path):
    target = tmp_path / "made"
    with (
        exclusive(target, print, refuse),
        pytest.raises(BusyError, match=f"^process {os.getpid()} on {socket.gethostname()}$"),
        exclusive(target, print, refuse),
    ):
        pass
    assert not (tmp_path / "made.lock").exists()


def test_waiting_ends_with_the_lock(tmp_path):
    target = tmp_path / "made"
    held = exclusive(target, print, refuse)
    held.__enter__()
    waits = []

    def wait(owner):
        waits.append(owner)
        if len(waits) == 3:
            held.__exit__(None, None, None)

    with exclusive(target, print, wait):
        assert len(waits) == 3
        with pytest.raises(BusyError), exclusive(target, print, refuse):
            pass


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    code = (
        "import os, sys, pathlib\n"
        "from vgbench.locks import exclusive\n"
        "with exclusive(pathlib.Path(sys.argv[1]), print, print):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "made"
    process = subprocess.Popen([sys.executable, "-c", code, str(target)])
    assert process.wait() == -signal.SIGKILL
    told = []
    with exclusive(target, told.append, refuse):
        pass
    dead = f"process {process.pid} on {socket.gethostname()}"
    assert told == [f"taking over {tmp_path / 'made.lock'}: {dead} is gone"]
    with exclusive(target, told.append, refuse):
        assert len(told) == 1
