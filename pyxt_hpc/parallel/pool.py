"""One pool of workers, whether they are MPI ranks, processes or this very process."""

import contextlib
import functools
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxt_hpc.errors import EXIT_INPUT, EXIT_TRY_AGAIN, LaunchError, WorkerFailed
from pyxt_hpc.parallel.processes import ForkedExecutor, SandboxDied, in_sandbox
from pyxt_hpc.parallel.ranks import RankExecutor, serve
from pyxt_hpc.parallel.shared import share_arrays
from pyxt_hpc.parallel.signals import leave_signals_to_master
from pyxt_hpc.parallel.world import World, all_know

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger(__name__)

Prepare = Callable[[Any, dict[str, np.ndarray]], Any]
Task = Callable[[Any, np.ndarray], Any]

_context: Any = None
"""What `prepare` made in this process."""


@dataclass(frozen=True)
class Payload:
    """What every worker needs: small picklable values, and arrays to be shared."""

    meta: Any
    arrays: dict[str, np.ndarray]


class Pool:
    """Workers that hold the context and wait for chunks.

    Parameters
    ----------
    executor
        Who computes.
    n_workers
        How many chunks are computed at the same time.
    """

    def __init__(self, executor: Executor, n_workers: int) -> None:
        self.n_workers = n_workers
        self._executor = executor
        self._flying: set[Future[Any]] = set()

    def submit(
        self, task: Task, chunk: np.ndarray, *, sandboxed: bool = False, halting: bool = False
    ) -> "Future[tuple[float, Any]]":
        """Hand out one chunk.

        Parameters
        ----------
        task
            Module-level function (context, chunk) -> result, also for empty chunks.
        chunk
            (n,) integers.
        sandboxed
            Compute it in a child of the worker, which may die.
        halting
            Compute the first item by itself, and take the time of the others.

        Returns
        -------
        Future
            Of (seconds taken, what the task returned); of one that halts, (seconds that all would have taken
            at the speed of the others, results of the first and of the others). It raises `TaskError` if the
            task raised, `SandboxDied` if the child died, `BrokenExecutor` if a worker died.
        """
        future = self._executor.submit(_halting if halting else _timed, task, _compact(chunk), sandboxed)
        if not isinstance(self._executor, RankExecutor):
            self._flying.add(future)
        return future

    def wait(self, timeout: float) -> "list[Future[tuple[float, Any]]]":
        """Futures that are done and were not yet returned; waits for the first of them [s]."""
        if isinstance(self._executor, RankExecutor):
            return self._executor.wait(timeout)
        done, self._flying = wait(self._flying, timeout, FIRST_COMPLETED)
        return list(done)


class TaskError(Exception):
    """What went wrong in a worker, with its place, in a form that every pickle carries."""


def _timed(task: Task, chunk: np.ndarray | range, sandboxed: bool) -> tuple[float, Any]:
    start = time.perf_counter()
    items = np.arange(chunk.start, chunk.stop) if isinstance(chunk, range) else chunk
    try:
        if sandboxed:
            _warm_up(task)
            result = in_sandbox(task, _context, items)
        else:
            result = task(_context, items)
    except SandboxDied:
        raise
    except Exception as error:
        raise TaskError(_in_words(error)) from None
    return time.perf_counter() - start, result


def _halting(task: Task, chunk: np.ndarray | range, sandboxed: bool) -> tuple[float, tuple[Any, Any]]:
    """As `_timed`, without the time of loading kernels."""
    _, first = _timed(task, chunk[:1], sandboxed)
    seconds, others = _timed(task, chunk[1:], sandboxed)
    return seconds * len(chunk) / (len(chunk) - 1), (first, others)


@functools.cache
def _warm_up(task: Task) -> None:
    """Have kernels compiled or loaded in this process: else every sandbox would do it again."""
    with contextlib.suppress(Exception):
        task(_context, np.zeros(0, np.int64))


def _compact(chunk: np.ndarray) -> np.ndarray | range:
    """Neighbours, which most chunks are, make a short message."""
    first, last = int(chunk[0]), int(chunk[-1])
    if last - first == len(chunk) - 1 and (chunk[1:] - chunk[:-1] == 1).all():
        return range(first, last + 1)
    return chunk


def _in_words(error: Exception) -> str:
    return f"process {os.getpid()} on {socket.gethostname()}: {type(error).__name__}: {error}"


def _prepare_all(comm: "MPI.Intracomm", prepare: Prepare, meta: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Context of this rank, once every rank has its own: one that fails alone would leave all others waiting.

    Raises
    ------
    WorkerFailed
        On the master, quoting the first rank that failed.
    SystemExit
        On the other ranks, silently.
    """
    context, failure = None, ""
    try:
        context = prepare(meta, arrays)
    except Exception as error:
        failure = _in_words(error)
    failures = [words for words in comm.allgather(failure) if words]
    if not failures:
        return context
    if comm.rank:
        sys.exit(EXIT_INPUT)
    raise WorkerFailed(f"{len(failures)} of {comm.size} ranks could not start: {failures[0]}")


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
        Function (meta, arrays) -> context, called once in every process.
    payload
        On the master; None on other ranks.

    Raises
    ------
    LaunchError
        If the master has no payload.
    WorkerFailed
        If `prepare` fails on any of several ranks.
    """
    global _context
    if world.comm is not None:
        if not world.is_master:
            leave_signals_to_master()
        meta = world.comm.bcast(payload.meta if payload else None, root=0)
        arrays = share_arrays(world.comm, payload.arrays if payload else None)
        _context = _prepare_all(world.comm, prepare, meta, arrays)
        if not world.is_master:
            serve(world.comm)
            yield None
            return
        ranks = RankExecutor(world.comm)
        try:
            yield Pool(ranks, world.size - 1)
        except Exception as error:
            all_know(error)  # as soon as they are sent home
            raise
        except KeyboardInterrupt:
            # Workers would be waited for until their chunks are done.
            log.error("interrupted again: stopped at once; what is finished is stored")
            world.abort(EXIT_TRY_AGAIN)
        finally:
            ranks.shutdown()
        return
    if payload is None:
        raise LaunchError("the master has nothing to share")
    _context = prepare(payload.meta, {name: _read_only(array) for name, array in payload.arrays.items()})
    if n_workers <= 1:
        yield Pool(_SerialExecutor(), 1)
        return
    processes = ForkedExecutor(n_workers)
    try:
        yield Pool(processes, n_workers)
    except BaseException:
        processes.kill()
        raise
    processes.shutdown()


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


class _SerialExecutor(Executor):
    """Computes on submission."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
