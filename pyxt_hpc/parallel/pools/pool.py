"""Interface of all pools of workers: a pool takes chunks of items and returns their results."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np

Prepare = Callable[[Any, dict[str, np.ndarray]], Any]
"""Function (meta, arrays) -> context, called once in every process."""

Task = Callable[[Any, np.ndarray], Any]
"""Module-level function (context, items) -> result; it must also accept zero items."""

IN_FLIGHT = 2
"""Largest number of chunks that a worker holds: it computes one, and begins the other without waiting."""


@dataclass(frozen=True)
class Payload:
    """Input of all workers: small picklable values, and arrays that they share."""

    meta: Any
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Items that are computed together.

    Parameters
    ----------
    items
        (n,) integers.
    attempt
        How often these items have been handed out, this time included.
    sandboxed
        Compute them in a child process of the worker, so that a crash does not end the worker.
    is_probe
        Compute the first item by itself, and time the others only, so that loading kernels does not count.
    """

    items: np.ndarray
    attempt: int = 1
    sandboxed: bool = False
    is_probe: bool = False


class Failure(Enum):
    """Why a chunk has no result."""

    RAISED = 1
    SANDBOX_DIED = 2
    WORKER_DIED = 3


@dataclass(frozen=True)
class ChunkResult:
    """Result or failure of a chunk.

    Parameters
    ----------
    chunk
        The chunk as it was submitted.
    seconds
        Time that it took. For a probe: time of the whole chunk at the speed of all items but the first.
    value
        What the task returned; for a probe two such values, of the first item and of the others; for a
        failure its message.
    failure
        None if there is a result.
    """

    chunk: Chunk
    seconds: float
    value: Any
    failure: Failure | None


class Pool(Protocol):
    """Workers for one task at a time."""

    n_workers: int
    """Number of chunks that are computed at the same time."""

    def open(self, prepare: Prepare, payload: Payload | None) -> "AbstractContextManager[Pool | None]":
        """Let every worker make its context; end the workers at exit.

        An MPI rank that is not the master serves until the master ends it, and gets None. Only the master
        has a payload.
        """

    def submit(self, task: Task, chunk: Chunk) -> None:
        """Hand out a chunk; at most `IN_FLIGHT` chunks per worker may be without a result."""

    def wait(self, timeout: float) -> list[ChunkResult]:
        """Results not yet returned; waits up to `timeout` seconds for the first."""
