"""A sandbox affects nothing outside, and only its answer comes back."""

import faulthandler
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.parallel.pools.sandbox import SandboxDied, in_sandbox


def test_answer_comes_back() -> None:
    here = os.getpid()
    pid, array = in_sandbox(lambda n: (os.getpid(), np.arange(n)), 100_000)
    assert pid != here
    np.testing.assert_array_equal(array, np.arange(100_000))


def test_exception_comes_back() -> None:
    with pytest.raises(ZeroDivisionError):
        in_sandbox(lambda: 1 / 0)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_death_is_noticed_and_named(number: signal.Signals) -> None:
    def die() -> None:
        faulthandler.disable()  # pytest's would print where
        os.kill(os.getpid(), number)

    with pytest.raises(SandboxDied, match=number.name):
        in_sandbox(die)


def test_silent_exit_is_a_death() -> None:
    with pytest.raises(SandboxDied, match="exit code 3"):
        in_sandbox(os._exit, 3)


def test_signals_for_the_master_do_not_count() -> None:
    assert in_sandbox(lambda: (os.kill(os.getpid(), signal.SIGTERM), 5)[1]) == 5


def test_sandbox_ends_with_its_parent(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def inner() -> None:
        note.write_text(str(os.getpid()))
        time.sleep(30)

    def outer() -> None:
        child = os.fork()
        if child == 0:
            in_sandbox(inner)
        while not note.exists() or not note.read_text():
            time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    in_sandbox(outer)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{note.read_text()}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{note.read_text()}").exists()
