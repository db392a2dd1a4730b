"""The master's loop: hand out chunks, take results as they come, stop without loss."""

import contextlib
import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pyxt_hpc.errors import Interrupted, PyxtError, WorkerFailed
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.parallel.chunks import ChunkSize
from pyxt_hpc.parallel.limits import Limits
from pyxt_hpc.parallel.pool import Pool, Task, TaskError
from pyxt_hpc.parallel.processes import SandboxDied
from pyxt_hpc.parallel.progress import Progress
from pyxt_hpc.parallel.signals import stop_signals

log = logging.getLogger(__name__)

IN_FLIGHT = 2
"""Chunks per worker: one being computed, one waiting so that nobody is idle."""

SUSPECTS_PER_CHUNK = 64
"""Items that were in flight at a crash: if it happens again, fewer are to be tried one by one."""

BURST = 64
"""Chunks handed out before the master looks at results again."""

WAIT_SECONDS = 5.0
"""The master looks up this often even if nothing happens."""

LAST_SECONDS = 0.2
"""Nothing is handed out so shortly before the time limit."""

MOST_BREAKS = 5
"""Deaths of workers without a single chunk completed in between: more are not the fault of items."""


class Ledger(Protocol):
    """Who keeps the results, and wants to know what becomes of every item."""

    def started(self, items: np.ndarray) -> None:
        """Items are about to be handed out."""

    def finished(self, items: np.ndarray, result: Any, attempt: int) -> None:
        """A chunk was computed, at the given attempt (from 1); may be kept until `alive`."""

    def failed(self, item: int, words: str, attempt: int, *, died: bool) -> None:
        """An item's task raised, or killed its process, when it was alone in a chunk; it is given up."""

    def suspected(self, items: np.ndarray) -> None:
        """A process died while these were in flight; they will be tried again."""

    def returned(self, items: np.ndarray) -> None:
        """Items that were handed out did not come back, by no fault of theirs."""

    def alive(self) -> None:
        """Called whenever results came, and every few seconds: what was kept is to be stored."""


@dataclass(frozen=True)
class Collector:
    """The simplest ledger: passes on results; an item that fails ends the run.

    Parameters
    ----------
    collect
        Called with (items, result).
    unit
        One item.
    """

    collect: Callable[[np.ndarray, Any], None]
    unit: str

    def started(self, items: np.ndarray) -> None:
        """Nothing to do."""

    def finished(self, items: np.ndarray, result: Any, attempt: int) -> None:
        """Pass the result on."""
        self.collect(items, result)

    def failed(self, item: int, words: str, attempt: int, *, died: bool) -> None:
        """End the run.

        Raises
        ------
        WorkerFailed
            Always.
        """
        raise WorkerFailed(f"{self.unit} {item}: {words}")

    def suspected(self, items: np.ndarray) -> None:
        """Nothing to do."""

    def returned(self, items: np.ndarray) -> None:
        """Nothing to do."""

    def alive(self) -> None:
        """Nothing to do."""


@dataclass(frozen=True)
class _Chunk:
    items: np.ndarray
    attempt: int = 1
    sandboxed: bool = False
    halting: bool = False
    """Whether it shows the speed, its first item being computed apart."""


class _Work:
    """What is still to be handed out: new items first, one by one those of failed chunks, then suspects."""

    def __init__(self, items: np.ndarray, suspects: np.ndarray, n_workers: int) -> None:
        self._items, self._at = items, 0
        self._suspects = deque(
            _Chunk(suspects[at : at + SUSPECTS_PER_CHUNK], 2, sandboxed=True)
            for at in range(0, len(suspects), SUSPECTS_PER_CHUNK)
        )
        self._alone: deque[_Chunk] = deque()
        self._n_retries = len(suspects)
        self.sizes = ChunkSize(n_workers, max(len(items), 1))

    def __len__(self) -> int:
        return len(self._items) - self._at + self._n_retries

    def next(self, most: int, master_seconds: float, most_seconds: float) -> _Chunk:
        """A chunk of at most so many items; there must be some left."""
        n_new = len(self._items) - self._at
        if n_new:
            size = min(self.sizes.next(n_new, master_seconds, most_seconds), most)
            new = self._items[self._at : self._at + size]
            chunk = _Chunk(new, halting=not self.sizes.known and len(new) > 1)
            self._at += len(chunk.items)
            return chunk
        retries = self._alone or self._suspects
        chunk = retries.popleft()
        if len(chunk.items) > most:
            retries.appendleft(_Chunk(chunk.items[most:], chunk.attempt, chunk.sandboxed))
            chunk = _Chunk(chunk.items[:most], chunk.attempt, chunk.sandboxed)
        self._n_retries -= len(chunk.items)
        return chunk

    def retry_alone(self, chunk: _Chunk) -> None:
        """Every item of a failed chunk is tried again by itself."""
        self._alone += (_Chunk(item, chunk.attempt + 1, chunk.sandboxed) for item in chunk.items[:, None])
        self._n_retries += len(chunk.items)

    def retry_in_sandbox(self, chunk: _Chunk) -> None:
        """A worker died while this was in flight; which chunk it was that did it, nobody knows."""
        for at in range(0, len(chunk.items), SUSPECTS_PER_CHUNK):
            part = chunk.items[at : at + SUSPECTS_PER_CHUNK]
            self._suspects.append(_Chunk(part, chunk.attempt + 1, sandboxed=True))
        self._n_retries += len(chunk.items)


def run_chunks(
    pool: Pool,
    task: Task,
    items: np.ndarray,
    ledger: Ledger,
    *,
    label: str,
    unit: str,
    suspects: np.ndarray | None = None,
    initial: int = 0,
    limits: Limits | None = None,
    when_stopped: str = "what is finished is stored",
) -> None:
    """Compute `task` on all items, in chunks of neighbours.

    A chunk whose task raises is tried again item by item. When a worker process dies, what was in flight
    is tried again in sandboxes, a chunk whose sandbox dies item by item; an item that fails alone is given
    up. When an MPI rank dies, the launcher ends the job.

    Parameters
    ----------
    pool
        Open workers.
    task
        Module-level function (context, chunk) -> result.
    items
        (n,) integers; a chunk is a slice of them.
    ledger
        Keeps the results.
    label, unit
        For the progress bar: what is done, and one item.
    suspects
        (m,) further items, which were in flight when an earlier run crashed: computed last, in sandboxes.
    initial
        Items that an earlier run completed, for the progress bar.
    limits
        When to stop early.
    when_stopped
        What becomes of finished items, for the message of an early end.

    Raises
    ------
    Interrupted
        If there is work left after SIGINT, SIGTERM, SIGUSR1 or SIGUSR2, or at a limit: chunks in flight
        were completed and passed on.
    KeyboardInterrupt
        At a second SIGINT: at once, without what was in flight.
    WorkerFailed
        If workers die again and again.
    """
    if suspects is None:
        suspects = np.zeros(0, np.int64)
    total = initial + len(items) + len(suspects)
    in_sandboxes = f", {len(suspects)} of them in sandboxes after a crash" if len(suspects) else ""
    log.info("%s: %d of %d %ss to do%s", label, total - initial, total, unit, in_sandboxes)
    work = _Work(items, suspects, pool.n_workers)
    with Progress(label, unit, total, initial) as progress, stop_signals() as received:
        loop = _Loop(pool, task, ledger, progress, work, limits or Limits())
        reason = loop.run(received)
    if n_left := len(loop.work):
        raise Interrupted(
            f"{label}: stopped by {reason} with {n_left} of {total} {unit}s left; {when_stopped}"
        )


class _Cost:
    """The master's time per chunk [s]."""

    def __init__(self) -> None:
        self.typical = 0.0

    def add(self, seconds: float, chunks: int) -> None:
        """Learn; what is slow once, like the first write, is soon forgotten."""
        latest = seconds / chunks
        known = self.typical
        self.typical = min(latest, 0.5 * (latest + known)) if known else latest


class _Loop:
    def __init__(
        self,
        pool: Pool,
        task: Task,
        ledger: Ledger,
        progress: Progress,
        work: _Work,
        limits: Limits,
    ) -> None:
        self.work = work
        self._pool, self._task, self._ledger, self._progress = pool, task, ledger, progress
        self._limits = limits
        self._allowed = np.inf if limits.items is None else limits.items
        self._flying: dict[Future[tuple[float, Any]], _Chunk] = {}
        self._landed: deque[tuple[_Chunk, Future[tuple[float, Any]]]] = deque()
        # Passed on, and perhaps not yet stored.
        self._kept: list[_Chunk] = []
        self._halting = 0
        self._leaving = np.zeros(0, np.int64)
        self._breaks = 0
        # Decides how short chunks may be.
        self._out, self._back = _Cost(), _Cost()

    def run(self, received: Sequence[int]) -> str:
        """Until everything is done or something says stop; the answer says what."""
        try:
            while True:
                reason = self._stop_reason(received)
                more = not reason and self._hand_out()
                # After workers were given more: they compute while results are stored.
                stored = self._store()
                if not self._flying:
                    if stored:
                        continue
                    return reason
                patience = 0.0 if more else min(WAIT_SECONDS, max(self._seconds_left(), LAST_SECONDS))
                self._land(self._pool.wait(patience))
        except BaseException:
            with contextlib.suppress(PyxtError):
                self._ledger.alive()
                self._kept.clear()
            with contextlib.suppress(PyxtError):
                self._ledger.returned(self._leaving)
                landed = (chunk for chunk, _ in self._landed)
                for chunk in (*self._flying.values(), *landed, *self._kept):
                    self._ledger.returned(chunk.items)
            raise

    def _land(self, done: "Sequence[Future[tuple[float, Any]]]") -> None:
        """Results came; at once only their times are of interest."""
        for future in done:
            chunk = self._flying.pop(future)
            self._landed.append((chunk, future))
            self._halting -= chunk.halting
            if not chunk.sandboxed and future.exception() is None:
                self.work.sizes.measured(len(chunk.items), future.result()[0])

    def _store(self) -> int:
        """Pass results on; how many chunks there were."""
        start, n = time.perf_counter(), len(self._landed)
        while self._landed:
            chunk, future = self._landed[0]
            self._take(chunk, future)
            self._landed.popleft()
            self._kept.append(chunk)
        self._ledger.alive()
        self._kept.clear()
        if n:
            self._back.add(time.perf_counter() - start, n)
        return n

    def _stop_reason(self, received: Sequence[int]) -> str:
        if received:
            return signal.Signals(received[0]).name
        if self._seconds_left() < max(LAST_SECONDS, 2 * IN_FLIGHT * self.work.sizes.seconds_per_item):
            return "the time limit"
        if self._allowed <= 0:
            return f"the limit of {self._limits.items}"
        return ""

    def _seconds_left(self) -> float:
        return np.inf if self._limits.deadline is None else self._limits.deadline - time.monotonic()

    def _hand_out(self) -> bool:
        """Hand out some chunks; whether there are more for workers that have time."""
        n_workers = self._pool.n_workers
        # So that what is in flight, and the chunk that waits behind it, are back in time.
        most_seconds = self._seconds_left() / (2 * IN_FLIGHT)
        start = time.perf_counter()
        chunks: list[_Chunk] = []
        more = True
        while more and len(chunks) < BURST:
            n_left = int(min(len(self.work), self._allowed))
            # Near the end nobody holds a second chunk, which another could begin at once; nor while some
            # load their kernels.
            plenty = n_left > n_workers * self.work.sizes.latest and not self._halting
            depth = IN_FLIGHT if plenty and n_workers > 1 else 1
            more = n_left > 0 and len(self._flying) + len(chunks) < depth * n_workers
            if more:
                chunk = self.work.next(n_left, self._out.typical + self._back.typical, most_seconds)
                self._allowed -= len(chunk.items)
                self._halting += chunk.halting
                chunks.append(chunk)
        if chunks:
            # Neighbours for the most part, which the ledger marks at once.
            self._leaving = np.concatenate([chunk.items for chunk in chunks])
            self._ledger.started(self._leaving)
            for chunk in chunks:
                future = self._pool.submit(
                    self._task, chunk.items, sandboxed=chunk.sandboxed, halting=chunk.halting
                )
                self._flying[future] = chunk
            self._leaving = self._leaving[:0]
            self._out.add(time.perf_counter() - start, len(chunks))
        return more

    def _take(self, chunk: _Chunk, future: "Future[tuple[float, Any]]") -> None:
        """Pass a result on, or see to a failure."""
        try:
            _, result = future.result()
        except TaskError as error:
            self._failed(chunk, str(error), died=False)
        except SandboxDied as error:
            self._failed(chunk, f"the process that computed it died ({error})", died=True)
        except BrokenExecutor as error:
            self._broken(chunk, error)
        else:
            self._breaks = 0
            if chunk.halting:
                self._ledger.finished(chunk.items[:1], result[0], chunk.attempt)
                self._ledger.finished(chunk.items[1:], result[1], chunk.attempt)
            else:
                self._ledger.finished(chunk.items, result, chunk.attempt)
            self._progress.add(len(chunk.items))

    def _failed(self, chunk: _Chunk, words: str, *, died: bool) -> None:
        if len(chunk.items) == 1:
            self._ledger.failed(int(chunk.items[0]), words, chunk.attempt, died=died)
            self._progress.add(1)
            return
        if died:
            self._ledger.suspected(chunk.items)
        else:
            self._ledger.returned(chunk.items)
        self._allowed += len(chunk.items)
        self.work.retry_alone(chunk)

    def _broken(self, chunk: _Chunk, error: BrokenExecutor) -> None:
        self._breaks += 1
        if self._breaks > MOST_BREAKS * IN_FLIGHT * self._pool.n_workers:
            raise WorkerFailed(
                f"workers die at once, one after the other (out of memory?): {one_line(str(error))}"
            ) from error
        self._ledger.suspected(chunk.items)
        self._allowed += len(chunk.items)
        self.work.retry_in_sandbox(chunk)
