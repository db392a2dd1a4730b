"""Simulation and new fits of a cluster's regions with a pool of workers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.calibrate.calibration import Calibration, Setup
from pyxt_hpc.calibrate.simulation import TRUTH_DTYPE, Simulation, simulate_chunk
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError, EmptySelection, ForeignProduct
from pyxt_hpc.fit.brightness.sky import sky_brightness
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.fit.inputs import fit_settings
from pyxt_hpc.fit.observations import fold_observations
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.maps.fitted import FittedRegions, read_fitted_regions
from pyxt_hpc.parallel.master.driver import run_chunks
from pyxt_hpc.parallel.master.ledger import Collector
from pyxt_hpc.parallel.pools.choose import choose_pool
from pyxt_hpc.parallel.pools.pool import Payload
from pyxt_hpc.parallel.world import World
from pyxt_hpc.spectra.fit import FIT_DTYPE, PARAMETERS, ModelGrid

_NO_TRUTH = FitFlag.AT_BOUND_LOW | FitFlag.AT_BOUND_HIGH | FitFlag.NH_AT_BOUND


@dataclass(frozen=True)
class Request:
    """Options of a simulation.

    Parameters
    ----------
    draws
        Number of spectra for each region.
    seed
        Seed of the random numbers.
    regions
        Largest number of regions, spread evenly; None: all.
    nH
        Simulated column [1e22 cm^-2]; None: the value of the fits.
    abundance
        Simulated abundance [solar]; None: the value of the fits.
    background
        Simulated background in the source spectrum over the background expected by the fits.
    """

    draws: int = 10
    seed: int = 1
    regions: int | None = None
    nH: float | None = None
    abundance: float | None = None
    background: float = 1.0

    def wrong(self, bundle: Bundle) -> dict[str, tuple[float, float]]:
        """Parameters that are simulated with another value than the fits assume."""
        values = {
            "nH": (self.nH, bundle.nH),
            "abundance": (self.abundance, bundle.abundance),
            "background": (self.background, 1.0),
        }
        return {
            name: (simulated, fitted)
            for name, (simulated, fitted) in values.items()
            if simulated is not None and simulated != fitted
        }


def calibrate(
    config: ClusterConfig, world: World, n_workers: int, request: Request
) -> tuple[FittedRegions, Calibration] | None:
    """Simulate the fitted regions of a cluster, and fit them again; returns None on ranks that were workers.

    Parameters
    ----------
    world, n_workers
        Ranks of this run, or number of processes if there is only one rank.

    Returns
    -------
    FittedRegions
        All regions that have a fit.
    Calibration
        Calibration of the simulated regions, without those with kT or nH at a bound.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct, EmptySelection
        As from `read_fitted_regions`; also if the fits were made with other settings.
    ConfigError
        If another value is given for a free parameter of the fits.
    Interrupted
        If a signal came before all regions were done; nothing is kept.
    WorkerFailed
        If fits of a region repeatedly raise an error or end their process.
    """
    with world.others_wait():
        begun = _begin(config, request) if world.is_master else None
    payload = begun and Payload(*begun[2].to_shared())
    with choose_pool(n_workers, world).open(Simulation.from_shared, payload) as pool:
        if pool is None or begun is None:
            return None
        regions, rows, simulation, setup = begun
        fits = np.zeros((len(rows), request.draws), FIT_DTYPE)

        def collect(indices: np.ndarray, result: np.ndarray) -> None:
            fits[indices] = result.view(FIT_DTYPE).reshape(len(indices), -1)

        run_chunks(
            pool,
            simulate_chunk,
            np.arange(len(fits)),
            Collector(collect, "region"),
            label="simulated fits",
            unit="region",
            when_stopped="nothing is kept",
        )
    signal_to_noise = np.asarray(regions.signal_to_noise[rows["row"], rows["col"]], float)
    return regions, Calibration(rows, simulation.truth, fits, signal_to_noise, setup)


def without_truth(rows: np.ndarray) -> np.ndarray:
    """Whether fitted regions (n,) cannot be simulated, because kT or nH is at a bound."""
    return (rows["flags"] & int(_NO_TRUTH)) != 0


def _begin(config: ClusterConfig, request: Request) -> tuple[FittedRegions, np.ndarray, Simulation, Setup]:
    """The cluster, the rows of the regions to simulate, the data of the workers, and the settings."""
    regions = read_fitted_regions(config)
    bundle = regions.bundle
    sky = sky_brightness(bundle)
    now = fit_settings(config, bundle, sky, regions.resolution, bins=regions.labels is not None)
    _refuse_other_settings(config, regions.settings, now)
    for name, wanted, is_free in (
        ("nH", request.nH, config.free_nH),
        ("abundance", request.abundance, config.free_abundance),
    ):
        if wanted is not None and is_free:
            raise ConfigError(
                f"{name} is free in {config.path}, so the fits have no wrong value: omit this option"
            )
    chosen = np.flatnonzero(~without_truth(regions.rows))
    left_out = len(regions.rows) - len(chosen)
    if not len(chosen):
        raise EmptySelection(
            f"{regions.layout.results}: kT or nH of all {left_out} fitted regions is at a bound: there is no "
            "temperature to simulate"
        )
    if request.regions is not None and request.regions < len(chosen):
        chosen = chosen[np.linspace(0, len(chosen) - 1, request.regions).round().astype(int)]
    rows = regions.rows[chosen]
    found = regions.where.numbered(rows["region"], str(regions.layout.region_index_map))
    fits = RegionFits.of(bundle, config, found.table, sky, found.runs)
    truth = rows[list(PARAMETERS)].astype(TRUTH_DTYPE)
    if request.abundance is not None:
        truth["abundance"] = request.abundance
    model = fits.observations.grid
    if request.nH is not None:
        truth["nH"] = request.nH
        model = _model_at(replace(bundle, nH=request.nH), fits, config)
    simulation = Simulation(fits, truth, model, request.draws, request.seed, request.background)
    setup = Setup(fits.options, request.draws, request.seed, request.wrong(bundle), left_out)
    return regions, rows, simulation, setup


def _model_at(bundle: Bundle, fits: RegionFits, config: ClusterConfig) -> ModelGrid:
    """The model in the same bins, only for the bundle's nH."""
    options = replace(fits.options, nH_bounds=None)
    minimum = float(fits.observations.minimum_fraction[0])
    return fold_observations(bundle, None, minimum, options, config.spectral_grouping).grid


def _refuse_other_settings(
    config: ClusterConfig, fitted: Mapping[str, object], now: Mapping[str, object]
) -> None:
    different = [name for name in now if name != "software" and fitted.get(name) != now[name]]
    if different:
        raise ForeignProduct(
            f"the fits were made with other settings than {config.path} has now "
            f"({', '.join(f'{name} {fitted.get(name)}, now {now[name]}' for name in different)}): run "
            f"`pyxt-hpc fit-spectra -c {config.path}` again"
        )
