"""Stage 6: an absorbed APEC model fitted in every region, checkpointed as results come."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pyxt_hpc.binning.circles import region_index
from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config import RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.driver import run_chunks
from pyxt_hpc.parallel.pool import Payload, open_pool
from pyxt_hpc.parallel.world import World
from pyxt_hpc.provenance import fingerprint, software
from pyxt_hpc.stages.inputs import read_cluster_bundle, read_scale_map
from pyxt_hpc.stages.region_fits import UNUSABLE, RegionFits, fit_options
from pyxt_hpc.store import REGION_DTYPE, ResultsStore, Status


@dataclass(frozen=True)
class FittingSummary:
    """How the regions ended, for the last lines on the screen."""

    regions: int
    resumed: int
    done: int
    bad: int
    median_counts: float
    seconds: float


def select_regions(radius: np.ndarray, resolution: int) -> np.ndarray:
    """Regions to be fitted at a resolution.

    Parameters
    ----------
    radius
        (ny, nx) scale map [pixels], 0 where there is no region.
    resolution
        1, 2 or 3.

    Returns
    -------
    numpy.ndarray
        (n,) of REGION_DTYPE, in row-major order.
    """
    row, col = lattice(radius > 0, RESOLUTION_STEP[resolution])
    regions = np.zeros(len(row), REGION_DTYPE)
    regions["region"] = region_index(radius)[row, col]
    regions["row"], regions["col"], regions["radius"] = row, col, radius[row, col]
    return regions[np.argsort(regions["region"])]


def _fit_chunk(context: RegionFits, indices: np.ndarray) -> np.ndarray:
    return context.fit(indices)


def _settings(config: ClusterConfig, bundle: Bundle, resolution: int) -> dict[str, Any]:
    """Everything that decides the numbers; resuming with another value is refused."""
    return {
        "bundle": bundle.fingerprint,
        "resolution": resolution,
        "signal_to_noise": config.signal_to_noise,
        "minimum_exposure_fraction": config.minimum_exposure_fraction,
        "nH": bundle.nH,
        "redshift": bundle.redshift,
        "absorption": bundle.absorption,
        "abundance_table": bundle.abundance_table,
        "binning": config.binning,
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(fit_options(config)).items()},
        "software": software(),
    }


def _prepare(
    config: ClusterConfig, layout: Layout, resolution: int, resume: bool
) -> tuple[ResultsStore, Payload]:
    """Read and check everything, so that whatever is wrong is known before the first fit."""
    bundle = read_cluster_bundle(config)
    regions = select_regions(read_scale_map(config, bundle), resolution)
    settings = _settings(config, bundle, resolution)
    identity = fingerprint({**settings, "regions": regions})
    options, shared = RegionFits.of(bundle, config, regions).to_shared()
    if resume and layout.results.exists():
        store = ResultsStore.open_for_resume(layout.results, fingerprint=identity, settings=settings)
    else:
        store = ResultsStore.create(layout.results, regions=regions, fingerprint=identity, settings=settings)
    return store, Payload(options, shared)


def fit_spectra(
    config: ClusterConfig, world: World, n_workers: int, *, resolution: int, resume: bool
) -> FittingSummary | None:
    """Fit every region that is not yet in the results store.

    Parameters
    ----------
    config
        The cluster.
    world
        MPI ranks, or one process.
    n_workers
        Processes to use where there is only one rank.
    resolution
        1, 2 or 3: every 5th, 3rd or single pixel.
    resume
        Go on with an existing store; otherwise a new one replaces it.

    Returns
    -------
    FittingSummary or None
        None on ranks that served as workers.

    Raises
    ------
    MissingInput, DamagedFile
        If bundle or scale map are absent or unreadable.
    ForeignProduct
        If the scale map or the store to be resumed belong to another bundle or other settings.
    """
    start = time.perf_counter()
    layout = Layout.of(config)
    prepared = world.on_master(lambda: _prepare(config, layout, resolution, resume))
    with open_pool(world, n_workers, RegionFits.from_shared, prepared and prepared[1]) as pool:
        if pool is None or prepared is None:
            return None
        store = prepared[0]
        with store:
            pending, n_regions = store.pending(), len(store.status())

            def collect(indices: np.ndarray, rows: np.ndarray) -> None:
                bad = (rows["flags"] & int(UNUSABLE)) != 0
                store.write(indices, rows, np.where(bad, Status.BAD, Status.DONE).astype(np.uint8))

            run_chunks(
                pool,
                _fit_chunk,
                pending,
                collect,
                label="fits",
                unit="region",
                initial=n_regions - len(pending),
            )
            status, counts = store.status(), store.rows()["counts"]
    done = status == Status.DONE
    if not done.any():
        raise EmptySelection(
            f"{layout.results}: none of {n_regions} regions could be fitted; their flags say why"
        )
    return FittingSummary(
        regions=n_regions,
        resumed=n_regions - len(pending),
        done=int(done.sum()),
        bad=int((status == Status.BAD).sum()),
        median_counts=float(np.median(counts[done])),
        seconds=time.perf_counter() - start,
    )
