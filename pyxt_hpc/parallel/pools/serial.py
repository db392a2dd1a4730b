"""This process as the only worker."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyxt_hpc.parallel.pools.pool import Chunk, ChunkResult, Payload, Prepare, Task
from pyxt_hpc.parallel.pools.worker import Worker


class SerialPool:
    """Computes chunks when they are submitted."""

    n_workers = 1

    @contextmanager
    def open(self, prepare: Prepare, payload: Payload | None) -> Iterator["SerialPool"]:
        """Make the context."""
        self._worker = Worker.prepared_here(prepare, payload)
        self._answers: list[ChunkResult] = []
        yield self

    def submit(self, task: Task, chunk: Chunk) -> None:
        """Compute a chunk."""
        computed = self._worker.compute(task, chunk.items, chunk.sandboxed, chunk.is_probe)
        self._answers.append(ChunkResult(chunk, *computed))

    def wait(self, timeout: float) -> list[ChunkResult]:
        """Results not yet returned."""
        answers, self._answers = self._answers, []
        return answers
