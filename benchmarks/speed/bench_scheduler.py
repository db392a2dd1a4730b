"""CPU time of the master for each chunk and for each region.

    python -m benchmarks.speed.bench_scheduler [--quick]

The program runs itself under `mpiexec -n 2` (MPI from PyPI) with a trivial task, so that only the scheduler
takes time: driver, pool, ledger and store are the real ones. Costs are CPU times of the master without the
time of waiting for messages. A linear fit to chunks of several sizes gives the cost of a chunk and of a
region. With one worker, nearly every chunk arrives alone; several chunks that arrive together are stored
together, at a lower cost. For comparison, `mpi4py.futures` handles the same messages in the same run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import environment
from pyxt_hpc.parallel.launch import find_mpiexec
from pyxt_hpc.parallel.master import driver, requeue_order
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.parallel.pools.pool import IN_FLIGHT, Payload, Pool
from pyxt_hpc.parallel.world import detect_world
from pyxt_hpc.stages.checkpoint import StoreLedger
from pyxt_hpc.store.reader import read_store
from pyxt_hpc.store.rows import REGION_DTYPE, ROW_DTYPE, Status, blank_rows
from pyxt_hpc.store.writer import ResultsStore

SIZES = (1, 10, 100, 1000, 10000)
SEED = 20240501


def prepare(meta: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Rows of all regions, prepared in advance."""
    return blank_rows(arrays["regions"])


def task(context: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Rows of some regions as bytes, without computation."""
    return context[items].view(np.uint8)


class FixedSize:
    """Replacement of `ChunkSize` with a fixed size."""

    size = 1
    seconds_per_item = 0.0
    known = True
    latest = 0

    def __init__(self, n_workers: int, n_items: int) -> None:
        pass

    def measured(self, n_items: int, seconds: float) -> None:
        """Ignore the measured time."""

    def next(self, *_: float) -> int:
        """Fixed size."""
        return self.size


def waiting(pool: Pool) -> list[float]:
    """Make the pool count the CPU time [s] of waiting for messages; return a list with this time."""
    idle = [0.0]
    wait = pool.wait

    def timed(timeout: float) -> Any:
        found: list[Any] = []
        while not found:
            start = time.thread_time()
            found = wait(0.0)
            if not found:
                time.sleep(2e-5)
                idle[0] += time.thread_time() - start
        return found

    pool.wait = timed  # type: ignore[method-assign]
    return idle


def measure(folder: Path, n_chunks: int) -> dict[str, list[float]]:
    """CPU times of the master for each chunk size, under MPI; empty lists on the worker."""
    world = detect_world()
    costs: dict[str, list[float]] = {"us_per_chunk": []}
    requeue_order.ChunkSize = FixedSize  # type: ignore[assignment,misc]
    n_most = min(n_chunks * SIZES[-1], 2_000_000)
    regions = np.zeros(n_most, REGION_DTYPE)
    regions["region"] = np.arange(1, n_most + 1)
    payload = Payload(None, {"regions": regions}) if world.is_master else None
    with choose_pool(1, world).open(prepare, payload) as pool:
        if pool is None:
            return costs
        idle = waiting(pool)
        for size in SIZES:
            FixedSize.size = size
            n = min(n_chunks * size, n_most)
            best = np.inf
            for _ in range(6):
                path = folder / "store.h5"
                with ResultsStore.create(path, regions=regions[:n], fingerprint="x", settings={}) as store:
                    ledger = StoreLedger(store, regions)
                    idle[0] = 0.0
                    start = time.thread_time()
                    driver.run_chunks(pool, task, np.arange(n), ledger, label="x", unit="x")
                    used = time.thread_time() - start - idle[0]
                assert (read_store(path).status == Status.DONE).all()
                best = min(best, used / (n / size))
            costs["us_per_chunk"].append(1e6 * best)
    return costs


def measure_futures(n_chunks: int) -> dict[str, list[float]]:
    """CPU times of mpi4py.futures with the same messages: all threads, with waiting, without a store."""
    from concurrent.futures import FIRST_COMPLETED, wait

    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    costs: dict[str, list[float]] = {"us_per_chunk": []}
    with MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
        if executor is None:
            return costs
        for size in SIZES:
            executor.submit(_rows, 0, size).result()
            start, in_flight, n_left = time.process_time(), set(), min(n_chunks, 500)
            n = n_left
            while n_left or in_flight:
                while n_left and len(in_flight) < IN_FLIGHT:
                    in_flight.add(executor.submit(_rows, n_left * size, size))
                    n_left -= 1
                done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                assert all(len(future.result()) == size * ROW_DTYPE.itemsize for future in done)
            costs["us_per_chunk"].append(1e6 * (time.process_time() - start) / n)
    return costs


def _rows(first: int, n: int) -> np.ndarray:
    return np.zeros(n * ROW_DTYPE.itemsize, np.uint8)


def memory_per_region(folder: Path) -> tuple[float, float]:
    """Peak memory [bytes] that Python allocates in the master for runs of 100,000 and 400,000 regions."""
    grown = []
    for n in (1_000, 100_000, 400_000):  # the first run loads modules
        regions = np.zeros(n, REGION_DTYPE)
        path = folder / "store.h5"
        with (
            ResultsStore.create(path, regions=regions, fingerprint="x", settings={}) as store,
            choose_pool().open(prepare, Payload(None, {"regions": regions})) as pool,
        ):
            assert pool is not None
            items = store.pending()
            FixedSize.size = 1000
            requeue_order.ChunkSize = FixedSize  # type: ignore[assignment,misc]
            tracemalloc.start()
            driver.run_chunks(pool, task, items, StoreLedger(store, regions), label="x", unit="x")
            grown.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    return grown[1], grown[2]


def line(sizes: tuple[int, ...], costs: list[float]) -> tuple[float, float]:
    """Cost of a chunk and of a region [us], from a linear fit with equal relative errors for all sizes."""
    design = np.array([[1.0, size] for size in sizes]) / np.array(costs)[:, None]
    chunk, region = np.linalg.lstsq(design, np.ones(len(costs)), rcond=None)[0]
    return float(chunk), float(region)


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the scheduler.")
    parser.add_argument("--quick", action="store_true", help="fewer chunks")
    parser.add_argument("--inside", choices=("driver", "futures"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    n_chunks = 200 if options.quick else 2000
    if options.inside:
        costs = measure(options.folder, n_chunks) if options.inside == "driver" else measure_futures(n_chunks)
        if costs["us_per_chunk"]:
            (options.folder / "costs.json").write_text(json.dumps(costs))
        return
    print(environment())
    print(f"a row is {ROW_DTYPE.itemsize} bytes")
    mpiexec = find_mpiexec()
    assert mpiexec, "no MPI: pip install 'pyxt_hpc[mpi]'"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for inside in ("driver", "futures"):
            python = [sys.executable, "-m", "benchmarks.speed.bench_scheduler"]
            command = [mpiexec, "-n", "2", *python, "--inside", inside, "--folder", made]
            subprocess.run([*command, *(["--quick"] if options.quick else [])], check=True)
            costs = json.loads((folder / "costs.json").read_text())["us_per_chunk"]
            print({"driver": "this package, with store", "futures": "mpi4py.futures, no store"}[inside])
            for size, cost in zip(SIZES, costs, strict=True):
                print(f"  chunks of {size:6d}: {cost:9.1f} us a chunk, {cost / size:8.3f} us a region")
            chunk, region = line(SIZES, costs)
            print(f"  {chunk:.1f} us a chunk + {region:.3f} us a region")
        few, many = memory_per_region(folder)
        print(f"master's peak beyond items and status: {few / 1e6:.2f} MB at 100,000 regions, "
              f"{many / 1e6:.2f} MB at 400,000")  # fmt: skip


if __name__ == "__main__":
    main()
