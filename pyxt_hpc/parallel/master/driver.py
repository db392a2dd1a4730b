"""The master's loop: hand out chunks, store results as they come, stop without loss."""

import contextlib
import logging
import signal
import time
from collections import deque
from collections.abc import Sequence

import numpy as np

from pyxt_hpc.errors import Interrupted, PyxtError, WorkerFailed
from pyxt_hpc.parallel.master.ledger import Ledger
from pyxt_hpc.parallel.master.limits import Limits
from pyxt_hpc.parallel.master.requeue_order import RequeueOrder
from pyxt_hpc.parallel.pools.pool import IN_FLIGHT, Chunk, ChunkResult, Failure, Pool, Task
from pyxt_hpc.parallel.progress import Progress
from pyxt_hpc.parallel.signals import stop_signals

log = logging.getLogger(__name__)

BURST = 64
"""Largest number of chunks handed out before the master receives results again."""

WAIT_SECONDS = 5.0
"""Longest wait for results; after it, the master checks signals, limits and what is due to be stored."""

LAST_SECONDS = 0.2
"""The master hands out nothing in these last seconds before the time limit."""

MAX_CRASHES = 5
"""Most deaths per worker without a completed chunk in between: items cannot be the cause of more."""


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
    when_stopped: str = "finished results are stored",
) -> str:
    """Compute `task` on all items, in chunks of neighbours.

    If the task raises, the items of the chunk are tried again one by one. If a worker process dies, its
    chunks are tried again in sandboxes; if a sandbox dies, its items are tried one by one. An item that fails
    alone is given up. If an MPI rank dies, the launcher ends the job.

    Parameters
    ----------
    items
        (n,) integers; a chunk is a slice of them.
    label, unit
        Names of the work and of one item, for the progress bar.
    suspects
        (m,) further items, which were in flight when an earlier run crashed; they are computed last, in
        sandboxes.
    initial
        Number of items that an earlier run completed, for the progress bar.
    limits
        When to stop early.
    when_stopped
        What happens to finished items, for the message of an early end.

    Returns
    -------
    str
        Name of the signal or limit that asked for an early end after every item was handed out; else empty.

    Raises
    ------
    Interrupted
        If items are left after SIGINT, SIGTERM, SIGUSR1 or SIGUSR2, or at a limit. Chunks in flight have then
        been completed and stored.
    KeyboardInterrupt
        At a second SIGINT, at once; chunks in flight are lost.
    WorkerFailed
        If workers die repeatedly.
    """
    if suspects is None:
        suspects = np.zeros(0, np.int64)
    total = initial + len(items) + len(suspects)
    in_sandboxes = f", {len(suspects)} of them in sandboxes after a crash" if len(suspects) else ""
    log.info("%s: %d of %d %ss to do%s", label, total - initial, total, unit, in_sandboxes)
    work = RequeueOrder(items, suspects, pool.n_workers)
    with Progress(label, unit, total, initial) as progress, stop_signals() as received:
        reason = _Loop(pool, task, ledger, progress, work, limits or Limits()).run(received)
    if n_left := len(work):
        raise Interrupted(
            f"{label}: stopped by {reason} with {n_left} of {total} {unit}s left; {when_stopped}"
        )
    return reason


class _Cost:
    """The master's time per chunk [s]."""

    def __init__(self) -> None:
        self.typical = 0.0

    def add(self, seconds: float, chunks: int) -> None:
        """Update the estimate; a single slow call, such as the first write, has little weight."""
        latest = seconds / chunks
        known = self.typical
        self.typical = min(latest, 0.5 * (latest + known)) if known else latest


class _Loop:
    def __init__(
        self, pool: Pool, task: Task, ledger: Ledger, progress: Progress, work: RequeueOrder, limits: Limits
    ) -> None:
        self._pool, self._task, self._ledger, self._progress = pool, task, ledger, progress
        self._work, self._limits = work, limits
        self._allowed = np.inf if limits.items is None else limits.items
        self._being_sent = np.zeros(0, np.int64)
        self._in_flight: set[Chunk] = set()
        self._received: deque[ChunkResult] = deque()
        # Given to the ledger, but perhaps not yet stored.
        self._unsaved: list[Chunk] = []
        self._probes = 0
        self._crashes = 0
        # Together, these limit how short chunks may be.
        self._hand_out_cost, self._store_cost = _Cost(), _Cost()

    def run(self, received: Sequence[int]) -> str:
        """Run until all items are done or something asks for an end; return its name."""
        try:
            while True:
                reason = self._stop_reason(received)
                more = not reason and self._hand_out()
                # Workers have new chunks by now, and compute while the master stores results.
                stored = self._store()
                if not self._in_flight:
                    if stored:
                        continue
                    return reason
                patience = 0.0 if more else min(WAIT_SECONDS, max(self._seconds_left(), LAST_SECONDS))
                self._receive(patience)
        except BaseException:
            with contextlib.suppress(PyxtError):
                self._ledger.flush_if_due()
                self._unsaved.clear()
            with contextlib.suppress(PyxtError):
                self._ledger.requeue(self._being_sent)
                received_chunks = (answer.chunk for answer in self._received)
                for chunk in (*self._in_flight, *received_chunks, *self._unsaved):
                    self._ledger.requeue(chunk.items)
            raise

    def _receive(self, patience: float) -> None:
        """Receive results; only their times are used at once."""
        for answer in self._pool.wait(patience):
            chunk = answer.chunk
            self._in_flight.remove(chunk)
            self._received.append(answer)
            self._probes -= chunk.is_probe
            if not chunk.sandboxed and answer.failure is None:
                self._work.sizes.measured(len(chunk.items), answer.seconds)

    def _store(self) -> int:
        """Give the received results to the ledger; return their number."""
        start, n = time.perf_counter(), len(self._received)
        while self._received:
            self._pass_on(self._received[0])
            self._unsaved.append(self._received.popleft().chunk)
        self._ledger.flush_if_due()
        self._unsaved.clear()
        if n:
            self._store_cost.add(time.perf_counter() - start, n)
        return n

    def _stop_reason(self, received: Sequence[int]) -> str:
        if received:
            return signal.Signals(received[0]).name
        if self._seconds_left() < max(LAST_SECONDS, 2 * IN_FLIGHT * self._work.sizes.seconds_per_item):
            return "the time limit"
        if self._allowed <= 0:
            return f"the limit of {self._limits.items}"
        return ""

    def _seconds_left(self) -> float:
        return np.inf if self._limits.deadline is None else self._limits.deadline - time.monotonic()

    def _hand_out(self) -> bool:
        """Hand out some chunks; return whether workers can take more."""
        start = time.perf_counter()
        chunks, more = self._next_chunks()
        if chunks:
            # One call for all: most chunks are neighbours, so the ledger marks them in one operation.
            self._being_sent = np.concatenate([chunk.items for chunk in chunks])
            self._ledger.mark_started(self._being_sent)
            for chunk in chunks:
                self._pool.submit(self._task, chunk)
                self._in_flight.add(chunk)
            self._being_sent = self._being_sent[:0]
            self._hand_out_cost.add(time.perf_counter() - start, len(chunks))
        return more

    def _next_chunks(self) -> tuple[list[Chunk], bool]:
        n_workers = self._pool.n_workers
        master_seconds = self._hand_out_cost.typical + self._store_cost.typical
        # A worker holds up to IN_FLIGHT chunks, which must all be back by the deadline.
        max_seconds = self._seconds_left() / (2 * IN_FLIGHT)
        chunks: list[Chunk] = []
        while len(chunks) < BURST:
            n_left = int(min(len(self._work), self._allowed))
            # Near the end, and while workers load kernels, no worker holds a second chunk: another worker
            # could begin it at once.
            plenty = n_left > n_workers * self._work.sizes.latest and not self._probes
            depth = IN_FLIGHT if plenty and n_workers > 1 else 1
            if n_left <= 0 or len(self._in_flight) + len(chunks) >= depth * n_workers:
                return chunks, False
            chunk = self._work.next(n_left, master_seconds, max_seconds)
            self._allowed -= len(chunk.items)
            self._probes += chunk.is_probe
            chunks.append(chunk)
        return chunks, True

    def _pass_on(self, answer: ChunkResult) -> None:
        """Give a result to the ledger, or queue the items of a failed chunk again."""
        chunk, value = answer.chunk, answer.value
        if answer.failure is None:
            self._crashes = 0
            if chunk.is_probe:
                self._ledger.add_result(chunk.items[:1], value[0], chunk.attempt)
                self._ledger.add_result(chunk.items[1:], value[1], chunk.attempt)
            else:
                self._ledger.add_result(chunk.items, value, chunk.attempt)
            self._progress.add(len(chunk.items))
        elif answer.failure is Failure.WORKER_DIED:
            self._crashes += 1
            if self._crashes > MAX_CRASHES * IN_FLIGHT * self._pool.n_workers:
                raise WorkerFailed(f"workers die at once, one after the other (out of memory?): {value}")
            self._ledger.mark_crashed(chunk.items)
            self._allowed += len(chunk.items)
            self._work.retry_in_sandbox(chunk)
        elif len(chunk.items) == 1:
            died = answer.failure is Failure.SANDBOX_DIED
            self._ledger.give_up(int(chunk.items[0]), value, chunk.attempt, died=died)
            self._progress.add(1)
        else:
            if answer.failure is Failure.SANDBOX_DIED:
                self._ledger.mark_crashed(chunk.items)
            else:
                self._ledger.requeue(chunk.items)
            self._allowed += len(chunk.items)
            self._work.retry_alone(chunk)
