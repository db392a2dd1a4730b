"""One pool of workers, whether they are MPI ranks, processes or this very process."""

import ctypes
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.parallel.shared import share_arrays
from pyxt_hpc.parallel.world import World

Prepare = Callable[[Any, dict[str, np.ndarray]], Any]
Task = Callable[[Any, Any], Any]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""They end a run early without loss; job schedulers send one before the time limit."""

_context: Any = None
"""What `prepare` made in this process."""


@dataclass(frozen=True)
class Payload:
    """What every worker needs: small picklable values and arrays to be shared."""

    meta: Any
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Pool:
    """Workers that hold the context and wait for chunks."""

    executor: Executor
    n_workers: int

    def submit(self, task: Task, chunk: Any) -> "Future[tuple[float, Any]]":
        """Hand out one chunk; the result is (seconds taken, what the task returned)."""
        return self.executor.submit(_timed, task, chunk)


class TaskError(Exception):
    """What went wrong in a worker, with its place, in a form that every pickle carries."""


def _timed(task: Task, chunk: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    try:
        result = task(_context, chunk)
    except Exception as error:
        place = f"process {os.getpid()} on {socket.gethostname()}"
        raise TaskError(f"{place}: {type(error).__name__}: {error}") from error
    return time.perf_counter() - start, result


@contextmanager
def open_pool(
    world: World, n_workers: int, prepare: Prepare, payload: Payload | None
) -> Iterator[Pool | None]:
    """Open the workers; on MPI ranks that are workers, serve until the master is done, then give None.

    Parameters
    ----------
    world
        Several ranks: the master hands out work to all others.
    n_workers
        Processes to use where there is one rank; 1 computes in this process.
    prepare
        Module-level function (meta, arrays) -> context, called once in every process.
    payload
        On the master; None on other ranks.

    Raises
    ------
    LaunchError
        If there is one rank too few.
    """
    global _context
    if world.comm is not None:
        from mpi4py.futures import MPICommExecutor

        if not world.is_master:
            _leave_signals_to_master()
        meta = world.comm.bcast(payload.meta if payload else None, root=0)
        arrays = share_arrays(world.comm, payload.arrays if payload else None)
        _context = prepare(meta, arrays)
        with MPICommExecutor(world.comm, root=0) as executor:
            yield None if executor is None else Pool(cast(Executor, executor), world.size - 1)
        return
    if payload is None:
        raise LaunchError("the master has nothing to share")
    _context = prepare(payload.meta, {name: _read_only(array) for name, array in payload.arrays.items()})
    if n_workers <= 1:
        yield Pool(_SerialExecutor(), 1)
        return
    # Forked children inherit the context: nothing is copied or pickled.
    with ProcessPoolExecutor(
        n_workers, multiprocessing.get_context("fork"), initializer=_start_worker, initargs=(os.getpid(),)
    ) as executor:
        try:
            yield Pool(executor, n_workers)
        except BaseException:
            # An executor with a dead worker ends the others by SIGTERM, which they leave to the master,
            # and would wait for them for ever.
            for child in multiprocessing.active_children():
                child.kill()
            raise


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _start_worker(master: int) -> None:
    """Begin a forked worker, which must end with its master even if that is killed."""
    _leave_signals_to_master()
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
        if os.getppid() != master:
            os._exit(1)


def _leave_signals_to_master() -> None:
    """Launchers and terminals signal every process; only the master may stop the work."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _SerialExecutor(Executor):
    """Computes on submission."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
