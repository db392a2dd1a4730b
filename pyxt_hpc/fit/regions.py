"""Work of a worker in stage 6: extraction and fits of some regions, with flags and goodness."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pyxt_hpc.binning.runs import PixelRuns
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.extraction.background import background_share
from pyxt_hpc.fit.extraction.shapes import BinnedSpectra, Shapes, extract_spectra
from pyxt_hpc.fit.flags import quality_flags
from pyxt_hpc.fit.inputs import fit_options
from pyxt_hpc.fit.observations import ObservationSet, fold_observations
from pyxt_hpc.spectra.fit import FIT_COLUMNS, FIT_DTYPE, FitOptions, expected_rates, fit_regions
from pyxt_hpc.spectra.goodness import Moments, goodness, moments
from pyxt_hpc.spectra.grouping import choose_level
from pyxt_hpc.store.rows import REGION_COLUMNS, ROW_DTYPE, packed_observations

if TYPE_CHECKING:  # ranks that fit do not need it, and start faster without it
    from pyxt_hpc.fit.brightness.sky import SkyBrightness


_MAX_CELLS = 1 << 20
"""Largest number of regions x bins that are fitted together."""

BLOCK_BYTES = 80 * _MAX_CELLS
"""Memory of the arrays of so many regions and bins."""


@dataclass(frozen=True)
class RegionFits:
    """All data that a worker needs for fits; ranks share its arrays.

    Parameters
    ----------
    observations
        Observations of the cluster.
    regions
        (n,) REGION_DTYPE.
    options
        Options of the fits.
    moments
        Moments of the statistic in the finest bins.
    runs
        Pixels of the regions; None: the regions are circles.
    """

    observations: ObservationSet
    regions: np.ndarray
    options: FitOptions
    moments: Moments
    runs: PixelRuns | None = None

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        config: ClusterConfig,
        regions: np.ndarray,
        sky: "SkyBrightness | None" = None,
        runs: PixelRuns | None = None,
    ) -> "RegionFits":
        """Fold the model and tabulate moments of the statistic, once for all regions (n,) REGION_DTYPE.

        `sky` is the brightness, by default estimated from the bundle. `runs` are the pixels of the regions;
        None: the regions are circles.
        """
        from pyxt_hpc.fit.brightness.sky import sky_brightness

        options = fit_options(config)
        brightness = (sky or sky_brightness(bundle)).image
        observations = fold_observations(
            bundle, brightness, config.minimum_exposure_fraction, options, config.spectral_grouping
        )
        tabulated = moments(options.statistic, observations.by_bin(observations.ratio))
        return cls(observations, regions, options, tabulated, runs)

    def to_shared(self) -> tuple[FitOptions, dict[str, np.ndarray]]:
        """Small values to be pickled, and arrays to be shared."""
        runs = vars(self.runs) if self.runs else {}
        return self.options, {
            **self.observations.to_arrays(),
            "moments/tables": self.moments.tables,
            "moments/of_bin": self.moments.table_of_bin,
            "regions": self.regions,
            **{f"runs/{name}": array for name, array in runs.items()},
        }

    @classmethod
    def from_shared(cls, options: FitOptions, arrays: Mapping[str, np.ndarray]) -> "RegionFits":
        """Inverse of `to_shared`, without copies."""
        own = {"regions", "moments/tables", "moments/of_bin"}
        runs = {name.removeprefix("runs/"): a for name, a in arrays.items() if name.startswith("runs/")}
        observations = ObservationSet.from_arrays(
            {name: a for name, a in arrays.items() if name not in own and not name.startswith("runs/")}
        )
        tabulated = Moments(arrays["moments/tables"], arrays["moments/of_bin"])
        pixels = PixelRuns(**runs) if runs else None
        return cls(observations, arrays["regions"], options, tabulated, pixels)

    def only(self, indices: np.ndarray) -> "RegionFits":
        """Copy with only the regions at positions (n,)."""
        runs = self.runs and self.runs.take(indices)
        return replace(self, regions=self.regions[indices], runs=runs)

    def fit(self, indices: np.ndarray) -> np.ndarray:
        """Fit regions at positions (n,): (n,) ROW_DTYPE; a row depends only on its region."""
        n = max(_MAX_CELLS // len(self.observations.background_shape), 1)
        blocks = np.split(indices, np.arange(n, len(indices), n))
        return np.concatenate([self._fit(block) for block in blocks])

    def _fit(self, indices: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        shapes = self.shapes(indices)
        takes_part = shapes.takes_part
        seeing = np.asarray(takes_part.any(axis=0))
        part = self
        if seeing.any() and not seeing.all():
            # Neighbours are seen by few observations of a large mosaic; arrays of all its bins would be slow.
            fine, shapes = self.observations.by_bin(seeing), shapes.only(seeing)
            tabulated = Moments(self.moments.tables, self.moments.table_of_bin[fine])
            part = replace(self, observations=shapes.observations, moments=tabulated)
        rows, spectra = part._described(indices, shapes)
        rows["observations"] = packed_observations(takes_part)
        fits, score, level = part.fit_spectra(spectra)
        rows[FIT_COLUMNS] = fits
        rows["goodness"], rows["bins"] = score, level
        rows["flags"] |= quality_flags(
            rows["counts"], rows["background_counts"], score, rows["live_fraction"]
        )
        rows["attempts"] = 1
        rows["seconds"] = (time.perf_counter() - start) / max(len(indices), 1)
        return rows

    def described(self, indices: np.ndarray) -> tuple[np.ndarray, BinnedSpectra]:
        """Rows (n,) of regions at positions (n,), without results of the fit, and spectra of the regions."""
        return self._described(indices, self.shapes(indices))

    def _described(self, indices: np.ndarray, shapes: Shapes) -> tuple[np.ndarray, BinnedSpectra]:
        regions = self.regions[indices]
        rows = np.zeros(len(indices), ROW_DTYPE)
        rows[list(REGION_COLUMNS)] = regions
        spectra = extract_spectra(shapes)
        rows["area"] = shapes.runs.area
        rows["counts"] = spectra.source.sum(axis=1)
        rows["background_counts"] = _expected_background(self.observations, spectra)
        rows["observations"] = packed_observations(spectra.takes_part)
        rows["exposure"], live_time = _seen(self.observations, spectra)
        rows["live_fraction"] = rows["exposure"] / np.where(live_time > 0, live_time, 1.0)
        return rows, spectra

    def extract(self, indices: np.ndarray) -> BinnedSpectra:
        """Extract the spectra of regions at positions (n,)."""
        return extract_spectra(self.shapes(indices))

    def shapes(self, indices: np.ndarray) -> Shapes:
        """Regions at positions (n,), on the images of all observations."""
        if self.runs is not None:
            return Shapes(self.runs.take(indices), self.observations)
        row, col, radius = (self.regions[name][indices] for name in ("row", "col", "radius"))
        return Shapes.circles(row, col, radius, self.observations)

    def levels_of(self, spectra: BinnedSpectra) -> np.ndarray:
        """Level of the bins for each region: (n,) indices of `ObservationSet.levels`."""
        if len(self.observations.level_first) == 2:
            return np.zeros(len(spectra.source), np.int64)
        return choose_level(np.add.reduceat(spectra.background, self.observations.first_bin[:-1], axis=1))

    def smooth_background(self, spectra: BinnedSpectra) -> np.ndarray:
        """Expected counts of the background spectra, (n_region, n_bin).

        The spectrum of each observation's whole background file is scaled to the counts in the region.
        """
        observations = self.observations
        first = observations.first_bin[:-1]
        share = background_share(
            np.add.reduceat(spectra.background, first, axis=1),
            np.add.reduceat(observations.background_shape, first),
        )
        expected: np.ndarray = observations.background_shape * observations.by_bin(share)
        return expected

    def as_fitted(
        self, indices: np.ndarray, rows: np.ndarray
    ) -> tuple[BinnedSpectra, np.ndarray, np.ndarray]:
        """Spectra of regions at positions (n,) in the finest bins, with the counts expected from their fits.

        Parameters
        ----------
        indices
            (n,) positions.
        rows
            (n,) ROW_DTYPE, their fits.

        Returns
        -------
        spectra : BinnedSpectra
            Spectra; for cstat, their background is the smooth expectation, as in the fit.
        source : (n, n_bin)
            Expected counts of the source, without background.
        background : (n, n_bin)
            Expected counts of the background spectrum.
        """
        spectra = self.extract(indices)
        smooth = self.smooth_background(spectra)
        source = rows["norm"][:, None] * spectra.weight * expected_rates(self.observations.grid, rows)
        if self.options.statistic == "cstat":
            spectra = replace(spectra, background=smooth)
        return spectra, source, smooth

    def fit_spectra(self, spectra: BinnedSpectra) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fit spectra, each in the bins of its level (`levels_of`).

        Regions with the same observations are fitted together, in the bins of these observations only: in a
        large mosaic, few of many observations see a region.

        Returns
        -------
        fits : (n_region,) FIT_DTYPE
        goodness : (n_region,)
            As `goodness.goodness`; NaN if it is not defined.
        bins : (n_region,) int
            Number of bins of all observations that take part.
        """
        observations, n_region = self.observations, len(spectra.source)
        levels, chosen = observations.levels(), self.levels_of(spectra)
        smooth = self.smooth_background(spectra)
        background = smooth if self.options.statistic == "cstat" else spectra.background
        fits = np.zeros(n_region, FIT_DTYPE)
        score, n_bins = np.full(n_region, np.nan), np.zeros(n_region, int)
        # Without any observation, a region has no counts in all bins.
        seen_by = spectra.takes_part | ~spectra.takes_part.any(axis=1, keepdims=True)
        together, group = np.unique(np.column_stack([seen_by, chosen]), axis=0, return_inverse=True)
        for number, (*seen, level) in enumerate(together):
            at = np.flatnonzero(group == number)
            wide, edges = observations.bins_of(np.array(seen, bool), levels[level])
            fine = observations.by_bin(np.array(seen, bool))
            counted, known, weight, ratio = (
                array[at][:, fine] for array in (spectra.source, background, spectra.weight, spectra.ratio)
            )
            grid = observations.grid.only(fine)
            found = fit_regions(counted, known, weight, ratio, grid, self.options, edges)
            starts = edges[:-1]
            counts = found["norm"][:, None] * weight * expected_rates(grid, found)
            score[at] = goodness(
                found["statistic"],
                len(self.options.free),
                np.add.reduceat(counts, starts, axis=1),
                np.add.reduceat(smooth[at][:, fine], starts, axis=1),
                weight[:, starts],
                Moments(self.moments.tables, self.moments.table_of_bin[wide]),
            )
            fits[at] = found
            n_bins[at] = np.count_nonzero(weight[:, starts], axis=1)
        return fits, score, n_bins


def _expected_background(observations: ObservationSet, spectra: BinnedSpectra) -> np.ndarray:
    """Expected background counts (n_region,) among those of the spectra."""
    counts = np.where(spectra.weight > 0, spectra.background, 0)
    counts = np.add.reduceat(counts, observations.first_bin[:-1], axis=1)
    return _one_by_one(counts.T / observations.ratio[:, None])


def _seen(observations: ObservationSet, spectra: BinnedSpectra) -> tuple[np.ndarray, np.ndarray]:
    """Sums of live time x live fraction, and of live time, over participating observations: (n_region,) each.

    Datasets of an ObsID were exposed together, so their live fractions are added, but not their live times. A
    sum of fractions above 1 counts as 1; it occurs if dither brings pixels onto both kinds of chips.
    """
    share = (spectra.live_share * spectra.takes_part).T
    seen, live_time = np.zeros(len(spectra.source)), np.zeros(len(spectra.source))
    for first in np.unique(observations.pointing):
        own = observations.pointing == first
        time = observations.exposure_s[own, None]
        seen += _one_by_one(time * share[own]) / np.maximum(_one_by_one(share[own]), 1.0)
        live_time += (time * spectra.takes_part.T[own]).max(axis=0)
    return seen, live_time


def _one_by_one(values: np.ndarray) -> np.ndarray:
    """Sum over observations (n_obs, n_region), where an observation with 0 does not change a bit.

    The rounding of numpy's own sums depends on how many observations the other regions of a chunk have.
    """
    total = np.zeros(values.shape[1])
    for of_observation in values:
        total += of_observation
    return total
