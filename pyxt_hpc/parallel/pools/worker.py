"""The work of one worker on a chunk, in any kind of process."""

import contextlib
import os
import socket
import time
from functools import partial
from typing import Any

import numpy as np

from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.parallel.pools.messages import pack, unpack
from pyxt_hpc.parallel.pools.pool import Failure, Payload, Prepare, Task
from pyxt_hpc.parallel.pools.sandbox import SandboxDied, in_sandbox

Computed = tuple[float, Any, Failure | None]
"""Seconds, value and failure of a `ChunkResult`."""


class Worker:
    """Computes chunks; its context is the first argument of every task."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._warm: set[Task] = set()

    @classmethod
    def prepared_here(cls, prepare: Prepare, payload: Payload | None) -> "Worker":
        """Worker of this process, which has the payload."""
        assert payload is not None, "only MPI ranks share what the master has"
        return cls(prepare(payload.meta, {name: read_only(a) for name, a in payload.arrays.items()}))

    def answer(self, message: Any) -> bytearray:
        """Compute the chunk in a message of `pack_call`; return the packed `Computed`."""
        task, items, sandboxed, is_probe = unpack(message)
        if isinstance(items, range):
            items = np.arange(items.start, items.stop)
        computed = self.compute(task, items, sandboxed, is_probe)
        try:
            return pack(computed)
        except Exception as error:  # pickling calls methods of the task's value, which may raise anything
            return pack((0.0, error_with_process(error), Failure.RAISED))

    def compute(self, task: Task, items: np.ndarray, sandboxed: bool, is_probe: bool) -> Computed:
        """Call the task on some items; see `Chunk`."""
        call: Task = partial(in_sandbox, task) if sandboxed else task
        try:
            if sandboxed:
                self._warm_up(task)
            first = call(self._context, items[:1]) if is_probe else None
            start = time.perf_counter()
            result = call(self._context, items[1:] if is_probe else items)
            seconds = time.perf_counter() - start
        except SandboxDied as error:
            return 0.0, f"the process that computed it died ({error})", Failure.SANDBOX_DIED
        except Exception as error:
            return 0.0, error_with_process(error), Failure.RAISED
        if is_probe:
            return seconds * len(items) / (len(items) - 1), (first, result), None
        return seconds, result, None

    def _warm_up(self, task: Task) -> None:
        """Compile or load kernels in this process: otherwise every sandbox would do it again."""
        if task not in self._warm:
            self._warm.add(task)
            with contextlib.suppress(Exception):
                task(self._context, np.zeros(0, np.int64))


def error_with_process(error: Exception) -> str:
    """Text of an error, after the process in which it was raised."""
    return f"process {os.getpid()} on {socket.gethostname()}: {type(error).__name__}: {error}"
