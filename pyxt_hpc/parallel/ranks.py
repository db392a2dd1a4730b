"""An executor over MPI ranks, made for one master that feeds thousands of workers.

`mpi4py.futures` does the same from a thread of its own; `benchmarks/bench_scheduler.py` measures both. Here
the master works only while it submits or waits, a worker holds its next chunk while it computes one,
and large results are received where they stay, without copies.
"""

import pickle
import struct
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpi4py import MPI

WORK, STOP, RESULT, FAREWELL = 1, 2, 3, 4
"""Tags of messages."""

PER_WORKER = 2
"""Calls that a worker holds at most: one that it computes, one that waits."""

SLEEP_SECONDS = (1e-5, 2e-4)
"""Shortest and longest pause between looks for messages: blocking calls of MPI would occupy a core."""

SLEEP_GROWTH = 1.25
"""Every pause is so many times the last: what comes is seen after little more than it took to come."""

LOOKS = 3
"""Before nothing is there: a look of MPICH's may see one message only after the look before fetched it."""

_HEAD = struct.Struct("<qq")


def pack(value: Any) -> bytearray:
    """Pickle with the memory of large arrays behind it, so that `unpack` need not copy it."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, 5, buffer_callback=buffers.append)
    raws = [buffer.raw() for buffer in buffers]
    packed = bytearray(_HEAD.pack(len(body), len(raws)))
    packed += struct.pack(f"<{len(raws)}q", *(raw.nbytes for raw in raws))
    packed += body
    for raw in raws:
        packed += raw
    return packed


def unpack(packed: Any) -> Any:
    """Inverse of `pack`; arrays are views of `packed`."""
    view = memoryview(packed)
    n_body, n_raws = _HEAD.unpack_from(view)
    sizes = struct.unpack_from(f"<{n_raws}q", view, _HEAD.size)
    at = _HEAD.size + 8 * n_raws
    body = view[at : at + n_body]
    at += n_body
    raws = []
    for size in sizes:
        raws.append(view[at : at + size])
        at += size
    return pickle.loads(body, buffers=raws)


class Pauses:
    """Pauses that grow while nothing happens."""

    def __init__(self) -> None:
        self._seconds = SLEEP_SECONDS[0]

    def sleep(self, most: float = np.inf) -> None:
        """Pause, for at most so long [s]."""
        if most > 0:
            time.sleep(min(self._seconds, most))
        self._seconds = min(SLEEP_GROWTH * self._seconds, SLEEP_SECONDS[1])


class RankExecutor(Executor):
    """The master's side; all other ranks of `comm` must be in `serve`.

    Nothing happens behind the caller's back: results arrive while `wait` is called.

    Parameters
    ----------
    comm
        Rank 0 is the master.
    """

    def __init__(self, comm: "MPI.Intracomm") -> None:
        from mpi4py import MPI

        self._mpi = MPI
        self._comm = comm
        self._status = MPI.Status()
        self._next = 0
        self._queue: deque[tuple[int, bytearray]] = deque()
        self._futures: dict[int, Future[Any]] = {}
        self._sent: dict[int, tuple[Any, bytearray]] = {}
        # Workers by the calls they hold: who has nothing gets the next.
        self._load = [0] * comm.size
        self._free = [deque(range(1, comm.size)), *(deque[int]() for _ in range(PER_WORKER - 1))]

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Send a call to the worker that holds fewest."""
        future: Future[Any] = Future()
        key, self._next = self._next, self._next + 1
        self._futures[key] = future
        self._queue.append((key, pack((key, fn, args, kwargs))))
        self._send()
        return future

    def wait(self, timeout: float | None = None) -> list["Future[Any]"]:
        """Futures that are done since the last call; waits until there is one, or for `timeout` seconds."""
        deadline = np.inf if timeout is None else time.monotonic() + timeout
        pauses = Pauses()
        done: list[Future[Any]] = []
        while True:
            while (message := self._look()) is not None:
                done.append(self._receive(message))
                self._send()
                # Not for ever: the caller has results to store.
                if len(done) == 64:
                    return done
            left = deadline - time.monotonic()
            if done or left <= 0:
                return done
            pauses.sleep(left)

    def _look(self) -> "MPI.Message | None":
        for _ in range(LOOKS):
            if (message := self._comm.Improbe(tag=RESULT, status=self._status)) is not None:
                return message
        return None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Send the workers home; results that were not waited for are dropped."""
        stops = [self._comm.Isend([b"", self._mpi.BYTE], rank, STOP) for rank in range(1, self._comm.size)]
        pauses = Pauses()
        staying = self._comm.size - 1
        while staying:
            message = self._comm.Improbe(status=self._status)
            if message is None:
                pauses.sleep()
                continue
            if self._status.tag == FAREWELL:
                message.Recv([bytearray(0), self._mpi.BYTE])
                staying -= 1
            else:
                self._receive(message)
        self._mpi.Request.Waitall(stops)
        self._mpi.Request.Waitall([request for request, _ in self._sent.values()])

    def _send(self) -> None:
        while self._queue:
            rank = self._idlest()
            if rank is None:
                return
            key, packed = self._queue.popleft()
            # Kept until the answer shows that it has arrived.
            self._sent[key] = (self._comm.Isend([packed, self._mpi.BYTE], rank, WORK), packed)

    def _idlest(self) -> int | None:
        for load, ranks in enumerate(self._free):
            while ranks:
                rank = ranks.popleft()
                if self._load[rank] == load:  # else it has been listed again since
                    self._load[rank] += 1
                    if load + 1 < PER_WORKER:
                        self._free[load + 1].append(rank)
                    return rank
        return None

    def _receive(self, message: "MPI.Message") -> "Future[Any]":
        rank = self._status.source
        packed = np.empty(self._status.Get_count(self._mpi.BYTE), np.uint8)
        message.Recv([packed, self._mpi.BYTE])
        key, failed, value = unpack(packed)
        request, _ = self._sent.pop(key)
        request.Wait()
        self._load[rank] -= 1
        self._free[self._load[rank]].append(rank)
        future = self._futures.pop(key)
        if failed:
            future.set_exception(value)
        else:
            future.set_result(value)
        return future


def serve(comm: "MPI.Intracomm") -> None:
    """Compute what the master sends until it says stop, which also overtakes calls that still wait."""
    from mpi4py import MPI

    status = MPI.Status()
    while True:
        pauses = Pauses()
        while not any(comm.Iprobe(0, MPI.ANY_TAG, status) for _ in range(LOOKS)):
            pauses.sleep()
        if comm.Iprobe(0, STOP):
            break
        packed = bytearray(status.Get_count(MPI.BYTE))
        comm.Recv([packed, MPI.BYTE], 0, WORK)
        key, fn, args, kwargs = unpack(packed)
        try:
            answer = key, False, fn(*args, **kwargs)
        except Exception as error:
            answer = key, True, error
        # To its end: MPI moves a large message only during calls, and the next one may be a chunk away.
        request = comm.Isend([pack(answer), MPI.BYTE], 0, RESULT)
        pauses = Pauses()
        while not request.Test():
            pauses.sleep()
    comm.Recv([bytearray(0), MPI.BYTE], 0, STOP)
    while comm.Iprobe(0, WORK, status):
        comm.Recv([bytearray(status.Get_count(MPI.BYTE)), MPI.BYTE], 0, WORK)
    comm.Send([b"", MPI.BYTE], 0, FAREWELL)
