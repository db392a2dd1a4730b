"""A job for real launchers: squares of numbers, summed with an array that the ranks share.

Usage: toy_job.py {squares,raise,die,early,slow} N_WORKERS; prints what the test wants to know.
"""

import logging
import os
import sys
import time
from typing import Any

import numpy as np

from pyxt_hpc.errors import ConfigError, PyxtError
from pyxt_hpc.parallel.driver import run_chunks
from pyxt_hpc.parallel.pool import Payload, open_pool
from pyxt_hpc.parallel.world import detect_world

N = 2000


def prepare(meta: int, arrays: dict[str, np.ndarray]) -> tuple[int, dict[str, np.ndarray]]:
    """Context of a worker."""
    return meta, arrays


def squares(context: tuple[int, dict[str, np.ndarray]], chunk: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """Squares with an offset out of the shared arrays; who computed them; could they be overwritten."""
    meta, arrays = context
    return chunk**2 * meta + arrays["offset"][chunk], os.getpid(), arrays["offset"].flags.writeable


def raising(context: Any, chunk: np.ndarray) -> None:
    """Fail in the middle."""
    if 1000 in chunk:
        raise ValueError("a worker's own words")


def dying(context: Any, chunk: np.ndarray) -> None:
    """Die in the middle as a segmentation fault would."""
    if 1000 in chunk:
        os.abort()


def slow(context: Any, chunk: np.ndarray) -> None:
    """Take a while."""
    time.sleep(0.005 * len(chunk))


def early() -> Payload:
    """The master finds something wrong before the workers are needed."""
    raise ConfigError("nothing to do")


def payload() -> Payload:
    """Structured and plain arrays, empty ones too."""
    records = np.zeros(3, [("a", "i2"), ("b", "f8")])
    records["b"] = 1.5
    return Payload(3, {"offset": np.arange(N) * 10, "records": records, "none": np.zeros((0, 4), np.float32)})


def main(what: str, n_workers: int) -> None:
    """Run one job and check what came back."""
    world = detect_world()
    shared = world.on_master(early if what == "early" else payload)
    task = {"squares": squares, "raise": raising, "die": dying, "slow": slow}.get(what, squares)
    seen, pids, writeable = np.zeros(N, np.int64), set(), set()

    def collect(chunk: np.ndarray, result: Any) -> None:
        if task is squares:
            seen[chunk] += result[0]
            pids.add(result[1])
            writeable.add(result[2])
        print(f"chunk {chunk[0]} {len(chunk)}", flush=True)

    with open_pool(world, n_workers, prepare, shared) as pool:
        if pool is None:
            return
        run_chunks(pool, task, np.arange(N), collect, label="toy", unit="item")
    if task is squares:
        np.testing.assert_array_equal(seen, 3 * np.arange(N) ** 2 + 10 * np.arange(N))
        print(f"right with {len(pids)} workers, writeable {writeable}")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except PyxtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
