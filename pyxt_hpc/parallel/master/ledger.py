"""Interface by which the master's loop reports results and failures of items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyxt_hpc.errors import WorkerFailed


class Ledger:
    """Receiver of the state of every item; the methods here do nothing."""

    def mark_started(self, items: np.ndarray) -> None:
        """Note that items are about to be handed out."""

    def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
        """Take the result of a chunk and its attempt (from 1); it may be stored at `flush_if_due` only."""

    def give_up(self, item: int, message: str, attempt: int, *, died: bool) -> None:
        """Note that the task raised, or killed its process, for this item alone."""

    def mark_crashed(self, items: np.ndarray) -> None:
        """Note that a process died while it held these items; they will be tried again."""

    def requeue(self, items: np.ndarray) -> None:
        """Note that these items were handed out and have no result, without a crash."""

    def flush_if_due(self) -> None:
        """Store results; called after results have come, and every few seconds."""


@dataclass(frozen=True)
class Collector(Ledger):
    """Ledger that calls `collect` with (items, result); an item that fails ends the run."""

    collect: Callable[[np.ndarray, Any], None]
    unit: str

    def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
        """Call `collect`."""
        self.collect(items, result)

    def give_up(self, item: int, message: str, attempt: int, *, died: bool) -> None:
        """Raise WorkerFailed."""
        raise WorkerFailed(f"{self.unit} {item}: {message}")
