"""What every pool of workers does: it takes chunks of items and gives back their results."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np

Prepare = Callable[[Any, dict[str, np.ndarray]], Any]
"""Function (meta, arrays) -> context, called once in every process."""

Task = Callable[[Any, np.ndarray], Any]
"""Module-level function (context, items) -> result, also for no items."""

IN_FLIGHT = 2
"""Chunks per worker: one being computed, one waiting so that nobody is idle."""


@dataclass(frozen=True)
class Payload:
    """What every worker needs: small picklable values, and arrays to be shared."""

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
        Compute them in a child of the worker, which may die.
    is_probe
        Compute the first item by itself, and take the time of the others, without the loading of kernels.
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
    """What became of a chunk.

    Parameters
    ----------
    chunk
        As it was submitted.
    seconds
        Time that it took; of a probe, that it would have taken at the speed of all but the first item.
    value
        What the task returned, of a probe for the first item and for the others; the message of a failure.
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
    """How many chunks are computed at the same time."""

    def open(self, prepare: Prepare, payload: Payload | None) -> "AbstractContextManager[Pool | None]":
        """Let every worker make its context, and end the workers at the end.

        An MPI rank that is not the master works until the master has ended, and gets None. Only the master
        has a payload.
        """

    def submit(self, task: Task, chunk: Chunk) -> None:
        """Hand out a chunk; at most `IN_FLIGHT` per worker may be unanswered."""

    def wait(self, timeout: float) -> list[ChunkResult]:
        """Results that were not yet returned; waits for the first of them, at most so long [s]."""
