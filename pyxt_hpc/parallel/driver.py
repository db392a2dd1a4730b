"""The master's loop: hand out chunks, take results as they come, stop without loss."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from pyxt_hpc.errors import Interrupted, WorkerFailed
from pyxt_hpc.parallel.pool import STOP_SIGNALS, Pool, Task, TaskError
from pyxt_hpc.parallel.progress import Progress

CHUNK_SECONDS = 1.0
"""Long against the cost of handing a chunk out, short against what a kill may cost."""

SMALLEST_SHARE = 0.05
"""Towards the end chunks shrink to this part of `CHUNK_SECONDS`."""

IN_FLIGHT = 2
"""Chunks per worker: one being computed, one waiting so that nobody is idle."""

GROWTH = 4
"""A chunk has at most this many times the items of the largest so far: first timings mislead."""


class ChunkSize:
    """How many items the next chunk should have.

    The target is `CHUNK_SECONDS` by the measured speed; towards the end chunks shrink so that all
    workers finish together.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._largest = 1
        self._seconds_per_item: float | None = None

    def measured(self, n_items: int, seconds: float) -> None:
        """Learn from a completed chunk."""
        latest = seconds / n_items
        # The fastest is nearest to the truth at first, when kernels are still being compiled.
        known = self._seconds_per_item
        self._seconds_per_item = latest if known is None else min(latest, 0.5 * (latest + known))

    def next(self, n_left: int) -> int:
        """Size of the next chunk when `n_left` items are not yet handed out."""
        if self._seconds_per_item is None:
            return 1
        wanted = CHUNK_SECONDS / max(self._seconds_per_item, 1e-9)
        share = max(-(-n_left // (IN_FLIGHT * self._n_workers)), wanted * SMALLEST_SHARE)
        size = int(max(1, min(wanted, GROWTH * self._largest, share)))
        self._largest = max(self._largest, size)
        return size


def run_chunks(
    pool: Pool,
    task: Task,
    items: np.ndarray,
    on_result: Callable[[np.ndarray, Any], None],
    *,
    label: str,
    unit: str,
    initial: int = 0,
) -> None:
    """Compute `task` on all items, in chunks of neighbours.

    Parameters
    ----------
    pool
        Open workers.
    task
        Module-level function (context, chunk) -> result.
    items
        (n,) array; a chunk is a slice of it.
    on_result
        Called in this process with (chunk, result), in the order of completion.
    label, unit
        For the progress bar: what is done, and one item.
    initial
        Items that an earlier run completed, for the progress bar.

    Raises
    ------
    WorkerFailed
        If a task raises or a worker dies; every chunk that was completed was passed on.
    Interrupted
        If SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 came: chunks in flight were completed and passed on.
    """
    sizes = ChunkSize(pool.n_workers)
    flying: dict[Future[tuple[float, Any]], np.ndarray] = {}
    failures: list[WorkerFailed] = []
    at = 0
    with Progress(label, unit, initial + len(items), initial) as progress, _stop_signals() as stopped:
        while True:
            while at < len(items) and len(flying) < IN_FLIGHT * pool.n_workers and not (stopped or failures):
                chunk = items[at : at + sizes.next(len(items) - at)]
                flying[_submit(pool, task, chunk)] = chunk
                at += len(chunk)
            if not flying:
                break
            done, _ = wait(flying, return_when=FIRST_COMPLETED)
            for future in done:
                chunk = flying.pop(future)
                try:
                    seconds, result = _result(future, chunk, unit)
                except WorkerFailed as failure:
                    failures.append(failure)
                    continue
                sizes.measured(len(chunk), seconds)
                on_result(chunk, result)
                progress.add(len(chunk))
    if failures:
        raise failures[0]
    if at < len(items):
        raise Interrupted(
            f"{label}: stopped by {signal.Signals(stopped[0]).name} with {len(items) - at} of "
            f"{initial + len(items)} {unit}s left; what is finished is stored"
        )


def _submit(pool: Pool, task: Task, chunk: np.ndarray) -> "Future[tuple[float, Any]]":
    try:
        return pool.submit(task, chunk)
    except BrokenExecutor as error:
        failed: Future[tuple[float, Any]] = Future()
        failed.set_exception(error)
        return failed


def _result(future: "Future[tuple[float, Any]]", chunk: np.ndarray, unit: str) -> tuple[float, Any]:
    try:
        return future.result()
    except TaskError as error:
        raise WorkerFailed(f"{_names(chunk, unit)}: {error}") from error
    except BrokenExecutor as error:
        raise WorkerFailed(
            f"a worker died while {_names(chunk, unit)} was in flight (out of memory?); what is finished is "
            f"stored: run again with --continue ({' '.join(str(error).split())})"
        ) from error


def _names(chunk: Sequence[Any] | np.ndarray, unit: str) -> str:
    return f"{unit} {chunk[0]}" if len(chunk) == 1 else f"{unit}s {chunk[0]} to {chunk[-1]}"


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect signals that ask for an early end; a second SIGINT ends at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if received.count(signal.SIGINT) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
