"""Stage 6 in memory: fits of some regions without a results store."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyxt_hpc.fit.flags import UNUSABLE
from pyxt_hpc.fit.inputs import fit_fingerprint
from pyxt_hpc.fit.region_map import RegionSet
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.ledger import Collector
from pyxt_hpc.parallel.pools.pool import Payload, Pool
from pyxt_hpc.stages.fitting import fit_chunk
from pyxt_hpc.store.reader import Results
from pyxt_hpc.store.rows import ROW_DTYPE, Status


def fit_in_memory(fits: RegionFits, settings: Mapping[str, Any], pool: Pool) -> Results:
    """Fit regions and return their results.

    Parameters
    ----------
    settings
        Settings that decide the results (`fit.inputs.fit_settings`).
    pool
        Pool of workers; not MPI ranks, which only the command line supports.

    Raises
    ------
    WorkerFailed
        If fits of a region repeatedly raise an error or end their process.
    Interrupted
        At Ctrl-C.
    """
    regions = fits.regions
    rows = np.zeros(len(regions), ROW_DTYPE)

    def collect(indices: np.ndarray, result: np.ndarray) -> None:
        rows[indices] = result.view(ROW_DTYPE)

    with pool.open(RegionFits.from_shared, Payload(*fits.to_shared())) as workers:
        assert workers is not None, "MPI ranks"
        run_chunks(
            workers,
            fit_chunk,
            np.arange(len(regions)),
            Collector(collect, "region"),
            label="fits",
            unit="region",
            when_stopped="nothing is kept",
        )
    bad = (rows["flags"] & int(UNUSABLE)) != 0
    return Results(
        rows=rows,
        status=np.where(bad, Status.BAD, Status.DONE).astype(np.uint8),
        settings=dict(settings),
        fingerprint=fit_fingerprint(settings, RegionSet(regions, fits.runs)),
    )
