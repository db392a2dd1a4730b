"""Estimate of the time and memory of a run, from fits of a sample on this machine."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.inputs import read_cluster_bundle, read_region_map
from pyxt_hpc.fit.regions import BLOCK_BYTES, RegionFits

TIME_MARGIN = 1.5
MEMORY_MARGIN = 1.5
START_SECONDS = 60.0
"""Time to start Python on many nodes from a shared file system, and to load compiled kernels."""

_TOGETHER = 25
"""Largest number of neighbours that are fitted together, as in a run: the same observations see them."""


@dataclass(frozen=True)
class Estimate:
    """Measured requirements of the fits, and those of a run on some nodes.

    Parameters
    ----------
    resolution, regions
        Resolution, and its number of regions.
    sampled, seconds_per_region
        Number of regions fitted here, and the time of one region on one core [s].
    nodes, ranks_per_node
        Size of the run; one rank is the master.
    shared_bytes, master_bytes, rank_bytes
        Memory that the ranks of a node share, the bundle of the master, and the memory of each rank [byte].
    """

    resolution: int
    regions: int
    sampled: int
    seconds_per_region: float
    nodes: int
    ranks_per_node: int
    shared_bytes: int
    master_bytes: int
    rank_bytes: int

    @property
    def workers(self) -> int:
        """Number of ranks that fit."""
        return max(self.nodes * self.ranks_per_node - 1, 1)

    @property
    def fit_seconds(self) -> float:
        """Time of the fits alone [s]."""
        return self.seconds_on(self.workers)

    def seconds_on(self, cores: int) -> float:
        """Time of the fits on a number of cores of this machine [s]."""
        return self.regions * self.seconds_per_region / max(cores, 1)

    @property
    def time_seconds(self) -> int:
        """Time to request: with margin and start, in multiples of 5 minutes [s]."""
        return 300 * math.ceil((TIME_MARGIN * self.fit_seconds + START_SECONDS) / 300)

    @property
    def memory_gigabytes(self) -> int:
        """Memory to request for a node [GiB]."""
        needed = self.shared_bytes + self.master_bytes + self.ranks_per_node * self.rank_bytes
        return math.ceil(MEMORY_MARGIN * needed / 2**30)


def estimate_fits(
    config: ClusterConfig, *, resolution: int, nodes: int, ranks_per_node: int, sample: int = 300
) -> Estimate:
    """Fit groups of neighbouring regions, spread evenly over the image, and measure time and memory.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If the bundle or scale map is missing or unreadable, or they do not belong together.
    EmptySelection
        If there is no region.
    """
    at_start = _resident_bytes()
    bundle = read_cluster_bundle(config)
    where = read_region_map(config, bundle)
    regions, runs = where.select(resolution)
    if not len(regions):
        raise EmptySelection(f"{config.path}: there is no region at resolution {resolution}")
    with_bundle = _resident_bytes()
    fits = RegionFits.of(bundle, config, regions, runs=runs)
    shared = sum(array.nbytes for array in fits.to_shared()[1].values())
    groups = math.ceil(sample / _TOGETHER)
    size = min(math.ceil(sample / groups), len(regions))
    first = np.linspace(0, len(regions) - size, groups).astype(int)
    chosen = np.unique(first[:, None] + np.arange(size))
    fits.fit(chosen[:1])  # compiles the kernels
    before = _resident_bytes()
    start = time.process_time()  # on a core of its own, whatever else runs here now
    for neighbours in np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1):
        fits.fit(neighbours)
    seconds = time.process_time() - start
    return Estimate(
        resolution=where.effective_resolution(resolution),
        regions=len(regions),
        sampled=len(chosen),
        seconds_per_region=seconds / len(chosen),
        nodes=nodes,
        ranks_per_node=ranks_per_node,
        shared_bytes=shared,
        master_bytes=max(with_bundle - at_start, 0),
        rank_bytes=at_start + max(_resident_bytes() - before, 0) + BLOCK_BYTES,
    )


def _resident_bytes() -> int:
    """Resident memory of this process: code, libraries and data."""
    fields = dict(
        line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    )
    return 1024 * int(fields["VmRSS"].split()[0])
