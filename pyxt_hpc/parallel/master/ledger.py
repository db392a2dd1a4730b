"""Who keeps the results of a run, and what becomes of every item."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyxt_hpc.errors import WorkerFailed


class Ledger:
    """What the master's loop tells of items; by default nothing is done."""

    def mark_started(self, items: np.ndarray) -> None:
        """Items are about to be handed out."""

    def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
        """A chunk was computed, at the given attempt (from 1); may be kept until `flush_if_due`."""

    def give_up(self, item: int, message: str, attempt: int, *, died: bool) -> None:
        """An item's task raised, or killed its process, when it was alone in a chunk."""

    def mark_crashed(self, items: np.ndarray) -> None:
        """A process died while it held these items; they will be tried again."""

    def requeue(self, items: np.ndarray) -> None:
        """Items that were handed out did not come back, by no fault of theirs."""

    def flush_if_due(self) -> None:
        """Store what was kept; called whenever answers came, and every few seconds."""


@dataclass(frozen=True)
class Collector(Ledger):
    """The simplest ledger: passes on (items, result); an item that fails ends the run."""

    collect: Callable[[np.ndarray, Any], None]
    unit: str

    def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
        """Pass the result on."""
        self.collect(items, result)

    def give_up(self, item: int, message: str, attempt: int, *, died: bool) -> None:
        """Raise WorkerFailed."""
        raise WorkerFailed(f"{self.unit} {item}: {message}")
