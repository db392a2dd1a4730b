"""Forked workers: their answers, their deaths, and the end of their own child processes only."""

import errno
import faulthandler
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyxt_hpc.parallel.pools.pool import Chunk, ChunkResult, Failure, Payload
from pyxt_hpc.parallel.pools.processes import PIPE_BYTES, ProcessPool

PAYLOAD = Payload(3, {"factor": np.arange(5)})


def prepare(meta: int, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Context of a worker: an array."""
    assert not arrays["factor"].flags.writeable
    return meta * arrays["factor"]


def times_twelve(context: np.ndarray, items: np.ndarray) -> np.ndarray:
    """A task."""
    return context[4] * items


def die_of(context: np.ndarray, items: np.ndarray) -> int:
    """A task that ends its process by a signal, if one is given."""
    faulthandler.disable()  # pytest's would print where
    for number in items.tolist():
        os.kill(os.getpid(), number)
    return os.getpid()


def answers(pool: ProcessPool, n: int) -> list[ChunkResult]:
    """That many answers."""
    found: list[ChunkResult] = []
    while len(found) < n:
        found += pool.wait(30.0)
    return found


def test_answers_are_those_of_the_chunks() -> None:
    chunks = [Chunk(np.arange(n, 2 * n)) for n in (1, 2, 3, 4)] + [Chunk(np.array([5, 3, 9]), is_probe=True)]
    with ProcessPool(3).open(prepare, PAYLOAD) as pool:
        for chunk in chunks:
            pool.submit(times_twelve, chunk)
        found = {answer.chunk: answer for answer in answers(pool, 5)}
    assert all(answer.failure is None for answer in found.values())
    for chunk in chunks[:4]:
        np.testing.assert_array_equal(found[chunk].value, 12 * chunk.items)
    first, others = found[chunks[4]].value
    assert (first.tolist(), others.tolist()) == ([60], [36, 108])


def test_long_messages_both_ways_do_not_wait_for_each_other() -> None:
    items = np.arange(0, 20 * PIPE_BYTES, 2)
    with ProcessPool(1).open(prepare, PAYLOAD) as pool:
        for _ in range(2):
            pool.submit(times_twelve, Chunk(items))
        for _ in range(3):
            (answer,) = answers(pool, 1)
            np.testing.assert_array_equal(answer.value, 12 * items)
            pool.submit(times_twelve, Chunk(items))
        answers(pool, 2)


def test_only_what_a_dead_worker_held_has_failed_and_it_is_replaced() -> None:
    with ProcessPool(2).open(prepare, PAYLOAD) as pool:
        fatal, innocent = Chunk(np.array([signal.SIGKILL])), Chunk(np.arange(7))
        pool.submit(die_of, fatal)
        pool.submit(times_twelve, innocent)
        found = {answer.chunk: answer for answer in answers(pool, 2)}
        assert (found[fatal].failure, found[fatal].value) == (Failure.WORKER_DIED, "SIGKILL")
        assert found[innocent].failure is None
        for _ in range(2):
            pool.submit(die_of, Chunk(np.zeros(1, np.int64)))
        pids = {answer.value for answer in answers(pool, 2)}
        assert len(pids) == 2
        assert os.getpid() not in pids


@pytest.mark.parametrize("sandboxed", [False, True])
def test_what_a_task_raises_is_told_with_its_process(sandboxed: bool) -> None:
    with ProcessPool(1).open(prepare, PAYLOAD) as pool:
        pool.submit(raising, Chunk(np.arange(2), sandboxed=sandboxed))
        (answer,) = answers(pool, 1)
    assert answer.failure is Failure.RAISED
    assert "ZeroDivisionError: of 2 items" in answer.value


def raising(context: Any, items: np.ndarray) -> None:
    """A task that raises."""
    raise ZeroDivisionError(f"of {len(items)} items")


def unpicklable(context: Any, items: np.ndarray) -> Any:
    """A task whose result cannot be sent."""
    return lambda: None


def test_result_that_cannot_be_sent_is_an_error_of_the_task() -> None:
    with ProcessPool(1).open(prepare, PAYLOAD) as pool:
        pool.submit(unpicklable, Chunk(np.arange(2)))
        (answer,) = answers(pool, 1)
    assert answer.failure is Failure.RAISED
    assert "pickle" in answer.value


def test_death_in_a_sandbox_leaves_the_worker() -> None:
    with ProcessPool(1).open(prepare, PAYLOAD) as pool:
        pool.submit(die_of, Chunk(np.zeros(1, np.int64)))
        before = answers(pool, 1)[0].value
        pool.submit(die_of, Chunk(np.array([signal.SIGSEGV]), sandboxed=True))
        (answer,) = answers(pool, 1)
        assert answer.failure is Failure.SANDBOX_DIED
        assert "SIGSEGV" in answer.value
        pool.submit(die_of, Chunk(np.zeros(1, np.int64)))
        assert answers(pool, 1)[0].value == before


def stuck(context: Any, items: np.ndarray) -> None:
    """A task that takes long."""
    time.sleep(60)


def test_an_error_of_the_master_does_not_wait_for_workers() -> None:
    def interrupted() -> None:
        with ProcessPool(2).open(prepare, PAYLOAD) as pool:
            pool.submit(stuck, Chunk(np.arange(2)))
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - start < 30


def test_only_own_children_are_killed() -> None:
    pids = []

    def failing() -> None:
        with ProcessPool(2).open(prepare, PAYLOAD) as pool:
            pool.submit(die_of, Chunk(np.zeros(1, np.int64)))
            pids.append(answers(pool, 1)[0].value)
            raise RuntimeError("of the master")

    other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    other.start()
    with pytest.raises(RuntimeError, match="of the master"):
        failing()
    assert pids != [os.getpid()]
    assert not Path(f"/proc/{pids[0]}").exists()
    assert other.is_alive()
    other.kill()
    other.join()


def test_a_fork_that_the_system_refuses_is_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fork, forked = os.fork, []

    def refuse() -> int:
        if forked:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        forked.append(fork())
        return forked[0]

    monkeypatch.setattr(os, "fork", refuse)
    with (
        pytest.raises(OSError, match="Too many open files"),
        ProcessPool(2).open(prepare, PAYLOAD),
    ):
        pass
    assert len(forked) == 1
    assert not Path(f"/proc/{forked[0]}").exists()
