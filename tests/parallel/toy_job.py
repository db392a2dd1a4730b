"""A job for real launchers: fits that are known in advance, through the real store, pool and driver.

Usage: toy_job.py WHAT N_WORKERS STORE [--time-limit S] [--max-regions N] [--seconds S] [--regions N]
Goes on with STORE if it is there. WHAT is "fine" or what goes wrong: "raise", "die", "stuck", "full",
"early", "unprepared" or "defect". Prints what the test wants to know. Only the master imports the store: most
of the time of a test goes into starting its ranks.
"""

import argparse
import logging
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxt_hpc.errors import EXIT_TRY_AGAIN, ConfigError, DiskFull, PyxtError
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.limits import Limits
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.parallel.pools.pool import Payload
from pyxt_hpc.parallel.world import detect_world
from pyxt_hpc.store.rows import REGION_DTYPE, blank_rows

if TYPE_CHECKING:
    from pyxt_hpc.stages.checkpoint import StoreLedger
    from pyxt_hpc.store.writer import ResultsStore

GUILTY = 137
"""The region that raises or kills."""

RUN = float(os.environ.get("TOY_RUN", "1"))
"""Stored with every row: which run computed it."""


def toy_regions(n: int) -> np.ndarray:
    """Regions with the dtype REGION_DTYPE."""
    regions = np.zeros(n, REGION_DTYPE)
    regions["region"] = 1 + np.arange(n)
    regions["row"], regions["col"] = np.divmod(np.arange(n), 50)
    return regions


def toy_fits(regions: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """The correct row of every region, with the dtype ROW_DTYPE."""
    rows = blank_rows(regions)
    number = regions["region"].astype(float)
    rows["kT"], rows["norm"], rows["counts"] = 1.0 + np.sqrt(number), 1.0 / number, offset
    rows["attempts"], rows["seconds"] = 1, RUN
    return rows


def prepare(meta: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Context of a worker."""
    if meta["what"] == "unprepared" and os.environ.get("PMI_RANK", "0") == "1":
        raise MemoryError("no room for the context")
    return meta, arrays


def fit(context: Any, items: np.ndarray) -> np.ndarray:
    """Rows of some regions as bytes."""
    meta, arrays = context
    assert not any(array.flags.writeable for array in arrays.values())
    time.sleep(meta["seconds"] * len(items))
    if meta["what"] == "stuck" and (items > 5).any():
        print("stuck", flush=True)
        time.sleep(60)
    if GUILTY in items and meta["what"] == "raise":
        raise ValueError("a worker's own words")
    if GUILTY in items and meta["what"] == "die":
        os.abort()
    return toy_fits(arrays["regions"][items], arrays["offset"][items]).view(np.uint8)


def ledger_of(store: "ResultsStore", regions: np.ndarray) -> "StoreLedger":
    """A ledger that prints what it stores."""
    from pyxt_hpc.stages.checkpoint import StoreLedger

    class Ledger(StoreLedger):
        def add_result(self, items: np.ndarray, result: np.ndarray, attempt: int) -> None:
            if sys.argv[1] == "full" and items[0] > 50:
                raise DiskFull("no space left")
            super().add_result(items, result, attempt)
            print(f"chunk {items[0]} {len(items)} attempt {attempt}", flush=True)

    return Ledger(store, regions)


def begin(options: argparse.Namespace) -> tuple["ResultsStore", np.ndarray, Payload]:
    """Objects of the master."""
    if options.what == "early":
        raise ConfigError("nothing to do")
    from pyxt_hpc.store.writer import ResultsStore

    regions = toy_regions(options.regions)
    identity: dict[str, Any] = {"fingerprint": "toy", "settings": {"regions": len(regions)}}
    if options.store.exists():
        store = ResultsStore.open_for_resume(options.store, **identity)
    else:
        store = ResultsStore.create(options.store, regions=regions, **identity)
    offset = 10 * np.arange(len(regions))
    arrays = {"regions": regions, "offset": offset, "none": np.zeros((0, 4), np.float32)}
    return store, regions, Payload({"what": options.what, "seconds": options.seconds}, arrays)


def main(options: argparse.Namespace) -> None:
    """Run one job to its end."""
    world = detect_world()
    if world.is_master:
        import pyxt_hpc.stages.checkpoint  # noqa: F401 (before anything is timed)
    start = time.monotonic()
    limits = Limits.of(options.time_limit, options.max_regions)
    with world.others_wait():
        job = begin(options) if world.is_master else None
    if options.what == "defect" and world.is_master:
        raise AttributeError("a defect of the master alone")
    with (
        job[0] if job else nullcontext(),
        choose_pool(options.n_workers, world).open(prepare, job[2] if job else None) as pool,
    ):
        if pool is None or job is None:
            return
        from pyxt_hpc.stages.checkpoint import split_suspects

        with job[0] as store:
            pending, suspects = split_suspects(store)
            print(f"{pool.n_workers} workers", flush=True)
            begun = time.monotonic()
            try:
                run_chunks(
                    pool,
                    fit,
                    pending,
                    ledger_of(store, job[1]),
                    label="toy",
                    unit="region",
                    suspects=suspects,
                    initial=len(store) - len(pending) - len(suspects),
                    limits=limits,
                )
            finally:
                now = time.monotonic()
                print(f"used {now - start:.3f} s, computed in {now - begun:.3f} s", flush=True)
    print("complete", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what")
    parser.add_argument("n_workers", type=int)
    parser.add_argument("store", type=Path)
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("--max-regions", type=int)
    parser.add_argument("--seconds", type=float, default=5e-4, help="time of a fit")
    parser.add_argument("--regions", type=int, default=600)
    logging.basicConfig(level=logging.INFO)
    try:
        main(parser.parse_args())
    except PyxtError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_TRY_AGAIN)
