"""This process as the only worker."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyxt_hpc.parallel.pools.pool import Chunk, ChunkResult, Payload, Prepare, Task
from pyxt_hpc.parallel.pools.worker import Worker


class SerialPool:
    """Computes submitted chunks while the master waits for results.

    If they were computed when they are submitted, the master would take this time for its own, and hand out
    ever larger chunks to save it.
    """

    n_workers = 1

    @contextmanager
    def open(self, prepare: Prepare, payload: Payload | None) -> Iterator["SerialPool"]:
        """Make the context."""
        self._worker = Worker.prepared_here(prepare, payload)
        self._submitted: list[tuple[Task, Chunk]] = []
        yield self

    def submit(self, task: Task, chunk: Chunk) -> None:
        """Keep a chunk until `wait`."""
        self._submitted.append((task, chunk))

    def wait(self, timeout: float) -> list[ChunkResult]:
        """Compute the submitted chunks, however long it takes."""
        submitted, self._submitted = self._submitted, []
        return [
            ChunkResult(chunk, *self._worker.compute(task, chunk.items, chunk.sandboxed, chunk.is_probe))
            for task, chunk in submitted
        ]
