"""Forked processes of this machine as workers."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, ForkProcess

from pyxt_hpc.parallel.pools.messages import pack_call, unpack
from pyxt_hpc.parallel.pools.pool import Chunk, ChunkResult, Failure, Payload, Prepare, Task
from pyxt_hpc.parallel.pools.sandbox import begin_child, cause_of_death
from pyxt_hpc.parallel.pools.worker import Worker

PIPE_BYTES = 1 << 15
"""Size of a message that a pipe always holds. A longer message is sent only when the child has returned all
that it was sent: otherwise both processes could write, and wait for each other to read."""

_FORK = ForkContext()


@dataclass
class _Child:
    process: ForkProcess
    pipe: "Connection[bytearray, bytearray]"
    held: deque[Chunk] = field(default_factory=deque)
    unsent: deque[bytearray] = field(default_factory=deque)

    def send(self) -> None:
        """Write the messages that the pipe takes without waiting."""
        while self.unsent and (len(self.unsent[0]) <= PIPE_BYTES or len(self.held) == len(self.unsent)):
            message = self.unsent.popleft()
            with contextlib.suppress(ConnectionError):  # the child has died; `wait` will find out
                self.pipe.send_bytes(message)


class ProcessPool:
    """Forked processes, which inherit the memory of this one; one that dies is replaced."""

    def __init__(self, n_workers: int) -> None:
        self.n_workers = n_workers
        self._children: list[_Child] = []

    @contextmanager
    def open(self, prepare: Prepare, payload: Payload | None) -> Iterator["ProcessPool"]:
        """Fork the processes; after an error they are killed at once."""
        self._worker = Worker.prepared_here(prepare, payload)
        try:
            for _ in range(self.n_workers):
                self._children.append(self._fork())
            yield self
        except BaseException:
            for child in self._children:
                child.process.kill()
            raise
        finally:
            for child in self._children:
                child.pipe.close()
            for child in self._children:
                child.process.join()
            self._children.clear()

    def submit(self, task: Task, chunk: Chunk) -> None:
        """Send a chunk to the process that holds the fewest."""
        child = min(self._children, key=lambda child: len(child.held))
        child.held.append(chunk)
        child.unsent.append(pack_call(task, chunk))
        child.send()

    def wait(self, timeout: float) -> list[ChunkResult]:
        """Results not yet returned; all chunks of a dead process have failed."""
        busy = {child.pipe: child for child in self._children if child.held}
        answers: list[ChunkResult] = []
        for pipe in connection.wait(list(busy), timeout):
            child = busy[pipe]  # type: ignore[index]
            try:
                computed = unpack(child.pipe.recv_bytes())
            except (EOFError, OSError):
                answers += self._replace(child)
                continue
            answers.append(ChunkResult(child.held.popleft(), *computed))
            child.send()
        return answers

    def _replace(self, child: _Child) -> list[ChunkResult]:
        child.process.join()
        child.pipe.close()
        self._children.remove(child)
        self._children.append(self._fork())
        cause = cause_of_death(child.process.exitcode or 0)
        return [ChunkResult(chunk, 0.0, cause, Failure.WORKER_DIED) for chunk in child.held]

    def _fork(self) -> _Child:
        ours, theirs = _FORK.Pipe()
        inherited = [child.pipe for child in self._children] + [ours]
        process = _FORK.Process(target=_serve, args=(theirs, inherited, os.getpid(), self._worker))
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return _Child(process, ours)


def _serve(
    pipe: "Connection[bytearray, bytearray]",
    inherited: "list[Connection[bytearray, bytearray]]",
    parent: int,
    worker: Worker,
) -> None:
    """Compute chunks until the pipe is closed at its other end."""
    begin_child(parent)
    for other in inherited:
        other.close()
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            pipe.send_bytes(worker.answer(pipe.recv_bytes()))
