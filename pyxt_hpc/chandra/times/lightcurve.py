"""Light curves: events binned in time, with the live time of each bin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.times import gti as gti_arithmetic

BIN_S = 259.28  # bin with which the CXC cleaned its blank-sky files
PARTICLES_EV = (9000.0, 12000.0)  # band of particle background; the mirrors reflect hardly any X-rays in it


@dataclass(frozen=True, eq=False)
class LightCurve:
    """Counts (n_bin,) and live time (n_bin,) [s] between the bin edges (n_bin + 1,) [s]."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    live_s: NDArray[np.float64]

    @property
    def rate(self) -> NDArray[np.float64]:
        """Count rate (n_bin,) [s^-1] in live time; NaN in bins without live time."""
        return np.divide(
            self.counts, self.live_s, out=np.full(len(self.counts), np.nan), where=self.live_s > 0
        )


def light_curve(
    times: NDArray[np.float64],
    gtis: list[NDArray[np.float64]],
    edges: NDArray[np.float64] | None = None,
) -> LightCurve:
    """Bin the times of events (n,) [s]; the live time is averaged over chips.

    ``gtis`` has the intervals (m, 2) [s] of each chip, with at least one interval in total. ``edges``
    (n_bin + 1,) [s] are the edges of the bins; by default, bins of `BIN_S` begin with the first interval.
    """
    if edges is None:
        together = gti_arithmetic.union(gtis)
        start, stop = together[0, 0], together[-1, 1]
        n_bin = max(1, int(np.ceil((stop - start) / BIN_S - 1e-9)))
        edges = start + BIN_S * np.arange(n_bin + 1)
    counts = np.histogram(times, edges)[0].astype(np.int64)
    live_s = np.mean([gti_arithmetic.live_time(gti, edges) for gti in gtis], axis=0)
    return LightCurve(edges, counts, live_s)
