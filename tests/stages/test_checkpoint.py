"""What the store remembers of regions that were handed out."""

from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.stages.checkpoint import StoreLedger, split_suspects
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import REGION_DTYPE, Status, blank_rows
from pyxt_hpc.store.writer import ResultsStore

N = 20


def open_store(path: Path) -> ResultsStore:
    """New, or as it was left."""
    regions = np.zeros(N, REGION_DTYPE)
    regions["region"] = 1 + np.arange(N)
    if path.exists():
        return ResultsStore.open_for_resume(path, fingerprint="x", settings={})
    return ResultsStore.create(path, regions=regions, fingerprint="x", settings={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a store."""
    return tmp_path / "store.h5"


def regions_of(store: ResultsStore) -> np.ndarray:
    """As the stage has them."""
    regions = np.zeros(N, REGION_DTYPE)
    regions["region"] = 1 + np.arange(N)
    return regions


def test_fate_of_every_region_is_stored(path: Path) -> None:
    items = np.arange(4)
    with open_store(path) as store:
        ledger = StoreLedger(store, regions_of(store))
        ledger.mark_started(np.arange(8))
        rows = blank_rows(regions_of(store)[items])
        rows["kT"], rows["attempts"], rows["flags"] = 5.0, 1, [0, 0, FitFlag.NO_COUNTS, 0]
        ledger.add_result(items, rows.view(np.uint8), 1)
        ledger.give_up(4, "ValueError: no", 2, died=False)
        ledger.give_up(5, "SIGSEGV", 3, died=True)
        ledger.requeue(np.array([6]))
        ledger.flush_if_due()
    found = read_store(path)
    done, bad = Status.DONE, Status.BAD
    assert found.status[:8].tolist() == [done, done, bad, done, bad, Status.QUARANTINED, 0, Status.IN_FLIGHT]
    assert found.messages == {4: "ValueError: no", 5: "SIGSEGV"}
    assert found.rows["attempts"][:6].tolist() == [1, 1, 1, 1, 2, 3]
    assert found.rows["region"].tolist() == list(range(1, N + 1))
    assert (found.rows["flags"][4:6] == FitFlag.FAILED).all()
    assert np.isnan(found.rows["kT"][4:6]).all()


def test_number_of_the_attempt_is_stored_with_a_row_that_is_the_workers(path: Path) -> None:
    with open_store(path) as store:
        ledger = StoreLedger(store, regions_of(store))
        sent = blank_rows(regions_of(store)[3:4])
        sent["attempts"] = 1
        received = sent.view(np.uint8)
        received.flags.writeable = False
        ledger.add_result(np.array([3]), received, 2)
        ledger.flush_if_due()
    assert read_store(path).rows["attempts"][3] == 2


def test_chunks_that_came_together_are_stored_as_what_they_are(path: Path) -> None:
    with open_store(path) as store:
        ledger = StoreLedger(store, regions_of(store))
        for items, attempt in (([9, 10, 12], 1), ([2, 3], 2), ([4, 5], 1)):
            rows = blank_rows(regions_of(store)[items])
            rows["kT"], rows["attempts"] = items, 1
            ledger.add_result(np.array(items), rows.view(np.uint8), attempt)
        assert (store.status() == Status.PENDING).all()
        ledger.flush_if_due()
        ledger.flush_if_due()
    found = read_store(path)
    stored = [2, 3, 4, 5, 9, 10, 12]
    assert np.flatnonzero(found.status == Status.DONE).tolist() == stored
    assert found.rows["kT"][stored].tolist() == stored
    assert found.rows["region"][stored].tolist() == [1 + i for i in stored]
    assert found.rows["attempts"][stored].tolist() == [2, 2, 1, 1, 1, 1, 1]


def test_regions_in_flight_at_a_crash_are_suspects(path: Path) -> None:
    with open_store(path) as store:
        ledger = StoreLedger(store, regions_of(store))
        ledger.mark_started(np.array([2, 3, 4, 9]))
        ledger.requeue(np.array([3]))
        ledger.mark_crashed(np.array([2, 4]))
    with open_store(path) as store:
        pending, suspects = split_suspects(store)
        assert suspects.tolist() == [2, 4, 9]
        assert pending.tolist() == [i for i in range(N) if i not in (2, 4, 9)]
