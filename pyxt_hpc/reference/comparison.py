"""Comparison of the two engines on a random sample of a cluster's regions."""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.files.writing import write_ecsv
from pyxt_hpc.fit.flags import UNUSABLE
from pyxt_hpc.fit.inputs import read_cluster_bundle, read_region_map, source_model
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.fit.single.region_spectra import spectra_as_fitted
from pyxt_hpc.fit.table import labelled
from pyxt_hpc.parallel.progress import Progress
from pyxt_hpc.reference.sherpa_engine import fit_with_sherpa, sherpa_statistic
from pyxt_hpc.reference.sherpa_models import which_model
from pyxt_hpc.spectra.fit import FIT_COLUMNS, FIT_DTYPE

log = logging.getLogger(__name__)

SEED = 20261121
MISSED = 1e-3
"""An engine missed the minimum if its statistic is higher than the other's by more than this (0.03 sigma)."""
NOTICEABLE_SIGMA = 0.05
"""Larger differences of values are marked as noticeable."""
_UNUSABLE = int(UNUSABLE)


@dataclass(frozen=True, eq=False)
class EngineComparison:
    """Fits of the same regions by both engines.

    Parameters
    ----------
    regions
        (n,) of REGION_DTYPE, the sample.
    fast, sherpa
        (n,) of FIT_DTYPE, results of the two engines.
    judged
        (n,) Sherpa's statistic at the fast engine's values.
    fast_seconds, sherpa_seconds
        Mean time per region [s], including the extraction of its spectra.
    free
        Names of the free parameters.
    model
        Description of Sherpa's model.
    """

    regions: NDArray
    fast: NDArray
    sherpa: NDArray
    judged: NDArray[np.float64]
    fast_seconds: float
    sherpa_seconds: float
    free: tuple[str, ...]
    model: str

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Mask (n,) of regions that both engines could fit."""
        return ((self.fast["flags"] | self.sherpa["flags"]) & _UNUSABLE) == 0

    @property
    def statistic_difference(self) -> NDArray[np.float64]:
        """Statistic (n,) of the fast engine minus Sherpa's, each at its own values and for its own model."""
        return self.fast["statistic"] - self.sherpa["statistic"]

    @property
    def gain(self) -> NDArray[np.float64]:
        """Sherpa's statistic (n,) at its own values, minus that at the fast engine's values.

        Both are for Sherpa's model, so a positive value means that Sherpa stopped above the minimum.
        """
        return self.sherpa["statistic"] - self.judged

    @property
    def same_minimum(self) -> NDArray[np.bool_]:
        """Mask (n,) of usable regions where neither engine missed the minimum."""
        return self.usable & (np.abs(self.gain) <= MISSED)

    @property
    def noticeable(self) -> NDArray[np.bool_]:
        """Mask (n,) of regions where one engine failed or missed the minimum, or values differ noticeably."""
        failed = ((self.fast["flags"] ^ self.sherpa["flags"]) & _UNUSABLE) != 0
        far = [np.abs(self.deviation(name)) > NOTICEABLE_SIGMA for name in self.free]
        return failed | (self.usable & (~self.same_minimum | np.any(far, axis=0)))

    def deviation(self, name: str) -> NDArray[np.float64]:
        """Difference (n,) of the fast engine's and Sherpa's values, over half the fast engine's 68% interval.

        An open side is assumed to be as wide as the other; NaN if both are open.
        """
        lo, hi = (np.abs(self.fast[f"{name}_{end}"] - self.fast[name]) for end in ("lo", "hi"))
        sigma = 0.5 * (np.where(np.isnan(lo), hi, lo) + np.where(np.isnan(hi), lo, hi))
        return (self.fast[name] - self.sherpa[name]) / sigma

    def side_ratio(self, name: str) -> NDArray[np.float64]:
        """Lower and upper sides (2, n) of the 68% interval, over Sherpa's; NaN if either is open."""
        sides = [
            [np.abs(fit[f"{name}_{end}"] - fit[name]) for end in ("lo", "hi")]
            for fit in (self.fast, self.sherpa)
        ]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.divide(*np.array(sides))

    def summary(self) -> list[tuple[str, float, float]]:
        """Lines of (quantity, median, largest) of absolute values over the regions in the same minimum."""
        same = self.same_minimum
        quantities = {"|statistic difference|": self.statistic_difference}
        for name in self.free:
            quantities[f"|{name} difference| / sigma"] = self.deviation(name)
            lo, hi = self.side_ratio(name) - 1.0
            quantities[f"|lower side of {name} / Sherpa's - 1|"] = lo
            quantities[f"|upper side of {name} / Sherpa's - 1|"] = hi
        lines = []
        for what, values in quantities.items():
            known = np.abs(values[same])
            known = known[np.isfinite(known)]
            lines.append(
                (what, float(np.median(known)), float(known.max())) if len(known) else (what, np.nan, np.nan)
            )
        return lines


def compare_engines(config: ClusterConfig, *, resolution: int, sample: int) -> EngineComparison:
    """Fit a random sample of the scale map's regions, the same in every run, with both engines.

    Raises
    ------
    MissingInput, DamagedFile, ForeignProduct
        If Sherpa is not installed; errors of `inputs.read_cluster_bundle` and `inputs.read_region_map`.
    """
    model = which_model()
    log.info("Sherpa's model: %s", model)
    bundle = read_cluster_bundle(config)
    regions, runs = read_region_map(config, bundle).select(resolution)
    chosen = np.random.default_rng(SEED).choice(len(regions), min(sample, len(regions)), replace=False)
    regions, runs = regions[np.sort(chosen)], runs and runs.take(np.sort(chosen))
    fits = RegionFits.of(bundle, config, regions, runs=runs)
    fast, fast_seconds = _fit_fast(fits)
    start = time.perf_counter()
    sherpa = fit_regions_with_sherpa(bundle, config, fits)
    sherpa_seconds = (time.perf_counter() - start) / max(len(regions), 1)
    judged = [
        sherpa_statistic(list(spectra.values()), values, source_model(bundle), fits.options)
        for spectra, values in zip(spectra_as_fitted(bundle, config, fits), fast, strict=True)
    ]
    return EngineComparison(
        regions=regions,
        fast=fast,
        sherpa=sherpa,
        judged=np.array(judged),
        fast_seconds=fast_seconds,
        sherpa_seconds=sherpa_seconds,
        free=fits.options.free,
        model=model,
    )


def _fit_fast(fits: RegionFits) -> tuple[NDArray, float]:
    """Rows and mean seconds per region, without the time of compilation."""
    n_region = len(fits.regions)
    fits.fit(np.arange(min(n_region, 1)))
    start = time.perf_counter()
    rows = fits.fit(np.arange(n_region))
    seconds = (time.perf_counter() - start) / max(n_region, 1)
    return rows[FIT_COLUMNS].astype(FIT_DTYPE), seconds


def fit_regions_with_sherpa(bundle: Bundle, config: ClusterConfig, fits: RegionFits) -> NDArray:
    """Fit regions one by one with Sherpa, with the bins and options of the map: (n,) FIT_DTYPE."""
    rows = np.zeros(len(fits.regions), FIT_DTYPE)
    with Progress("Sherpa", "region", len(rows)) as progress:
        for i, spectra in enumerate(spectra_as_fitted(bundle, config, fits)):
            rows[i] = fit_with_sherpa(list(spectra.values()), source_model(bundle), fits.options)
            progress.add(1)
    return rows


def write_comparison(path: Path, comparison: EngineComparison) -> None:
    """Write the sample as an ECSV table with a line for each region, and columns of both engines."""
    table = Table(comparison.regions)
    for column, unit in (("row", "pixel"), ("col", "pixel"), ("radius", "pixel")):
        table[column].unit = unit
    for name in FIT_COLUMNS:
        for engine, rows in (("fast", comparison.fast), ("sherpa", comparison.sherpa)):
            table[f"{name}_{engine}"] = labelled(name, rows[name])
    for name in comparison.free:
        table[f"{name}_deviation"] = comparison.deviation(name)
    table["statistic_difference"] = comparison.statistic_difference
    table["gain"] = comparison.gain
    table["noticeable"] = comparison.noticeable
    table.meta = {
        "sherpa_model": comparison.model,
        "fast_seconds": comparison.fast_seconds,
        "sherpa_seconds": comparison.sherpa_seconds,
    }
    write_ecsv(path, table)
