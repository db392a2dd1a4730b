"""Every item is given out once, and again only after a failure: new items, failed ones alone, suspects."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pyxt_hpc.parallel.master.requeue_order import SUSPECTS_PER_CHUNK, RequeueOrder
from pyxt_hpc.parallel.pools.pool import Chunk


@given(
    n_new=st.integers(0, 300),
    n_suspects=st.integers(0, 300),
    n_workers=st.integers(1, 50),
    limits=st.lists(st.integers(1, 100), min_size=1),
    fates=st.lists(st.sampled_from(["done", "done", "raised", "sandbox died", "worker died"]), min_size=1),
)
def test_order_and_attempts_of_any_run(
    n_new: int, n_suspects: int, n_workers: int, limits: list[int], fates: list[str]
) -> None:
    items = np.arange(n_new + n_suspects)
    work = RequeueOrder(items[:n_new], items[n_new:], n_workers)
    attempts = dict.fromkeys(items[:n_new].tolist(), 0) | dict.fromkeys(items[n_new:].tolist(), 1)
    left = len(items)
    step = 0
    while left:
        assert len(work) == left
        chunk = work.next(limits[step % len(limits)], 0.0, np.inf)
        assert 1 <= len(chunk.items) <= limits[step % len(limits)]
        if chunk.sandboxed:
            assert len(chunk.items) <= SUSPECTS_PER_CHUNK
        new_left = [item for item, n in attempts.items() if n == 0]
        assert (chunk.attempt == 1) == bool(new_left)
        for item in chunk.items.tolist():
            attempts[item] += 1
            assert attempts[item] == chunk.attempt
        fate = fates[step % len(fates)] if step < 200 else "done"
        step += 1
        left -= len(chunk.items)
        if fate == "worker died":
            work.retry_in_sandbox(chunk)
        elif fate != "done" and len(chunk.items) > 1:
            work.retry_alone(chunk)
        else:
            continue
        left += len(chunk.items)
    assert not len(work)
    assert min(attempts.values(), default=1) >= 1


def test_items_of_failed_chunks_come_before_suspects() -> None:
    work = RequeueOrder(np.arange(1), np.arange(10, 12), 1)
    new = work.next(9, 0.0, np.inf)
    work.retry_in_sandbox(Chunk(np.array([20, 21])))
    work.retry_alone(Chunk(np.array([30, 31])))
    order = [new] + [work.next(9, 0.0, np.inf) for _ in range(4)]
    assert [(c.items.tolist(), c.attempt, c.sandboxed) for c in order] == [
        ([0], 1, False),
        ([30], 2, False),
        ([31], 2, False),
        ([10, 11], 2, True),
        ([20, 21], 2, True),
    ]
    assert not len(work)
