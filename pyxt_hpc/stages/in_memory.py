"""Stage 6 without a file: fits of some regions that stay in memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pyxt_hpc.fit.flags import UNUSABLE
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.parallel.driver import Collector, run_chunks
from pyxt_hpc.parallel.pool import Payload, open_pool
from pyxt_hpc.parallel.world import World
from pyxt_hpc.provenance import fingerprint
from pyxt_hpc.stages.fitting import fit_chunk
from pyxt_hpc.store.reader import Results
from pyxt_hpc.store.rows import ROW_DTYPE, Status


def fit_in_processes(fits: RegionFits, settings: Mapping[str, Any], n_workers: int) -> Results:
    """Fit regions in processes of this machine, 1 being this process.

    Parameters
    ----------
    fits
        Of the regions.
    settings
        What decides the numbers (`fitting.fit_settings`).
    n_workers
        How many processes.

    Raises
    ------
    WorkerFailed
        If a fit raises, or a process dies, again and again.
    Interrupted
        At Ctrl-C.
    """
    regions = fits.regions
    rows = np.zeros(len(regions), ROW_DTYPE)

    def collect(indices: np.ndarray, result: np.ndarray) -> None:
        rows[indices] = result.view(ROW_DTYPE)

    with open_pool(World(0, 1, None), n_workers, RegionFits.from_shared, Payload(*fits.to_shared())) as pool:
        if pool is not None:
            run_chunks(
                pool,
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
        fingerprint=fingerprint({**settings, "regions": regions}),
    )
