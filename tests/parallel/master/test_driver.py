"""The master's loop in one process: the order of the work, and the treatment of failures."""

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxt_hpc.errors import DiskFull, Interrupted, WorkerFailed
from pyxt_hpc.parallel.master import driver
from pyxt_hpc.parallel.master.chunk_size import FIRST_ITEMS
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.ledger import Collector
from pyxt_hpc.parallel.master.limits import Limits
from pyxt_hpc.parallel.master.requeue_order import SUSPECTS_PER_CHUNK
from pyxt_hpc.parallel.pools.pool import Chunk, ChunkResult, Failure


class FakePool:
    """A pool that fails as requested: items that raise or kill, alone or with the whole pool."""

    n_workers = 2
    sandboxes_protect = True

    def __init__(self, raising: set[int], deadly: set[int], *, fragile: bool = False) -> None:
        self.raising, self.deadly, self.fragile = raising, deadly, fragile
        self.log: list[tuple[list[int], bool]] = []
        self.in_flight: list[Chunk] = []
        self.waited_with: list[int] = []

    def submit(self, task: Any, chunk: Chunk) -> None:
        self.log.append((chunk.items.tolist(), chunk.sandboxed))
        self.in_flight.append(chunk)

    def wait(self, timeout: float) -> list[ChunkResult]:
        if not timeout:
            return []  # it may wait only when all workers have work
        self.waited_with.append(len(self.in_flight))
        chunk = self.in_flight[0]
        items = chunk.items
        deadly = bool(self.deadly & set(items.tolist()))
        if self.fragile and deadly and not (chunk.sandboxed and self.sandboxes_protect):
            broken, self.in_flight = self.in_flight, []
            return [ChunkResult(chunk, 0.0, "SIGKILL", Failure.WORKER_DIED) for chunk in broken]
        del self.in_flight[0]
        if deadly:
            assert chunk.sandboxed, "this would have killed the job"
            return [ChunkResult(chunk, 0.0, "SIGSEGV", Failure.SANDBOX_DIED)]
        if self.raising & set(items.tolist()):
            return [ChunkResult(chunk, 0.0, "its message", Failure.RAISED)]
        value = (2 * items[:1], 2 * items[1:]) if chunk.is_probe else 2 * items
        return [ChunkResult(chunk, 1e-3 * len(items), value, None)]


class Ledger:
    """A ledger in memory."""

    def __init__(self) -> None:
        self.in_flight: set[int] = set()
        self.results: dict[int, int] = {}
        self.attempts: dict[int, int] = {}
        self.given_up: dict[int, bool] = {}
        self.crashed: list[int] = []

    def mark_started(self, items: np.ndarray) -> None:
        assert not self.in_flight & set(items.tolist()) - set(self.crashed)
        self.in_flight |= set(items.tolist())

    def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
        for item, value in zip(items.tolist(), result.tolist(), strict=True):
            assert item not in self.results
            self.results[item], self.attempts[item] = value, attempt
        self.in_flight -= set(items.tolist())

    def give_up(self, item: int, message: str, attempt: int, *, died: bool) -> None:
        self.given_up[item], self.attempts[item] = died, attempt
        self.in_flight.discard(item)

    def mark_crashed(self, items: np.ndarray) -> None:
        self.crashed += items.tolist()

    def requeue(self, items: np.ndarray) -> None:
        self.in_flight -= set(items.tolist())

    def flush_if_due(self) -> None:
        pass


def run(pool: Any, items: np.ndarray, **options: Any) -> Ledger:
    """Do one run."""
    ledger = Ledger()
    run_chunks(pool, None, items, ledger, label="toy", unit="item", **options)  # type: ignore[arg-type]
    assert not ledger.in_flight
    return ledger


def test_only_the_item_that_raises_is_given_up() -> None:
    ledger = run(FakePool({70, 71, 300}, set()), np.arange(500))
    assert ledger.given_up == {70: False, 71: False, 300: False}
    assert ledger.results == {i: 2 * i for i in range(500) if i not in ledger.given_up}


@given(
    n_new=st.integers(0, 200),
    n_suspects=st.integers(0, 100),
    raising=st.sets(st.integers(0, 299)),
    deadly=st.sets(st.integers(0, 299), max_size=8),
    n_workers=st.integers(1, 9),
)
def test_every_item_ends_once_whatever_fails(
    n_new: int, n_suspects: int, raising: set[int], deadly: set[int], n_workers: int
) -> None:
    pool = FakePool(raising, deadly, fragile=True)
    pool.n_workers = n_workers
    items = np.arange(n_new + n_suspects)
    ledger = run(pool, items[:n_new], suspects=items[n_new:])
    expected = {item: item in deadly for item in items.tolist() if item in raising | deadly}
    assert ledger.given_up == expected
    assert ledger.results == {item: 2 * item for item in items.tolist() if item not in expected}
    sandboxed = [item for items, sandboxed in pool.log if sandboxed for item in items]
    if not deadly:
        assert set(sandboxed) == set(items[n_new:].tolist())


def test_suspects_come_last_and_only_the_deadly_one_is_given_up() -> None:
    pool = FakePool(set(), {205})
    ledger = run(pool, np.arange(200), suspects=np.arange(200, 500))
    assert ledger.given_up == {205: True}
    assert len(ledger.results) == 499
    sandboxed = [items for items, sandbox in pool.log if sandbox]
    assert pool.log[-len(sandboxed) :] == [(items, True) for items in sandboxed]
    assert max(map(len, sandboxed)) == SUSPECTS_PER_CHUNK
    assert sum(len(items) == 1 for items in sandboxed) == SUSPECTS_PER_CHUNK
    assert set(ledger.crashed) == set(range(200, 200 + SUSPECTS_PER_CHUNK))
    assert ledger.attempts[205] == 3
    assert ledger.attempts[499] == 2
    assert ledger.attempts[0] == 1


def test_broken_pool_is_survived() -> None:
    ledger = run(FakePool({7}, {100}, fragile=True), np.arange(400))
    assert ledger.given_up == {7: False, 100: True}
    assert len(ledger.results) == 398


def test_pool_that_breaks_all_the_time_is_given_up() -> None:
    pool = FakePool(set(), set(range(10_000)), fragile=True)
    pool.sandboxes_protect = False
    with pytest.raises(WorkerFailed, match="one after the other"):
        run(pool, np.arange(10_000))


def test_every_worker_has_work_before_the_master_waits() -> None:
    pool = FakePool(set(), set())
    pool.n_workers = 500
    run(pool, np.arange(1_000_000))
    # First chunks show the speed; no worker gets a second one before all are back.
    assert pool.waited_with[:500] == [500] * 500
    assert pool.waited_with[500] == 1000
    assert {len(items) for items, _ in pool.log[:500]} == {FIRST_ITEMS}


def test_results_of_a_chunk_that_shows_the_speed_are_those_of_its_items() -> None:
    ledger = run(FakePool(set(), set()), np.arange(64))
    assert ledger.results == {i: 2 * i for i in range(64)}


def test_workers_have_more_to_do_before_results_are_stored() -> None:
    pool, in_flight = FakePool(set(), set()), []

    class Storing(Ledger):
        def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
            super().add_result(items, result, attempt)
            in_flight.append(len(pool.in_flight))

    run_chunks(pool, None, np.arange(1000), Storing(), label="toy", unit="item")  # type: ignore[arg-type]
    assert min(in_flight[:8]) >= pool.n_workers


def test_collector_ends_the_run_at_the_first_failure() -> None:
    with pytest.raises(WorkerFailed, match="row 3: its message"):
        run_chunks(
            FakePool({3}, set()), None, np.arange(9), Collector(lambda *_: None, "row"), label="x", unit="row"
        )  # type: ignore


def test_limit_of_items_counts_retries_once() -> None:
    ledger = Ledger()
    pool = FakePool({5}, set())
    with pytest.raises(Interrupted, match="stopped by the limit of 50 with 150 of 200 items left"):
        run_chunks(pool, None, np.arange(200), ledger, label="x", unit="item", limits=Limits(None, 50))  # type: ignore
    assert len(ledger.results) + len(ledger.given_up) == 50
    assert not ledger.in_flight


def test_passed_deadline_hands_out_nothing() -> None:
    pool = FakePool(set(), set())
    with pytest.raises(Interrupted, match="time limit with 20 of 20"):
        run(pool, np.arange(20), limits=Limits(time.monotonic() - 1, None))
    assert not pool.log


def test_what_is_in_flight_is_given_back_when_storing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()

    def full(*_: Any) -> None:
        raise DiskFull("no space")

    monkeypatch.setattr(ledger, "add_result", full)
    with pytest.raises(DiskFull):
        run_chunks(FakePool(set(), set()), None, np.arange(99), ledger, label="x", unit="item")  # type: ignore
    assert not ledger.in_flight


@pytest.mark.parametrize("stored", [True, False])
def test_what_the_ledger_keeps_is_stored_or_given_back_at_an_early_end(stored: bool) -> None:
    pool = FakePool({150}, set())
    wait = pool.wait
    pool.wait = lambda timeout: [answer for _ in pool.in_flight[:] for answer in wait(timeout)]  # type: ignore

    class Keeping(Ledger):
        def __init__(self) -> None:
            super().__init__()
            self.kept: set[int] = set()

        def add_result(self, items: np.ndarray, result: Any, attempt: int) -> None:
            if not stored and self.results:
                raise DiskFull("no space")
            self.kept |= set(items.tolist())
            self.results.update(zip(items.tolist(), result.tolist(), strict=True))

        def give_up(self, *_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        def flush_if_due(self) -> None:
            if not stored and self.kept:
                raise DiskFull("no space")
            self.in_flight -= self.kept
            self.kept = set()

    ledger = Keeping()
    with pytest.raises((DiskFull, KeyboardInterrupt)):
        run_chunks(pool, None, np.arange(400), ledger, label="toy", unit="item")  # type: ignore[arg-type]
    assert not ledger.in_flight
    assert bool(ledger.kept) != stored


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace pauses by nothing."""
    monkeypatch.setattr(driver, "WAIT_SECONDS", 1e-9)
