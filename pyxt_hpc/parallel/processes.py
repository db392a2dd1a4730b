"""Processes of this machine that hold what their master held when they were forked."""

import ctypes
import multiprocessing.context
import multiprocessing.process
import os
import pickle
import signal
import sys
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from typing import Any

from pyxt_hpc.parallel.signals import leave_signals_to_master


class SandboxDied(Exception):
    """The process that was to protect this one from a call is dead."""


class _Forks(multiprocessing.context.ForkContext):
    """Makes processes and remembers them: the caller may have others that are none of our business."""

    def __init__(self) -> None:
        super().__init__()
        self.children: list[multiprocessing.process.BaseProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> multiprocessing.process.BaseProcess:  # type: ignore[override]
        child = multiprocessing.context.ForkProcess(*args, **kwargs)
        self.children.append(child)
        return child


class ForkedExecutor(Executor):
    """A `ProcessPoolExecutor` that replaces its processes when one of them died.

    Calls that were submitted before raise `BrokenExecutor`; calls submitted afterwards are computed.

    Parameters
    ----------
    n_workers
        Number of processes.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._executor = self._start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Hand over one call."""
        try:
            return self._executor.submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self.kill()
            self._executor = self._start()
            return self._executor.submit(fn, *args, **kwargs)

    def kill(self) -> None:
        """End the processes, whatever they do; shutting down alone could wait for ever.

        An executor with a dead worker ends the others by SIGTERM, which they leave to the master.
        """
        for child in self._context.children:
            if child.pid is not None:  # else it could not be forked
                child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes when they have computed what was submitted."""
        self._executor.shutdown(wait=wait, cancel_futures=cancel_futures)

    def _start(self) -> ProcessPoolExecutor:
        self._context = _Forks()
        return ProcessPoolExecutor(
            self._n_workers,
            # Forked children inherit the context: nothing is copied or pickled.
            self._context,
            initializer=_begin_child,
            initargs=(os.getpid(),),
        )


def in_sandbox(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a forked child of this process, so that its death is survived and noticed.

    Returns
    -------
    Any
        What it returns, which must be picklable.

    Raises
    ------
    SandboxDied
        If the child ended without an answer; the message says by which signal.
    Exception
        What the function raised.
    """
    parent = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            _begin_child(parent)
            try:
                answer = False, function(*args)
            except Exception as error:
                answer = True, error
            with os.fdopen(writer, "wb") as file:
                pickle.dump(answer, file, 5)
            code = 0
        finally:
            # Nothing that the parent registered for its own end may run here.
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise SandboxDied(signal.Signals(-code).name if code < 0 else f"exit code {code}")
    failed, value = pickle.loads(data)
    if failed:
        raise value
    return value


def _begin_child(parent: int) -> None:
    """Begin a forked process, which must end with its parent even if that is killed."""
    leave_signals_to_master()
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
