"""Scaling of the scheduler, from a discrete-event model of 16 to 16384 ranks with measured costs.

    python -m benchmarks.speed.scaling_model [--validate] [--fit-us 100 400 1500]

The model uses the package's own `ChunkSize` and rules of dispatch, with workers in simulated time. The master
receives results, hands out chunks, and then stores the results, one after the other, with the costs from
bench_scheduler.py (those of single chunks, although several together cost less). Workers hold two chunks. A
message has a latency, and is noticed at the next poll. Fit times scatter between chunks, and a worker needs
additional time for every chunk.

Efficiency is the time of ideal workers (regions x fit time / workers) over the time from the first chunk of
measured size to the last stored row. The first chunks, with two regions for every worker, load its kernels
and show the speed: they are part of start-up, and their regions are not counted. "With start-up" includes the
time of start-up, which does not depend on the scheduler. --validate compares the model with real runs of 1 to
7 workers on this machine, with tasks that sleep.
"""

import argparse
import heapq
import itertools
import re
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pyxt_hpc.parallel.launch import find_mpiexec
from pyxt_hpc.parallel.master.chunk_size import CHUNK_SECONDS, ChunkSize
from pyxt_hpc.parallel.master.driver import BURST
from pyxt_hpc.parallel.pools.pool import IN_FLIGHT
from pyxt_hpc.parallel.pools.ranks import SLEEP_GROWTH, SLEEP_SECONDS

TOY = Path(__file__).resolve().parents[2] / "tests" / "parallel" / "toy_job.py"
RANKS = (16, 64, 256, 1024, 4096, 16384)
REGIONS = (100_000, 1_000_000, 10_000_000)
STARTUP_S = 10.0
"""Assumed time of imports, MPI_Init, templates and broadcast; for 3 ranks, it was measured as 3 s."""


TIMER_S = 55e-6
"""Time by which a short sleep is longer than requested on Linux."""

_PAUSES = [SLEEP_SECONDS[0]]
while _PAUSES[-1] < SLEEP_SECONDS[1]:
    _PAUSES.append(min(SLEEP_GROWTH * _PAUSES[-1], SLEEP_SECONDS[1]))
_LOOKS = np.cumsum(np.array(_PAUSES) + TIMER_S)


@dataclass(frozen=True)
class Costs:
    """Costs [s] of the master: to hand out, receive and store a chunk, and to store each of its regions.

    ``call`` is a worker's time for each chunk in addition to the fits; ``latency`` is that of a message.
    """

    hand_out: float = 30e-6
    receive: float = 20e-6
    store: float = 50e-6
    region: float = 0.2e-6
    call: float = 0.7e-3
    latency: float = 20e-6


def _seen(since: float, event: float) -> float:
    """Time at which a message of time `event` is noticed by polls since `since`, with growing pauses."""
    waited = event - since
    if waited <= 0:
        return since
    at = int(np.searchsorted(_LOOKS, waited))
    if at < len(_LOOKS):
        return since + float(_LOOKS[at])
    period = SLEEP_SECONDS[1] + TIMER_S
    return since + float(_LOOKS[-1] + period * np.ceil((waited - _LOOKS[-1]) / period))


def simulate(
    n_workers: int,
    n_regions: int,
    fit: float,
    costs: Costs,
    *,
    scatter: float = 0.1,
    loaded: bool = True,
    seed: int = 1,
) -> tuple[float, int]:
    """Time until the last row is stored [s], and the number of chunks.

    Parameters
    ----------
    n_workers, n_regions
        Number of ranks without the master, and number of regions.
    fit
        Mean time of a fit [s].
    costs
        Costs of master and workers.
    scatter
        Relative standard deviation of the mean fit time of chunks; neighbouring regions are similar.
    loaded
        True: time begins when the first chunks of all workers, which load kernels, have been received. False:
        time begins when the first chunk is handed out, and there are no kernels to load.
    """
    rng = np.random.default_rng(seed)
    sizes = ChunkSize(n_workers, n_regions)
    now, busy, n_chunks, left = 0.0, 0.0, 0, n_regions
    # Workers by the number of chunks that they hold, as in RankPool.
    free = [deque(range(n_workers)), deque[int]()]
    load = [0] * n_workers
    ready = np.zeros(n_workers)  # time at which each worker has computed all its chunks
    arriving: list[tuple[float, int, int, int, float, bool]] = []
    landed: list[int] = []
    ticket = itertools.count()
    flying = halting = 0
    if loaded:
        landed += [sizes.next(left)] * n_workers
        sizes.measured(sizes.first, sizes.first * (fit + costs.call / max(sizes.first - 1, 1)))
        left -= sum(landed)
        n_chunks = n_workers
        busy = n_workers * costs.receive
    while left or flying or landed:
        more = False
        for _ in range(BURST):
            plenty = left > n_workers * sizes.latest and not halting
            depth = IN_FLIGHT if plenty and n_workers > 1 else 1
            if not left or flying >= depth * n_workers:
                break
            first = not sizes.known
            size = min(sizes.next(left, costs.hand_out + (busy / n_chunks if n_chunks else 0.0)), left)
            left -= size
            flying += 1
            now += costs.hand_out
            worker = _idlest(free, load)
            seconds = size * fit * max(1.0 + scatter * rng.standard_normal(), 0.3) + costs.call
            begin = _seen(ready[worker], now + costs.latency)
            ready[worker] = begin + seconds
            first = first and size > 1
            if first:
                ready[worker] += costs.call
                halting += 1
                seconds += costs.call / (size - 1)
            heapq.heappush(
                arriving, (ready[worker] + costs.latency, next(ticket), worker, size, seconds, first)
            )
        else:
            more = True
        for size in landed:
            cost = costs.store + size * costs.region
            now += cost
            busy += cost
        landed.clear()
        if not more and arriving:
            now = _seen(now, arriving[0][0])
        while arriving and arriving[0][0] <= now and len(landed) < 64:
            _, _, worker, size, seconds, first = heapq.heappop(arriving)
            now += costs.receive
            busy += costs.receive
            n_chunks += 1
            flying -= 1
            halting -= first
            landed.append(size)
            load[worker] -= 1
            free[load[worker]].append(worker)
            sizes.measured(size, seconds)
    return now, n_chunks


def _idlest(free: "list[deque[int]]", load: list[int]) -> int:
    for level, workers in enumerate(free):
        while workers:
            worker = workers.popleft()
            if load[worker] == level:
                load[worker] += 1
                if level + 1 < IN_FLIGHT:
                    free[level + 1].append(worker)
                return worker
    raise AssertionError("nobody is free")


def efficiency(n_workers: int, n_regions: int, fit: float, costs: Costs) -> tuple[float, float]:
    """Efficiency of the workers, and time [s], as means of one or several runs."""
    repeats = 4 if n_regions * fit / n_workers < 1.0 else 1
    seconds = float(np.mean([simulate(n_workers, n_regions, fit, costs, seed=s)[0] for s in range(repeats)]))
    left = n_regions - n_workers * ChunkSize(n_workers, n_regions).first
    return left * fit / n_workers / seconds, seconds


def validate(costs: Costs) -> None:
    """Print times of real runs of the toy job, with fits that sleep, and times of the model."""
    mpiexec = find_mpiexec()
    assert mpiexec, "no MPI: pip install 'pyxt_hpc[mpi]'"
    print("workers  regions  fit [ms]  real [s]  model [s]  ratio")
    for n_workers, n_regions, fit in (
        (1, 500, 5e-3), (2, 1000, 5e-3), (3, 3000, 5e-3), (7, 3000, 5e-3), (7, 12000, 2e-3), (7, 200, 0.1),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [mpiexec, "-n", str(n_workers + 1), sys.executable, str(TOY), "fine", "1", f"{folder}/toy.h5",
                 "--regions", str(n_regions), "--seconds", str(fit)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        match = re.search(r"computed in ([\d.]+) s", done.stdout)
        assert match
        real = float(match[1])
        model, _ = simulate(n_workers, n_regions, fit, replace(costs, call=0.0), scatter=0.0, loaded=False)
        head = f"{n_workers:7d}  {n_regions:7d}  {1e3 * fit:8.1f}"
        print(f"{head}  {real:8.3f}  {model:9.3f}  {real / model:5.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="A model of the scheduler on thousands of ranks.")
    parser.add_argument("--validate", action="store_true", help="compare with real runs first")
    parser.add_argument(
        "--fit-us", type=float, nargs="+", default=[100.0, 1500.0, 45e3, 1.4e6], help="times of a fit"
    )
    parser.add_argument("--chunk-us", type=float, default=100.0, help="master's cost of a chunk")
    parser.add_argument("--region-us", type=float, default=0.2, help="master's cost of a region")
    parser.add_argument("--call-us", type=float, default=700.0, help="worker's cost of a chunk, fits apart")
    options = parser.parse_args()
    chunk = 1e-6 * options.chunk_us
    costs = Costs(0.3 * chunk, 0.2 * chunk, 0.5 * chunk, 1e-6 * options.region_us, 1e-6 * options.call_us)
    if options.validate:
        validate(costs)
    for fit_us in options.fit_us:
        print(f"\nfits of {fit_us:g} us; efficiency (with {STARTUP_S:g} s of start-up), seconds")
        print("  ranks " + "".join(f"{n:>28,d} regions" for n in REGIONS))
        for n_ranks in RANKS:
            cells = []
            for n_regions in REGIONS:
                if (
                    n_regions * 1e-6 * fit_us / CHUNK_SECONDS > 2e6
                ):  # events that Python can simulate in a minute
                    cells.append("-")
                    continue
                value, seconds = efficiency(n_ranks - 1, n_regions, 1e-6 * fit_us, costs)
                started = value * seconds / (seconds + STARTUP_S)
                cells.append(f"{value:10.1%} ({started:6.1%}) {seconds:9.2f} s")
            print(f"{n_ranks:7d} " + "".join(f"{cell:>36s}" for cell in cells))


if __name__ == "__main__":
    main()
