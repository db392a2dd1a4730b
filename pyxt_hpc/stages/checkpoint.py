"""Record of the state of every region in the results store, as fits are dispatched and finished."""

import numpy as np

from pyxt_hpc.fit.flags import UNUSABLE, FitFlag
from pyxt_hpc.parallel.master.ledger import Ledger
from pyxt_hpc.store.checksum import prepare
from pyxt_hpc.store.rows import ROW_DTYPE, Status, blank_rows
from pyxt_hpc.store.writer import ResultsStore


class StoreLedger(Ledger):
    """Ledger that writes results of fits, and the failures of regions, to the store.

    Parameters
    ----------
    store
        Store that is open for writing.
    regions
        (n,) all regions, in the order of the store.
    """

    def __init__(self, store: ResultsStore, regions: np.ndarray) -> None:
        self._store, self._regions = store, regions
        self._unsaved: list[tuple[np.ndarray, np.ndarray]] = []
        # Compile or load the kernel now, and not when all workers wait for the master.
        prepare(len(regions))

    def mark_started(self, items: np.ndarray) -> None:
        """Mark regions as in flight."""
        self._store.start(items)

    def add_result(self, items: np.ndarray, result: np.ndarray, attempt: int) -> None:
        """Keep (n x itemsize,) bytes of ROW_DTYPE until `flush_if_due`, since large writes are cheaper."""
        rows = result.view(ROW_DTYPE)
        if attempt > 1:
            rows = rows.copy()
            rows["attempts"] = attempt
        self._unsaved.append((items, rows))

    def give_up(self, item: int, message: str, attempt: int, *, died: bool) -> None:
        """Store a region without a fit, and the reason."""
        index = np.array([item])
        rows = blank_rows(self._regions[index])
        rows["flags"] = int(FitFlag.FAILED)
        rows["attempts"] = attempt
        status = np.array([Status.QUARANTINED if died else Status.BAD], np.uint8)
        self._store.write(index, rows, status, {item: message})

    def mark_crashed(self, items: np.ndarray) -> None:
        """Keep regions marked as in flight, for the next run if this one ends before it tries them again."""

    def requeue(self, items: np.ndarray) -> None:
        """Mark regions as pending."""
        self._store.give_back(items)

    def flush_if_due(self) -> None:
        """Store the kept results, renew the lock, and flush if it is due."""
        if not self._unsaved:
            self._store.heartbeat()
            return
        if len(self._unsaved) == 1:
            items, rows = self._unsaved[0]
        else:
            # Sort in the order of the store, to write neighbouring chunks together.
            self._unsaved.sort(key=lambda unsaved: unsaved[0][0])
            items = np.concatenate([items for items, _ in self._unsaved])
            rows = np.concatenate([rows.view(np.uint8) for _, rows in self._unsaved]).view(ROW_DTYPE)
        bad = (rows["flags"] & int(UNUSABLE)) != 0
        self._store.write(items, rows, np.where(bad, Status.BAD, Status.DONE).astype(np.uint8))
        self._unsaved.clear()


def split_suspects(store: ResultsStore) -> tuple[np.ndarray, np.ndarray]:
    """Pending regions, and those of them that were in flight when a process or a run died."""
    pending = store.pending()
    suspected = store.crashes()[pending] > 0
    return pending[~suspected], pending[suspected]
