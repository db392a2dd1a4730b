"""Stage 6: an absorbed APEC model fitted in every region, checkpointed as results come."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.fit.flags import FlagCounts
from pyxt_hpc.fit.inputs import read_cluster_bundle, read_region_map
from pyxt_hpc.fit.region_map import RegionSet
from pyxt_hpc.fit.regions import RegionFits, fit_options
from pyxt_hpc.layout import Layout
from pyxt_hpc.parallel.driver import run_chunks
from pyxt_hpc.parallel.limits import Limits
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.parallel.pools.pool import Payload, Pool
from pyxt_hpc.parallel.world import World
from pyxt_hpc.provenance import fingerprint, software
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.stages.checkpoint import StoreLedger, split_suspects
from pyxt_hpc.store.parts import (
    SLICE,
    WHOLE,
    Part,
    absorb_parts,
    discard_parts,
    refuse_parts_in_use,
    remove_absorbed_parts,
    slice_of,
    take_over,
)
from pyxt_hpc.store.rows import Status, is_final
from pyxt_hpc.store.writer import ResultsStore

if TYPE_CHECKING:  # as in `region_fits`
    from pyxt_hpc.fit.brightness import SkyBrightness


@dataclass(frozen=True)
class FittingSummary:
    """How the regions ended, for the last lines on the screen."""

    regions: int
    resumed: int
    done: int
    bad: int
    quarantined: int
    median_counts: float
    flags: FlagCounts
    seconds: float


def fit_chunk(context: RegionFits, indices: np.ndarray) -> np.ndarray:
    """Rows of some regions, as bytes: the task of every worker."""
    # As bytes: pickling the dtype takes longer than everything else on the way to the master.
    return context.fit(indices).view(np.uint8)


def fit_settings(
    config: ClusterConfig, bundle: Bundle, sky: "SkyBrightness", resolution: int, *, bins: bool = False
) -> dict[str, Any]:
    """Everything that decides the numbers; resuming with another value is refused.

    With `bins`, regions are those of a label image.
    """
    return {
        "bundle": bundle.fingerprint,
        "resolution": resolution,
        "signal_to_noise": config.signal_to_noise,
        "minimum_exposure_fraction": config.minimum_exposure_fraction,
        "nH": bundle.nH,
        "redshift": bundle.redshift,
        "absorption": bundle.absorption,
        "abundance_table": bundle.abundance_table,
        "binning": config.spectral_grouping,  # as stores have it since before the key was renamed
        "parts_of_circles_weighted_by": sky.origin,
        **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(fit_options(config)).items()},
        "software": software(),
        **({"bins": config.bins or "label image"} if bins else {}),
    }


def fit_fingerprint(settings: Mapping[str, Any], regions: RegionSet) -> str:
    """Of settings and regions; parts of one whole have the same, by which they find together."""
    pixels = {f"runs/{name}": array for name, array in vars(regions.runs).items()} if regions.runs else {}
    return fingerprint({**settings, "regions": regions.table, **pixels})


@dataclass(frozen=True)
class FitInputs:
    """All regions of a cluster, and everything that decides their numbers.

    Parameters
    ----------
    regions
        (n,) of REGION_DTYPE.
    settings, fingerprint
        Of the store.
    payload
        For the workers.
    """

    regions: np.ndarray
    settings: dict[str, Any]
    fingerprint: str
    payload: Payload

    @classmethod
    def read(cls, config: ClusterConfig, resolution: int) -> "FitInputs":
        """Read and check everything, so that whatever is wrong is known before the first fit."""
        from pyxt_hpc.fit.brightness import sky_brightness

        bundle = read_cluster_bundle(config)
        where = read_region_map(config, bundle)
        regions = where.select(resolution)
        sky = sky_brightness(bundle)
        settings = fit_settings(
            config, bundle, sky, where.effective_resolution(resolution), bins=where.labels is not None
        )
        fits = RegionFits.of(bundle, config, regions.table, sky, regions.runs)
        identity = fit_fingerprint(settings, regions)
        return cls(regions.table, settings, identity, Payload(*fits.to_shared()))

    def of_part(self, part: Part) -> "FitInputs":
        """Of a part's own regions; the workers still share those of all."""
        settings = {**self.settings, SLICE: f"{part[0]}/{part[1]}"}
        return replace(self, regions=self.regions[slice_of(part)], settings=settings)


def prepare_part(part: Part) -> Callable[[FitOptions, dict[str, np.ndarray]], RegionFits]:
    """How a worker for a part makes its context of what all share."""

    def prepare(options: FitOptions, arrays: dict[str, np.ndarray]) -> RegionFits:
        fits = RegionFits.from_shared(options, arrays)
        return fits if part == WHOLE else fits.only(np.arange(len(fits.regions))[slice_of(part)])

    return prepare


def open_results(layout: Layout, inputs: FitInputs, resume: bool) -> ResultsStore:
    """Store of all regions with what its parts have, or a new one that replaces it and them."""
    if not resume:
        refuse_parts_in_use(layout)
    store = _resumed_or_new(layout.results, inputs, resume)
    with _closed_after_error(store):
        if resume:
            absorb_parts(store, inputs.regions["region"], layout)
        else:
            discard_parts(layout)
    return store


def open_part_results(layout: Layout, part: Part, inputs: FitInputs, resume: bool) -> ResultsStore:
    """Store of a part with what the store of all regions has of it, or a new one that replaces it."""
    store = _resumed_or_new(layout.part_results(*part), inputs, resume)
    if resume and check_regular(layout.results):
        with _closed_after_error(store):
            take_over(store, inputs.regions["region"], layout.results)
    return store


def _resumed_or_new(path: Path, inputs: FitInputs, resume: bool) -> ResultsStore:
    if resume and check_regular(path):
        return ResultsStore.open_for_resume(path, fingerprint=inputs.fingerprint, settings=inputs.settings)
    return ResultsStore.create(
        path, regions=inputs.regions, fingerprint=inputs.fingerprint, settings=inputs.settings
    )


@contextmanager
def _closed_after_error(store: ResultsStore) -> Iterator[None]:
    try:
        yield
    except BaseException:
        store.close()
        raise


def run_fits(pool: Pool, store: ResultsStore, regions: np.ndarray, limits: Limits) -> None:
    """Fit what a store of these regions lacks; see `run_chunks`."""
    pending, suspects = split_suspects(store)
    run_chunks(
        pool,
        fit_chunk,
        pending,
        StoreLedger(store, regions),
        label="fits",
        unit="region",
        suspects=suspects,
        initial=len(store) - len(pending) - len(suspects),
        limits=limits,
    )


def summarize(
    path: Path, status: np.ndarray, counts: np.ndarray, flags: np.ndarray, resumed: int, seconds: float
) -> FittingSummary:
    """How the regions of a store ended.

    Raises
    ------
    EmptySelection
        If none could be fitted.
    """
    done = status == Status.DONE
    if not done.any():
        raise EmptySelection(f"{path}: none of {len(status)} regions could be fitted; their flags say why")
    return FittingSummary(
        regions=len(status),
        resumed=resumed,
        done=int(done.sum()),
        bad=int((status == Status.BAD).sum()),
        quarantined=int((status == Status.QUARANTINED).sum()),
        median_counts=float(np.median(counts[done])),
        flags=FlagCounts.of(flags[done]),
        seconds=seconds,
    )


def _begin(
    config: ClusterConfig, layout: Layout, resolution: int, resume: bool, part: Part | None
) -> tuple[ResultsStore, FitInputs]:
    inputs = FitInputs.read(config, resolution)
    if part is None:
        return open_results(layout, inputs, resume), inputs
    inputs = inputs.of_part(part)
    return open_part_results(layout, part, inputs, resume), inputs


def fit_spectra(
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
    """Fit every region that is not yet in the results store; None on ranks that were workers.

    Parameters
    ----------
    n_workers
        Processes to use where there is only one rank.
    resolution
        1, 2 or 3: every 5th, 3rd or single pixel; of bins that share no pixel all are fitted.
    resume
        Go on with an existing store; otherwise a new one replaces it.
    part
        (I, N) with 1 <= I <= N: only every Nth region from the Ith on, in a store of their own.
    time_limit
        Stop in time to be done after so long [s].
    max_regions
        Stop after so many regions.

    Raises
    ------
    MissingInput, DamagedFile
        If bundle or scale map are absent or unreadable.
    ForeignProduct
        If the scale map or the store to be resumed belong to another bundle or other settings.
    Interrupted
        If a signal or a limit came before all regions were done.
    """
    start = time.perf_counter()
    limits = Limits.of(time_limit, max_regions)
    layout = Layout.of(config)
    begun = world.on_master(lambda: _begin(config, layout, resolution, resume, part))
    payload = begun[1].payload if begun else None
    with (
        begun[0] if begun else nullcontext(),
        choose_pool(n_workers, world).open(prepare_part(part or WHOLE), payload) as pool,
    ):
        if pool is None or begun is None:
            return None
        store, inputs = begun
        # Closed before the pool, which may end all ranks at once, and whatever happens to the pool.
        with store:
            resumed = int(is_final(store.status()).sum())
            run_fits(pool, store, inputs.regions, limits)
            status, counts, flags = store.verified(), store.column("counts"), store.column("flags")
            if part is None:
                remove_absorbed_parts(store, inputs.regions["region"], layout)
    return summarize(store.path, status, counts, flags, resumed, time.perf_counter() - start)
