"""Bias of temperatures and coverage of their 68% intervals, from fits of simulated regions.

    python -m benchmarks.accuracy.calibration [--quick] [--regions N] [--part NAME ...]

Each cell has 5000 regions (quick: 200) with kT uniform in 2-12 keV. A cell has one number of net counts, one
background fraction of all counts, one exposure ratio r of background and source spectrum, and one number of
observations, with equal counts. Response and background are those of the package's synthetic ACIS-I:
particles with their fluorescence lines, and the sky. The output has one Markdown table for each part:

    fwhm            wstat in all bins of half the resolution
    wstat           the default statistic in the default bins
    faint           the same below 300 counts
    chi2gehrels     ClusterPyXT's method: every channel, background subtracted
    fwhm-abundance  as fwhm, with free abundance; the true abundance is 0.3 solar
    abundance       wstat in the default bins, with free abundance

A cell shows the median of kT / true kT and the fraction of intervals that contain the true kT. Open sides of
intervals are replaced by the limits of the templates, 0.08 and 45 keV. Widths of intervals are compared with
those in bins of half the resolution, if these are calibrated.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from benchmarks.common import environment
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.simulate.acis import geometry, instrument, photons
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.grouping import LEVEL_BINS, channel_bins, choose_level, merge_levels, resolution_bins
from pyxt_hpc.spectra.templates import SourceModel

SEED = 20240502
BAND = (0.7, 8.0)
REDSHIFT, NH, ABUNDANCE = 0.07, 0.05, 0.3
KT_RANGE = (2.0, 12.0)
SHARES, RATIOS, OBSERVATIONS = (0.05, 0.2, 0.5), (1.0, 5.0, 20.0), (1, 5)
COUNTS, FAINT = (300, 1000, 3000, 10000), (100, 200)
BLOCK = 500
"""Number of regions that are simulated at a time; it limits the memory for five observations."""


@dataclass(frozen=True)
class Instrument:
    """Rates (n_kT, n_channel) of one observation in channels, and the shape of its background."""

    kT: np.ndarray
    hhe: np.ndarray
    metals: np.ndarray
    background: np.ndarray
    bins: np.ndarray

    def source(self, kT: np.ndarray) -> np.ndarray:
        """Spectra (n, n_channel) of temperatures (n,), normalised to a sum of 1."""
        rates = self.hhe + ABUNDANCE * self.metals
        k = np.searchsorted(self.kT, kT) - 1
        t = ((kT - self.kT[k]) / (self.kT[k + 1] - self.kT[k]))[:, None]
        shape = (1.0 - t) * rates[k] + t * rates[k + 1]
        return shape / shape.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Cell:
    """Settings of all regions in one cell of a table."""

    n_observation: int
    counts: int
    share: float
    ratio: float


@dataclass(frozen=True)
class Outcome:
    """Fits of one cell: true values (n,) of a parameter, fits (n,) of FIT_DTYPE, its name and limits."""

    truth: np.ndarray
    fits: np.ndarray
    parameter: str = "kT"
    limits: tuple[float, float] = (0.08, 45.0)

    @property
    def usable(self) -> np.ndarray:
        return np.isfinite(self.fits[self.parameter])

    def median(self, low: float = 0.0, high: float = np.inf) -> float:
        """Median of fit / truth for regions with true values in a range."""
        chosen = self.usable & (self.truth >= low) & (self.truth < high)
        return float(np.median((self.fits[self.parameter] / self.truth)[chosen]))

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the intervals; open ends are at the limits of the parameter."""
        low, high = (self.fits[self.parameter + end] for end in ("_lo", "_hi"))
        return np.nan_to_num(low, nan=self.limits[0]), np.nan_to_num(high, nan=self.limits[1])

    @property
    def below(self) -> float:
        """Fraction of regions with the true value below the interval."""
        return float(np.mean(self.usable & (self.bounds[0] > self.truth)))

    @property
    def above(self) -> float:
        """Fraction of regions with the true value above the interval."""
        return float(np.mean(self.usable & (self.bounds[1] < self.truth)))

    @property
    def coverage(self) -> float:
        """Fraction of all regions with the true value in the interval; regions without a fit have none."""
        return float(np.mean(self.usable)) - self.below - self.above

    def flagged(self, flags: int) -> float:
        """Fraction of regions with one of the flags."""
        return float(np.mean((self.fits["flags"] & flags) != 0))


def acis() -> Instrument:
    """Rates and background of the synthetic ACIS-I on the optical axis."""
    arf, rmf = instrument.on_axis_arf(), instrument.gaussian_rmf()
    templates = SourceModel(redshift=REDSHIFT, nH=NH).fold(arf, rmf)
    edges, rate = instrument.particle_background()
    channel = np.searchsorted(rmf.channel_hi_keV, 0.5 * (edges[1:] + edges[:-1]))
    chip_arcmin2 = (geometry.CHIP_PIXELS * geometry.PIXEL_ARCSEC / 60.0) ** 2
    particles = np.bincount(channel, rate, rmf.n_channels + 1)[: rmf.n_channels] / chip_arcmin2
    background = particles + photons.sky_background_rate(arf, NH, "phabs") @ rmf.sparse
    channels = channel_bins(*BAND, rmf)
    band = slice(channels[0], channels[-1])
    return Instrument(
        templates.kT,
        templates.hhe[:, band],
        templates.metals[:, band],
        background[band] / background[band].sum(),
        resolution_bins(rmf, *BAND) - channels[0],
    )


def simulate(acis_i: Instrument, cell: Cell, n: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """True kT (block,), source and background counts (block, n_observation, n_channel)."""
    number = [cell.n_observation, cell.counts, round(100 * cell.share), round(cell.ratio)]
    rng = np.random.default_rng([SEED, *number])
    per_observation = cell.counts / cell.n_observation
    background = acis_i.background * per_observation * cell.share / (1.0 - cell.share)
    for start in range(0, n, BLOCK):
        truth = rng.uniform(*KT_RANGE, min(BLOCK, n - start))
        expected = per_observation * acis_i.source(truth) + background
        shape = (len(truth), cell.n_observation, len(background))
        source = rng.poisson(np.broadcast_to(expected[:, None], shape))
        yield truth, source, rng.poisson(np.broadcast_to(cell.ratio * background, shape))


def fit_in(
    edges: np.ndarray,
    acis_i: Instrument,
    cell: Cell,
    source: np.ndarray,
    background: np.ndarray,
    options: FitOptions,
) -> np.ndarray:
    """Fit regions in bins with the given channel edges."""

    def binned(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, edges[:-1], axis=-1)

    counts = [binned(a).reshape(len(a), -1) for a in (source, background)]
    rates = [np.tile(binned(a), cell.n_observation)[None] for a in (acis_i.hhe, acis_i.metals)]
    weight, ratio = np.ones(counts[0].shape), np.full(counts[0].shape, cell.ratio)
    return fit_regions(*counts, weight, ratio, ModelGrid(acis_i.kT, np.array([NH]), *rates), options)


def run(acis_i: Instrument, cell: Cell, n: int, binning: str, options: FitOptions) -> Outcome:
    """Simulate and fit the regions of a cell; `binning` is "default", "fwhm" or "channels"."""
    rates = [np.add.reduceat(a, acis_i.bins[:-1], axis=-1) for a in (acis_i.hhe, acis_i.metals)]
    shape = np.add.reduceat(acis_i.background, acis_i.bins[:-1])
    other = [rates[1]] if options.abundance_bounds else []
    levels = merge_levels(acis_i.kT, rates[0] + ABUNDANCE * rates[1], shape, other)
    truths, results = [], []
    for truth, source, background in simulate(acis_i, cell, n):
        if binning == "default":
            level = choose_level(background.sum(axis=2))
            fits = np.zeros(0)
            for i in np.unique(level):
                rows = level == i
                found = fit_in(acis_i.bins[levels[i]], acis_i, cell, source[rows], background[rows], options)
                fits = np.zeros(len(truth), found.dtype) if len(fits) == 0 else fits
                fits[rows] = found
        else:
            edges = acis_i.bins if binning == "fwhm" else np.arange(len(acis_i.background) + 1)
            fits = fit_in(edges, acis_i, cell, source, background, options)
        truths.append(truth)
        results.append(fits)
    return Outcome(np.concatenate(truths), np.concatenate(results))


def print_table(outcomes: dict[Cell, Outcome]) -> None:
    """Print median and coverage of every cell."""
    columns = [(share, ratio) for share in SHARES for ratio in RATIOS]
    print("| counts | " + " | ".join(f"{100 * s:.0f}%, r={r:.0f}" for s, r in columns) + " |")
    print("| --- " * (len(columns) + 1) + "|")
    for name, row in _rows(outcomes):
        print(f"| {name} | " + " | ".join(f"{o.median():.3f} {o.coverage:.3f}" for _, o in row) + " |")


def print_details(outcomes: dict[Cell, Outcome], peers: dict[Cell, Outcome]) -> None:
    """Print further results, as the lowest and highest value of all columns."""
    third = np.linspace(*KT_RANGE, 4)
    thirds = " | ".join(f"median, {a:.1f}-{b:.1f} keV" for a, b in pairwise(third))
    print("\nLowest and highest of the columns:\n")
    print(
        f"| counts | {thirds} | truth below the interval | above | kT at a bound | open interval "
        "| not fitted | width / width in FWHM/2 bins |"
    )
    print("| --- " * 10 + "|")
    at_bound = FitFlag.AT_BOUND_LOW | FitFlag.AT_BOUND_HIGH
    is_open = FitFlag.KT_LO_OPEN | FitFlag.KT_HI_OPEN
    for name, row in _rows(outcomes):
        found = [outcome for _, outcome in row]
        values = [[o.median(a, b) for o in found] for a, b in pairwise(third)]
        values += [[o.below for o in found], [o.above for o in found]]
        values += [[o.flagged(flags) for o in found] for flags in (at_bound, is_open)]
        values += [[float(np.mean(~o.usable)) for o in found]]
        values += [[_width_ratio(o, peers[cell]) for cell, o in row if _is_fine(peers.get(cell))]]
        print(f"| {name} | " + " | ".join(f"{min(v):.3f}-{max(v):.3f}" if v else "" for v in values) + " |")


def _rows(outcomes: dict[Cell, Outcome]) -> Iterator[tuple[str, list[tuple[Cell, Outcome]]]]:
    for n_observation, counts in dict.fromkeys((cell.n_observation, cell.counts) for cell in outcomes):
        cells = [c for c in outcomes if (c.n_observation, c.counts) == (n_observation, counts)]
        name = f"{counts}" if n_observation == 1 else f"{counts} in {n_observation}"
        yield name, [(cell, outcomes[cell]) for cell in cells]


def _is_fine(peer: Outcome | None) -> bool:
    """Whether results in bins of half the resolution are unbiased with correct coverage."""
    return peer is not None and abs(peer.median() - 1.0) < 0.01 and abs(peer.coverage - 0.683) < 0.03


def _width_ratio(outcome: Outcome, peer: Outcome) -> float:
    """Median ratio of the logarithmic widths of the intervals."""
    low, high = outcome.bounds
    peer_low, peer_high = peer.bounds
    return float(np.nanmedian(np.log(high / low) / np.log(peer_high / peer_low)))


FROZEN = FitOptions(abundance=ABUNDANCE)
FREE = FitOptions(abundance=ABUNDANCE, abundance_bounds=(0.0, 5.0))
DEFAULT_BINS = f"default bins ({LEVEL_BINS[-1]} to {LEVEL_BINS[0]})"
PARTS = {
    "fwhm": ("wstat, bins of FWHM/2", "fwhm", COUNTS, FROZEN),
    "wstat": (f"wstat, {DEFAULT_BINS}", "default", COUNTS, FROZEN),
    "faint": (f"wstat, {DEFAULT_BINS}, faint regions", "default", FAINT, FROZEN),
    "chi2gehrels": (
        "chi2gehrels, channels, background subtracted",
        "channels",
        COUNTS,
        replace(FROZEN, statistic="chi2gehrels"),
    ),
    "fwhm-abundance": ("wstat, bins of FWHM/2, free abundance", "fwhm", COUNTS, FREE),
    "abundance": ("wstat, default bins, free abundance", "default", COUNTS, FREE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Bias and coverage of fitted temperatures.")
    parser.add_argument("--quick", action="store_true", help="200 regions a cell")
    parser.add_argument("--regions", type=int, default=5000, help="regions a cell")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="tables to make")
    arguments = parser.parse_args()
    n = 200 if arguments.quick else arguments.regions
    print(environment())
    acis_i = acis()
    peers: dict[FitOptions, dict[Cell, Outcome]] = {}
    for name in arguments.part:
        title, binning, counts, options = PARTS[name]
        start = time.perf_counter()
        cells = [Cell(o, c, s, r) for o in OBSERVATIONS for c in counts for s in SHARES for r in RATIOS]
        outcomes = {cell: run(acis_i, cell, n, binning, options) for cell in cells}
        if binning == "fwhm":
            peers[options] = outcomes
        print(f"\n### {title} ({n} regions a cell)\n")
        print_table(outcomes)
        print_details(outcomes, peers.get(options, {}))
        if options.abundance_bounds:
            print("\nThe abundance, median of fit / truth and coverage:\n")
            true = np.full(n, ABUNDANCE)
            print_table(
                {c: Outcome(true, o.fits, "abundance", options.abundance_bounds) for c, o in outcomes.items()}
            )
        print(f"\n{time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
