"""Stage 6: fits of an absorbed APEC model in every region, stored as soon as they are finished."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.flags import FlagCounts
from pyxt_hpc.fit.inputs import fit_fingerprint, fit_settings, read_cluster_bundle, read_region_map
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.limits import Limits
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.parallel.pools.pool import Payload, Pool
from pyxt_hpc.parallel.world import World
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.stages.checkpoint import StoreLedger, split_suspects
from pyxt_hpc.store.parts import WHOLE, Part, remove_absorbed_parts, slice_of
from pyxt_hpc.store.resume import StoreContents, open_results
from pyxt_hpc.store.rows import Status, is_final
from pyxt_hpc.store.writer import ResultsStore


@dataclass(frozen=True)
class FittingSummary:
    """Outcome of the fits, for the last lines on the screen."""

    regions: int
    resumed: int
    done: int
    bad: int
    quarantined: int
    median_counts: float
    flags: FlagCounts
    seconds: float

    @classmethod
    def of(
        cls, status: np.ndarray, counts: np.ndarray, flags: np.ndarray, resumed: int, seconds: float
    ) -> "FittingSummary":
        """Summary of regions (n,), of which at least one is done."""
        done = status == Status.DONE
        return cls(
            regions=len(status),
            resumed=resumed,
            done=int(done.sum()),
            bad=int((status == Status.BAD).sum()),
            quarantined=int((status == Status.QUARANTINED).sum()),
            median_counts=float(np.median(counts[done])),
            flags=FlagCounts.of(flags[done]),
            seconds=seconds,
        )


def fit_chunk(context: RegionFits, indices: np.ndarray) -> np.ndarray:
    """Fit some regions and return their rows as bytes: the task of every worker."""
    # As bytes, because pickling the dtype takes longer than the rest of the transfer to the master.
    return context.fit(indices).view(np.uint8)


def read_fit_inputs(config: ClusterConfig, resolution: int) -> tuple[StoreContents, Payload]:
    """Read and check all inputs, so that errors appear before the first fit.

    Returns
    -------
    StoreContents
        All regions of the cluster, and the settings that decide their results.
    Payload
        Data for the workers.
    """
    from pyxt_hpc.fit.brightness.sky import sky_brightness

    bundle = read_cluster_bundle(config)
    where = read_region_map(config, bundle)
    regions = where.select(resolution)
    sky = sky_brightness(bundle)
    settings = fit_settings(
        config, bundle, sky, where.effective_resolution(resolution), bins=where.labels is not None
    )
    contents = StoreContents(regions.table, settings, fit_fingerprint(settings, regions))
    fits = RegionFits.of(bundle, config, regions.table, sky, regions.runs)
    return contents, Payload(*fits.to_shared())


def prepare_part(part: Part) -> Callable[[FitOptions, dict[str, np.ndarray]], RegionFits]:
    """Return the function with which a worker makes its context for a part from the shared data."""

    def prepare(options: FitOptions, arrays: dict[str, np.ndarray]) -> RegionFits:
        fits = RegionFits.from_shared(options, arrays)
        return fits if part == WHOLE else fits.only(np.arange(len(fits.regions))[slice_of(part)])

    return prepare


def run_fits(pool: Pool, store: ResultsStore, regions: np.ndarray, limits: Limits) -> None:
    """Fit the unfinished regions of a store; see `run_chunks`."""
    pending, suspects = split_suspects(store)
    ledger = StoreLedger(store, regions)
    run_chunks(
        pool,
        fit_chunk,
        pending,
        ledger,
        label="fits",
        unit="region",
        suspects=suspects,
        initial=len(store) - len(pending) - len(suspects),
        limits=limits,
    )


def _begin(
    config: ClusterConfig, resolution: int, resume: bool, part: Part | None
) -> tuple[ResultsStore, np.ndarray, Payload]:
    """Open the store; return it, its regions, and the data of the workers, which have all parts' regions."""
    contents, payload = read_fit_inputs(config, resolution)
    if part is not None:
        contents = contents.of_part(part)
    return open_results(Layout.of(config), contents, part, resume=resume), contents.regions, payload


def fit_into_store(
    config: ClusterConfig,
    world: World,
    n_workers: int,
    *,
    resolution: int,
    resume: bool,
    part: Part | None = None,
    time_limit: float | None = None,
    max_regions: int | None = None,
) -> FittingSummary | None:
    """Fit every region that is not yet in the results store; returns None on ranks that were workers.

    Parameters
    ----------
    n_workers
        Number of processes if there is only one rank.
    resolution
        1, 2 or 3: fit a region at every 5th pixel, every 3rd or every pixel. Bins are always all fitted.
    resume
        Continue an existing store; otherwise a new one replaces it.
    part
        (I, N) with 1 <= I <= N: fit only every Nth region from the Ith on, in a separate store.
    time_limit
        Time within which the run must end [s].
    max_regions
        Number of regions after which the run stops.

    Raises
    ------
    MissingInput, DamagedFile
        If the bundle or scale map is missing or unreadable.
    ForeignProduct
        If the scale map or the store to be resumed belongs to another bundle or other settings.
    Interrupted
        If a signal or a limit came before all regions were done.
    EmptySelection
        If none of them could be fitted.
    """
    start = time.perf_counter()
    limits = Limits.of(time_limit, max_regions)
    with world.others_wait():
        begun = _begin(config, resolution, resume, part) if world.is_master else None
    with (
        begun[0] if begun else nullcontext(),
        choose_pool(n_workers, world).open(prepare_part(part or WHOLE), begun and begun[2]) as pool,
    ):
        if pool is None or begun is None:
            return None
        store, regions, _ = begun
        # The store must be closed before the pool, which may end all ranks at once, and even if the pool
        # fails.
        with store:
            resumed = int(is_final(store.status()).sum())
            run_fits(pool, store, regions, limits)
            status, counts, flags = store.verified(), store.column("counts"), store.column("flags")
            if part is None:
                remove_absorbed_parts(store, regions["region"], Layout.of(config))
    if not (status == Status.DONE).any():
        raise EmptySelection(
            f"{store.path}: none of {len(status)} regions could be fitted; their flags say why"
        )
    return FittingSummary.of(status, counts, flags, resumed, time.perf_counter() - start)
