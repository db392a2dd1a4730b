"""A call in a forked child process, whose death does not end this process."""

import ctypes
import os
import pickle
import signal
import sys
from collections.abc import Callable
from typing import Any

from pyxt_hpc.parallel.signals import ignore_stop_signals


class SandboxDied(Exception):
    """The child process that ran a call has died."""


def in_sandbox(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a forked child process; its value must be picklable.

    Raises what the function raised; SandboxDied, with the name of the signal, if the child ended without an
    answer.
    """
    parent = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            begin_child(parent)
            try:
                answer = False, function(*args)
            except Exception as error:
                answer = True, error
            with os.fdopen(writer, "wb") as file:
                pickle.dump(answer, file, 5)
            code = 0
        finally:
            # Without the exit handlers that the parent registered.
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise SandboxDied(cause_of_death(code))
    failed, value = pickle.loads(data)
    if failed:
        raise value
    return value


def cause_of_death(exit_code: int) -> str:
    """Name of the signal that ended a process, or its exit code."""
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"


def begin_child(parent: int) -> None:
    """Prepare a forked process: it ignores stop signals, and the kernel kills it when its parent dies."""
    ignore_stop_signals()
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
