"""MPI ranks as workers of one master, which can serve thousands of them.

`mpi4py.futures` does the same from a thread of its own; `benchmarks/speed/bench_scheduler.py` measures both.
Here the master works only while it submits or waits, a worker holds its next chunk while it computes one,
and large results are received into their final memory, without copies.
"""

import logging
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxt_hpc.errors import EXIT_INPUT, EXIT_TRY_AGAIN, WorkerFailed
from pyxt_hpc.parallel.pools.messages import pack_call, unpack
from pyxt_hpc.parallel.pools.pool import IN_FLIGHT, Chunk, ChunkResult, Payload, Prepare, Task
from pyxt_hpc.parallel.pools.worker import Worker, error_with_process
from pyxt_hpc.parallel.shared import share_arrays
from pyxt_hpc.parallel.signals import ignore_stop_signals
from pyxt_hpc.parallel.world import World, mark_known_to_all

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger(__name__)

WORK, STOP, RESULT, STOPPED = 1, 2, 3, 4
"""Tags of messages."""

SLEEP_SECONDS = (1e-5, 2e-4)
"""Shortest and longest pause between two probes, since blocking calls of MPI would occupy a core."""

SLEEP_GROWTH = 1.25
"""Ratio of a pause to the one before: the delay of a message is a fraction of the time waited for it."""

PROBES = 3
"""Probe three times: with MPICH one probe may only make the next message visible."""

MAX_ANSWERS = 64
"""Largest number of results that one call of `wait` returns: the caller stores them in between."""


class Pauses:
    """Pauses that grow while nothing happens."""

    def __init__(self) -> None:
        self._seconds = SLEEP_SECONDS[0]

    def sleep(self, longest: float = np.inf) -> None:
        """Pause, for at most `longest` seconds."""
        time.sleep(min(self._seconds, longest))
        self._seconds = min(SLEEP_GROWTH * self._seconds, SLEEP_SECONDS[1])


class RankPool:
    """Pool of two or more ranks, of which rank 0 is the master; only calls of `wait` receive results."""

    def __init__(self, world: World) -> None:
        from mpi4py import MPI

        assert world.comm is not None
        self.n_workers = world.size - 1
        self._world, self._comm = world, world.comm
        self._mpi = MPI
        self._status = MPI.Status()
        # Chunks that each rank holds. The message must stay in memory until its request is complete.
        self._held: list[deque[tuple[Chunk, MPI.Request, bytearray]]] = [deque() for _ in range(world.size)]
        # Ranks by the number of chunks that they hold. A rank is listed again whenever its number changes.
        self._listed = [deque(range(1, world.size)), *(deque[int]() for _ in range(IN_FLIGHT - 1))]

    @contextmanager
    def open(self, prepare: Prepare, payload: Payload | None) -> Iterator["RankPool | None"]:
        """Share the payload with all ranks; collective.

        If `prepare` fails on any rank, WorkerFailed is raised on the master, and SystemExit on the others,
        without a message.
        """
        if not self._world.is_master:
            ignore_stop_signals()
        meta = self._comm.bcast(payload.meta if payload else None, root=0)
        arrays = share_arrays(self._comm, payload.arrays if payload else None)
        worker = Worker(_prepare_all(self._comm, prepare, meta, arrays))
        if not self._world.is_master:
            serve(self._comm, worker)
            yield None
            return
        try:
            yield self
        except Exception as error:
            mark_known_to_all(error)  # the other ranks are ended below
            raise
        except KeyboardInterrupt:
            # Otherwise the end would wait until the workers have computed their chunks.
            log.error("interrupted again: stopped at once; finished results are stored")
            self._world.abort(EXIT_TRY_AGAIN)
        finally:
            self._end_workers()

    def submit(self, task: Task, chunk: Chunk) -> None:
        """Send a chunk to the rank that holds the fewest."""
        rank, packed = self._next_rank(), pack_call(task, chunk)
        self._held[rank].append((chunk, self._comm.Isend([packed, self._mpi.BYTE], rank, WORK), packed))
        self._list(rank)

    def wait(self, timeout: float) -> list[ChunkResult]:
        """Results not yet returned; waits up to `timeout` seconds for the first."""
        deadline = time.monotonic() + timeout
        pauses = Pauses()
        answers: list[ChunkResult] = []
        while True:
            while len(answers) < MAX_ANSWERS and (message := self._probe()) is not None:
                answers.append(self._receive(message))
            left = deadline - time.monotonic()
            if answers or left <= 0:
                return answers
            pauses.sleep(left)

    def _probe(self) -> "MPI.Message | None":
        for _ in range(PROBES):
            if (message := self._comm.Improbe(tag=RESULT, status=self._status)) is not None:
                return message
        return None

    def _receive(self, message: "MPI.Message") -> ChunkResult:
        rank = self._status.source
        packed = np.empty(self._status.Get_count(self._mpi.BYTE), np.uint8)
        message.Recv([packed, self._mpi.BYTE])
        # A rank computes in the order of its chunks, and its messages arrive in the order of sending.
        chunk, request, _ = self._held[rank].popleft()
        request.Wait()
        self._list(rank)
        return ChunkResult(chunk, *unpack(packed))

    def _list(self, rank: int) -> None:
        if (n_held := len(self._held[rank])) < IN_FLIGHT:
            self._listed[n_held].append(rank)

    def _next_rank(self) -> int:
        for n_held, ranks in enumerate(self._listed):
            while ranks:
                rank = ranks.popleft()
                if (
                    len(self._held[rank]) == n_held
                ):  # otherwise its number has changed since, and this entry is stale
                    return rank
        raise AssertionError(f"more than {IN_FLIGHT} chunks per worker")

    def _end_workers(self) -> None:
        """End the workers; results not yet returned are dropped."""
        stops = [self._comm.Isend([b"", self._mpi.BYTE], rank, STOP) for rank in range(1, self._comm.size)]
        pauses = Pauses()
        n_running = self.n_workers
        while n_running:
            message = self._comm.Improbe(status=self._status)
            if message is None:
                pauses.sleep()
            elif self._status.tag == STOPPED:
                message.Recv([bytearray(0), self._mpi.BYTE])
                n_running -= 1
            else:
                self._receive(message)
        unanswered = [request for held in self._held for _, request, _ in held]
        self._mpi.Request.Waitall(stops + unanswered)


def _prepare_all(comm: "MPI.Intracomm", prepare: Prepare, meta: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Context of this rank, once all have theirs: a rank that failed alone would leave the others waiting."""
    context, failure = None, ""
    try:
        context = prepare(meta, arrays)
    except Exception as error:
        failure = error_with_process(error)
    failures = [message for message in comm.allgather(failure) if message]
    if not failures:
        return context
    if comm.rank:
        sys.exit(EXIT_INPUT)
    raise WorkerFailed(f"{len(failures)} of {comm.size} ranks could not start: {failures[0]}")


def serve(comm: "MPI.Intracomm", worker: Worker) -> None:
    """Compute chunks of the master until its STOP, which has priority over chunks that have not begun."""
    from mpi4py import MPI

    status = MPI.Status()
    while True:
        pauses = Pauses()
        while not any(comm.Iprobe(0, MPI.ANY_TAG, status) for _ in range(PROBES)):
            pauses.sleep()
        if comm.Iprobe(0, STOP):
            break
        packed = bytearray(status.Get_count(MPI.BYTE))
        comm.Recv([packed, MPI.BYTE], 0, WORK)
        request = comm.Isend([worker.answer(packed), MPI.BYTE], 0, RESULT)
        # Complete the send now: MPI moves a large message only within its calls, and the next call may be a
        # chunk later.
        pauses = Pauses()
        while not request.Test():
            pauses.sleep()
    comm.Recv([bytearray(0), MPI.BYTE], 0, STOP)
    while comm.Iprobe(0, WORK, status):
        comm.Recv([bytearray(status.Get_count(MPI.BYTE)), MPI.BYTE], 0, WORK)
    comm.Send([b"", MPI.BYTE], 0, STOPPED)
