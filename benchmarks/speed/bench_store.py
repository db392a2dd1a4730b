"""Times of the results store in the master: create, write, open and verify 10^6 and 10^7 regions.

Usage: python -m benchmarks.speed.bench_store [--rows N ...] [--directory DIR]
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.common import environment
from pyxt_hpc.store.reader import open_store, read_store, verified_status
from pyxt_hpc.store.rows import REGION_DTYPE, ROW_DTYPE, Status, blank_rows, is_final
from pyxt_hpc.store.writer import ResultsStore

IDENTITY = {"fingerprint": "benchmark", "settings": {}}


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def chunk_cost(path: Path, size: int, n_chunks: int = 300) -> float:
    """Shortest time [s] of five rounds to mark a chunk as started and to store it."""
    regions = np.zeros(size * n_chunks, REGION_DTYPE)
    rows = blank_rows(regions[:size])
    status = np.full(size, Status.DONE, np.uint8)
    best = np.inf
    for _ in range(5):
        with ResultsStore.create(path, regions=regions, **IDENTITY) as store:
            start = time.perf_counter()
            for at in range(0, len(regions), size):
                indices = np.arange(at, at + size)
                store.start(indices)
                store.write(indices, rows, status)
            best = min(best, (time.perf_counter() - start) / n_chunks)
            assert is_final(store.status()).all()
    return best


def fill(store: ResultsStore, step: int = 1 << 16) -> None:
    """Store a result for every region."""
    for start in range(0, len(store), step):
        indices = np.arange(start, min(start + step, len(store)))
        rows = np.zeros(len(indices), ROW_DTYPE)
        rows["region"], rows["kT"] = indices, np.sqrt(indices)
        store.write(indices, rows, np.full(len(indices), Status.DONE, np.uint8))


def whole_store(path: Path, n: int) -> None:
    """Print the times of all operations on complete stores."""
    regions = np.zeros(n, REGION_DTYPE)
    regions["region"] = np.arange(n)
    times = {}
    start = time.perf_counter()
    with ResultsStore.create(path, regions=regions, **IDENTITY) as store:
        times["create"] = time.perf_counter() - start
        del regions
        times["write"] = seconds(lambda: fill(store))
    start = time.perf_counter()
    with ResultsStore.open_for_resume(path, **IDENTITY) as store:
        times["open, verify every row"] = time.perf_counter() - start
        times["pending()"] = seconds(store.pending)
        assert not len(store.pending())
    with open_store(path) as file:
        times["verify"] = seconds(lambda: verified_status(file))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results = read_store(path)
    assert (results.rows["kT"] == np.sqrt(np.arange(n))).all()
    print(f"{n} rows of {ROW_DTYPE.itemsize} bytes, {path.stat().st_size / n:.1f} bytes a row on disk:")
    for name, value in times.items():
        print(f"  {name:<24} {value:8.3f} s")
    print(f"  memory so far            {peak:8.0f} MB (before all rows are read at once)")


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10**6, 10**7])
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    print(environment())
    with tempfile.TemporaryDirectory(dir=arguments.directory) as folder:
        path = Path(folder) / "results.h5"
        for size in (1, 10, 100, 1000, 10_000):
            cost = chunk_cost(path, size)
            print(f"chunk of {size:>5}: {1e6 * cost:8.1f} us, {1e6 * cost / size:8.3f} us a region")
        for n in arguments.rows:
            whole_store(path, n)


if __name__ == "__main__":
    main()
