"""Chunks grow to the wanted time, get smaller towards the end, and are not too many for the master."""

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxt_hpc.parallel.master.chunk_size import (
    CHUNK_SECONDS,
    FIRST_ITEMS,
    FIRST_SECONDS,
    MAX_LAST_MASTER_SHARE,
    MAX_MASTER_SHARE,
    MIN_SHARE,
    ChunkSize,
)


def handed_out(
    n_items: int, n_workers: int, seconds_per_item: float, first: float = 0.0, master_seconds: float = 0.0
) -> list[int]:
    """Sizes of all chunks if every chunk takes its usual time, and the first longer for compilation."""
    sizes, out = ChunkSize(n_workers, n_items), []
    left = n_items
    while left:
        out.append(min(left, sizes.next(left, master_seconds)))
        left -= out[-1]
        sizes.measured(out[-1], out[-1] * seconds_per_item + (first if len(out) == 1 else 0.0))
    return out


def test_chunks_last_about_as_long_as_wanted() -> None:
    sizes = handed_out(100_000, 4, 1e-3)
    assert max(sizes) == pytest.approx(CHUNK_SECONDS / 1e-3, rel=0.01)
    assert sizes[0] == FIRST_ITEMS


def test_compilation_in_the_first_chunk_does_not_mislead() -> None:
    misled = handed_out(100_000, 4, 1e-3, first=20.0)
    assert misled[:2] == [FIRST_ITEMS, 1]
    assert misled[2:8] == handed_out(100_000, 4, 1e-3)[1:7]


def finished(n_workers: int, n_items: int, per_item: float, said: float) -> tuple[np.ndarray, list[int]]:
    """End times of workers that never wait, and all sizes of chunks; the first chunks have another speed."""
    sizes, out = ChunkSize(n_workers, n_items), []
    left = n_items - n_workers * sizes.next(n_items)
    assert sizes.latest == FIRST_ITEMS
    for _ in range(n_workers):
        sizes.measured(FIRST_ITEMS, FIRST_ITEMS * said)
    ends = np.zeros(n_workers)
    busy = [(0.0, worker, 0) for worker in range(n_workers)]
    while busy:
        now, worker, done = heapq.heappop(busy)
        ends[worker] = now
        if done:
            sizes.measured(done, done * per_item)
        if left:
            out.append(min(sizes.next(left), left))
            left -= out[-1]
            heapq.heappush(busy, (now + out[-1] * per_item, worker, out[-1]))
    return ends, out


@pytest.mark.parametrize("wrong", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("n_items", [7_500, 1_000_000])
def test_all_workers_end_together_even_if_the_first_speed_is_wrong(n_items: int, wrong: float) -> None:
    n_workers, per_item = 31, 1e-4
    ends, _ = finished(n_workers, n_items, per_item, wrong * per_item)
    ideal = n_items * per_item / n_workers
    assert ends.max() < 1.04 * ideal
    assert ends.min() > 0.9 * ideal


def test_first_speed_decides_the_first_chunk_of_a_short_job() -> None:
    # The even share is 24 ms.
    _, sizes = finished(31, 7_500, 1e-4, 1e-4)
    assert sizes[0] == pytest.approx(7_500 / 31 / 2, abs=2)
    assert len(sizes) < 8 * 31


def test_first_speed_is_not_trusted_with_long_chunks() -> None:
    _, sizes = finished(31, 10_000_000, 1e-3, 1e-4)
    assert sizes[0] * 1e-4 <= FIRST_SECONDS
    assert max(sizes) * 1e-3 <= 2 * CHUNK_SECONDS


def test_few_items_go_one_by_one_at_first() -> None:
    assert ChunkSize(4, 100).next(100) == 1


def test_no_worker_gets_a_long_chunk_at_the_end() -> None:
    sizes = handed_out(100_000, 16, 1e-3)
    assert sizes[-1] <= 1.01 * MIN_SHARE * CHUNK_SECONDS / 1e-3
    assert sum(sizes) == 100_000


def test_slow_items_go_one_by_one() -> None:
    assert set(handed_out(50, 4, 30.0)) == {1}


def test_many_workers_get_chunks_that_the_master_can_follow() -> None:
    n_workers, master = 4000, 1e-4
    sizes = handed_out(40_000_000, n_workers, 1e-3, master_seconds=master)
    # One round of all workers costs the master 0.4 s.
    assert max(sizes) == pytest.approx(n_workers * master / MAX_MASTER_SHARE / 1e-3, rel=0.01)
    assert min(sizes[20:-1]) == pytest.approx(n_workers * master / MAX_LAST_MASTER_SHARE / 1e-3, rel=0.01)


def test_slow_master_leaves_nobody_without_work() -> None:
    sizes = handed_out(4000, 400, 1e-4, master_seconds=1.0)
    assert max(sizes) <= 10


def test_chunks_fit_into_the_time_that_is_left() -> None:
    sizes = ChunkSize(4, 100_000)
    sizes.next(100_000)
    sizes.measured(1000, 1.0)
    sizes.measured(1000, 1.0)
    for _ in range(10):
        free = sizes.next(50_000)
    assert free == 1000
    assert sizes.next(50_000, 0.0, 0.25) == 250
    assert sizes.next(50_000, 0.0, 1e-9) == 1


@given(
    n_items=st.integers(1, 10**7),
    n_workers=st.integers(1, 20_000),
    done=st.lists(st.tuples(st.integers(1, 10**5), st.floats(0.0, 1e4)), max_size=8),
    left=st.integers(1, 10**7),
    master_seconds=st.floats(0.0, 10.0),
    max_seconds=st.floats(0.0, 1e6),
)
def test_any_chunk_has_an_item_and_is_no_longer_than_it_may_take(
    n_items: int,
    n_workers: int,
    done: list[tuple[int, float]],
    left: int,
    master_seconds: float,
    max_seconds: float,
) -> None:
    sizes = ChunkSize(n_workers, n_items)
    assert sizes.next(left) == sizes.first <= max(1, n_items // n_workers)
    for n, seconds in done:
        sizes.measured(n, seconds)
    size = sizes.next(left, master_seconds, max_seconds)
    assert size == sizes.latest >= 1
    if done:
        assert size == 1 or size * sizes.seconds_per_item <= max_seconds * (1 + 1e-9)
        assert size <= sizes.next(left, master_seconds)
