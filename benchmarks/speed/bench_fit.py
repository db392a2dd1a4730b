"""Speed of the fits and of Sherpa in the same run, with a comparison of their results.

    pip install sherpa                                      (without it, only our fits are timed)
    python -m benchmarks.speed.bench_fit [--quick] [--apecroot DIRECTORY/apec_v3.0.9]

Spectra are simulated with 1600 counts in each region, 20% of them background, a blank-sky exposure 10 times
that of the source, kT of 2-9 keV, and an ACIS-like response. Unless a line says otherwise, a fit gives kT and
norm by wstat, with both 68% intervals; the default bins are those that `grouping` chooses for such spectra.
Sherpa uses fit() (levmar) and conf() on the same ungrouped spectra, from kT = 4 keV. With --apecroot (and
`pip install xspectrampoline`), its model is phabs * apec of XSPEC; without, Sherpa interpolates this
package's plasma table, which is faster. All runs use one core. Our time is the best of 5 (quick: 2), and
Sherpa's is the mean over its regions; both are CPU times, which depend less on other work on the machine.
"""

import argparse
import ctypes
import importlib
import logging
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks.common import environment
from pyxt_hpc.binning.runs import runs_of_discs
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.chandra.ogip.response_files import write_arf, write_rmf
from pyxt_hpc.fit.extraction.extract import extract_regions
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.grouping import channel_bins, choose_level, merge_levels, resolution_bins
from pyxt_hpc.spectra.kernels.statistics import WSTAT, slopes_and_curvatures, terms, total
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import load_plasma
from pyxt_hpc.spectra.templates import SourceModel

SEED = 20240501
COUNTS, BACKGROUND_SHARE, RATIO, EXPOSURE = 1600.0, 0.2, 10.0, 5e4
REDSHIFT, NH, ABUNDANCE = 0.07, 0.05, 0.3
BAND = (0.7, 8.0)

Flux = Callable[[float], np.ndarray]


def response() -> tuple[Arf, Rmf]:
    """Effective area and energy resolution similar to those of ACIS-I."""
    edges = np.arange(1025) * 0.0146
    lo = np.arange(0.3, 11.0, 0.01)
    centre, energy = 0.5 * (edges[1:] + edges[:-1]), (lo + 0.005)[:, None]
    sigma = np.sqrt(0.09**2 + 0.003 * energy) / 2.355
    matrix = np.exp(-0.5 * ((centre - energy) / sigma) ** 2)
    matrix /= matrix.sum(axis=1, keepdims=True)
    inside = abs(centre - energy) < 6 * sigma
    first, length = inside.argmax(axis=1).astype(np.int32), inside.sum(axis=1).astype(np.int32)
    rmf = Rmf(
        lo, lo + 0.01, np.ones(len(lo), np.int32), first, length, matrix[inside], edges[:-1], edges[1:], 1
    )
    return Arf(lo, lo + 0.01, 500 * np.exp(-0.5 * (np.log(lo / 1.6) / 0.7) ** 2)), rmf


def simulate(rate: np.ndarray, kT: np.ndarray, n: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Source and background counts, weight and ratio (n, n_channel) of regions, and their kT (n,)."""
    rng = np.random.default_rng(SEED)
    truth = rng.uniform(2.0, 9.0, n)
    k = np.searchsorted(kT, truth) - 1
    t = ((truth - kT[k]) / (kT[k + 1] - kT[k]))[:, None]
    shape = (1 - t) * rate[k] + t * rate[k + 1]
    shape /= shape.sum(axis=1, keepdims=True)
    flat = np.full(shape.shape, COUNTS * BACKGROUND_SHARE / shape.shape[1])
    source = rng.poisson(COUNTS * (1 - BACKGROUND_SHARE) * shape + flat)
    background = rng.poisson(RATIO * flat)
    return [source, background, np.full(shape.shape, EXPOSURE), np.full(shape.shape, RATIO)], truth


def grouped(
    spectra: list[np.ndarray], rate: np.ndarray, cuts: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Spectra (counts, weight and ratio) and templates in bins."""
    source, background, weight, ratio = spectra
    counts = [np.add.reduceat(a, cuts[:-1], axis=1) for a in (source, background)]
    return [*counts, weight[:, cuts[:-1]], ratio[:, cuts[:-1]]], np.add.reduceat(rate, cuts[:-1], axis=1)


def five(spectra: list[np.ndarray], rate: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Spectra and templates of the same counts in five observations, with a fifth of the exposure each."""
    rng = np.random.default_rng(SEED)
    dealt = []
    for counts in spectra[:2]:
        parts, left = [], counts
        for remaining in range(5, 0, -1):
            parts.append(rng.binomial(left, 1 / remaining))
            left = left - parts[-1]
        dealt.append(np.concatenate(parts, axis=1))
    weight, ratio = np.tile(spectra[2] / 5, 5), np.tile(spectra[3], 5)
    return [*dealt, weight, ratio], np.tile(rate, 5)


def best_of(repeats: int, function: Callable[[], Any]) -> float:
    """Shortest CPU time of several runs [s], without the first run, which compiles."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def table_flux(edges: np.ndarray) -> Flux:
    """Function of kT that gives phabs * apec at norm 1, from this package's table."""
    table = load_plasma()
    hhe, metals = table.components(edges, REDSHIFT)
    spectra = (hhe + ABUNDANCE * metals) * transmission(edges, NH)

    def flux(kT: float) -> np.ndarray:
        k = int(np.clip(np.searchsorted(table.kT, kT) - 1, 0, len(table.kT) - 2))
        t = (kT - table.kT[k]) / (table.kT[k + 1] - table.kT[k])
        return (1 - t) * spectra[k] + t * spectra[k + 1]

    return flux


def xspec_flux(edges: np.ndarray, apecroot: str) -> Flux:
    """Function of kT that gives phabs * apec at norm 1, from the XSPEC library."""
    library = importlib.import_module("xspectrampoline").lib_XSFunctions
    error = ctypes.c_int(0)
    library.FPSOLR(b"angr", ctypes.byref(error))
    library.FPXSCT(b"bcmc", ctypes.byref(error))
    library.FPMSTR(b"APECROOT", apecroot.encode())
    pointer, n = ctypes.POINTER(ctypes.c_double), len(edges) - 1

    def call(name: str, parameters: list[float]) -> np.ndarray:
        values, errors = np.zeros(n), np.zeros(n)
        getattr(library, f"C_{name}")(
            edges.ctypes.data_as(pointer), ctypes.c_int(n), np.array(parameters).ctypes.data_as(pointer),
            ctypes.c_int(1), values.ctypes.data_as(pointer), errors.ctypes.data_as(pointer), b"",
        )  # fmt: skip
        return values

    # Sherpa also caches the factor with frozen parameters.
    absorbed = call("phabs", [NH])
    return lambda kT: absorbed * call("apec", [kT, ABUNDANCE, REDSHIFT])


def sherpa_fitter(
    arf: Arf, rmf: Rmf, make_flux: Callable[[np.ndarray], Flux], spectra: list[np.ndarray], first: int
) -> Callable[[int], Any]:
    """Function that fits one region with new Sherpa objects and returns (kT, lo, hi, statistic)."""
    from sherpa.astro import io
    from sherpa.astro.data import DataPHA
    from sherpa.astro.instrument import Response1D
    from sherpa.estmethods import Confidence
    from sherpa.fit import Fit
    from sherpa.models.model import ArithmeticModel
    from sherpa.models.parameter import Parameter
    from sherpa.optmethods import LevMar
    from sherpa.stats import WStat

    logging.getLogger("sherpa").setLevel(logging.ERROR)

    fluxes: dict[int, Flux] = {}  # by the number of energies, since Sherpa always asks for the same ones

    class Plasma(ArithmeticModel):
        def __init__(self) -> None:
            self.kT = Parameter("plasma", "kT", 4.0, min=0.1, max=40.0)
            self.norm = Parameter("plasma", "norm", 1e-3, min=0.0, max=1.0)
            super().__init__("plasma", (self.kT, self.norm))

        def calc(self, p: Any, lo: Any = None, hi: Any = None, *args: Any, **kwargs: Any) -> np.ndarray:
            if len(lo) not in fluxes:
                fluxes[len(lo)] = make_flux(np.append(lo, hi[-1]))
            return p[1] * fluxes[len(lo)](float(p[0]))

    with tempfile.TemporaryDirectory() as folder:
        write_arf(Path(folder) / "a.arf", arf)
        write_rmf(Path(folder) / "a.rmf", rmf)
        sherpa_arf, sherpa_rmf = io.read_arf(f"{folder}/a.arf"), io.read_rmf(f"{folder}/a.rmf")

    def fit(region: int) -> tuple[float, float, float, float]:
        counts = np.zeros((2, rmf.n_channels))
        width = spectra[0].shape[1]
        counts[:, first : first + width] = spectra[0][region], spectra[1][region]
        channel = np.arange(1, rmf.n_channels + 1)
        data = DataPHA("source", channel, counts[0], exposure=EXPOSURE, backscal=1.0)
        data.set_background(
            DataPHA("background", channel, counts[1], exposure=EXPOSURE * RATIO, backscal=1.0)
        )
        data.set_response(sherpa_arf, sherpa_rmf)
        data.notice(first + 1, first + width)
        plasma = Plasma()
        session = Fit(data, Response1D(data)(plasma), WStat(), LevMar(), Confidence())
        session.estmethod.config["parallel"] = False
        result = session.fit()
        errors = session.est_errors()
        kT = plasma.kT.val
        lo, hi = errors.parmins[0], errors.parmaxes[0]
        return kT, kT + lo if lo else np.nan, kT + hi if hi else np.nan, result.statval

    return fit


EXPECTED, SLOPE, CURVATURE, SCRATCH = range(4)
"""Rows of the array that the kernels fill."""


@numba.njit
def _evaluate(n: int, bins: np.ndarray, rates: np.ndarray, rows: np.ndarray) -> float:
    """Evaluate the derivatives of wstat n times."""
    result = 0.0
    for i in range(n):
        for j in range(rates.shape[1]):
            rows[EXPECTED, j] = (0.5 + 1e-9 * i) * (rates[0, j] + rates[1, j])
        terms(WSTAT, bins[0], bins[1], bins[2], rows[EXPECTED], rows[SLOPE], rows[CURVATURE])
        result += slopes_and_curvatures(rows[SLOPE], rows[CURVATURE], rates[0], rates[1])[0]
    return result


@numba.njit
def _sum_up(n: int, bins: np.ndarray, rows: np.ndarray) -> float:
    """Evaluate wstat, with its logarithms, n times."""
    result = 0.0
    for i in range(n):
        rows[EXPECTED, 0] += 1e-9 * i
        result += total(WSTAT, bins[0], bins[1], bins[2], rows[EXPECTED], rows[SLOPE], rows[SCRATCH])
    return result


def kernels() -> None:
    """Print the times of the two main kernels of fits, for 24 and 104 bins."""
    rng = np.random.default_rng(SEED)
    for n_bin in (24, 104):
        mean = COUNTS / n_bin
        bins = np.array(
            [rng.poisson(mean, n_bin), rng.poisson(2 * mean, n_bin), np.full(n_bin, RATIO)], float
        )
        rates, rows = rng.uniform(0.5, 1.5, (2, n_bin)) * mean, np.ones((4, n_bin))
        n = 20_000
        derivatives = best_of(5, lambda b=bins, r=rates, z=rows, n=n: _evaluate(n, b, r, z)) / n
        sums = best_of(5, lambda b=bins, z=rows, n=n: _sum_up(n, b, z)) / n
        print(
            f"{n_bin} bins: derivatives {1e6 * derivatives:.2f} us ({n_bin} square roots and divisions), "
            f"statistic {1e6 * sums:.2f} us ({2 * n_bin} logarithms)"
        )


def extraction(repeats: int) -> None:
    """Print the time to extract spectra from sorted events: radius 20 pixels, 4.7 events per pixel."""
    rng = np.random.default_rng(SEED)
    ny = nx = 400
    per_pixel = rng.poisson(4.7, ny * nx)
    indptr = np.concatenate([[0], np.cumsum(per_pixel)]).astype(np.int32)
    bins = rng.integers(0, 104, indptr[-1]).astype(np.uint8)
    row, col = rng.integers(20, 380, (2, 4000))
    radius = np.full(4000, 20.0)

    def extract() -> np.ndarray:
        return extract_regions(runs_of_discs(row, col, radius), indptr, bins, 104, (ny, nx))

    events = extract().sum() / len(row)
    taken = best_of(repeats, extract) / len(row)
    print(f"extraction: {1 / taken:.0f} spectra/s of {events:.0f} events, {1e9 * taken / events:.2f} ns each")


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the fits and of Sherpa's.")
    parser.add_argument("--quick", action="store_true", help="fewer regions, fewer repeats")
    parser.add_argument(
        "--apecroot", help="AtomDB's files less _line.fits and _coco.fits, for the XSPEC library"
    )
    options = parser.parse_args()
    n, repeats, n_peer = (500, 2, 3) if options.quick else (4000, 5, 10)
    print(environment())

    arf, rmf = response()
    templates = SourceModel(redshift=REDSHIFT, nH=NH).fold(arf, rmf)
    channels = channel_bins(*BAND, rmf)
    band = slice(channels[0], channels[-1])
    parts = [np.ascontiguousarray(rates[:, band]) for rates in (templates.hhe, templates.metals)]
    rate = parts[0] + ABUNDANCE * parts[1]
    spectra, truth = simulate(rate, templates.kT, n)
    cuts = resolution_bins(rmf, *BAND) - channels[0]
    fine, _ = grouped(spectra, rate, cuts)
    fine_parts = [np.add.reduceat(rates, cuts[:-1], axis=1) for rates in parts]
    level = int(choose_level(fine[1].sum(axis=1).mean(keepdims=True)))
    shape = np.ones(len(cuts) - 1)

    def wide(*other: np.ndarray) -> np.ndarray:
        fine_rate = fine_parts[0] + ABUNDANCE * fine_parts[1]
        return merge_levels(templates.kT, fine_rate, shape, other)[level]

    spectra_of_5, _ = five(fine, fine_parts[0])
    parts_of_5 = [np.tile(rates, 5) for rates in fine_parts]
    n_fine = len(cuts) - 1
    wide_of_5 = np.concatenate([[0], *(wide()[1:] + i * n_fine for i in range(5))])
    free = FitOptions(abundance_bounds=(0.0, 3.0))
    cases: dict[str, tuple[list[np.ndarray], list[np.ndarray], FitOptions, np.ndarray | None]] = {
        "default bins": (fine, fine_parts, FitOptions(), wide()),
        "FWHM/2 bins": (fine, fine_parts, FitOptions(), None),
        "ungrouped": (spectra, parts, FitOptions(), None),
        "5 observations, default bins": (spectra_of_5, parts_of_5, FitOptions(), wide_of_5),
        "5 observations, FWHM/2 bins": (spectra_of_5, parts_of_5, FitOptions(), None),
        "abundance free, default bins": (fine, fine_parts, free, wide(fine_parts[1])),
        "abundance free, FWHM/2 bins": (fine, fine_parts, free, None),
        "cstat, FWHM/2 bins": (fine, fine_parts, FitOptions("cstat"), None),
        "chi2gehrels, FWHM/2 bins": (fine, fine_parts, FitOptions("chi2gehrels"), None),
    }
    seconds = {}
    for name, (counts, rates, what, bins) in cases.items():
        model = ModelGrid(templates.kT, np.array([NH]), rates[0][None], rates[1][None])
        found = fit_regions(*counts, model, what, bins)
        assert not (found["flags"] & (FitFlag.FAILED | FitFlag.NO_COUNTS)).any(), (
            "a region could not be fitted"
        )
        lo, hi = np.nan_to_num(found["kT_lo"], nan=0.0), np.nan_to_num(found["kT_hi"], nan=np.inf)
        inside = float(np.mean((lo <= truth) & (truth <= hi)))
        expected = what.statistic != "chi2gehrels"
        assert not expected or abs(inside - 0.683) < 0.07, f"{inside} of the intervals hold the true kT"
        run = partial(fit_regions, *counts, model, what, bins)
        seconds[name] = best_of(repeats, run) / n
        n_bin = counts[0].shape[1] if bins is None else len(bins) - 1
        speed = f"{1 / seconds[name]:8.0f} regions/s {1e6 * seconds[name]:7.1f} us"
        print(f"{name:30s} {n_bin:4d} bins {speed}   truth in the interval {inside:.3f}")
    kernels()
    extraction(repeats)

    if importlib.util.find_spec("sherpa") is None:
        print("Sherpa is not installed: no peer")
        return
    make_flux = partial(xspec_flux, apecroot=options.apecroot) if options.apecroot else table_flux
    fit = sherpa_fitter(arf, rmf, make_flux, spectra, int(channels[0]))
    model = ModelGrid(templates.kT, np.array([NH]), parts[0][None], parts[1][None])
    ours = fit_regions(*(a[:n_peer] for a in spectra), model, FitOptions())
    fit(0)
    start = time.process_time()
    theirs = [fit(region) for region in range(n_peer)]
    peer = (time.process_time() - start) / n_peer
    for mine, (kT, lo, hi, statistic) in zip(ours, theirs, strict=True):
        sigma = 0.5 * (mine["kT_hi"] - mine["kT_lo"])
        # Sherpa may stop in a local minimum, but its statistic must not be lower than ours.
        assert mine["statistic"] < statistic + 0.05, f"Sherpa found a better fit: {mine}, {statistic}"
        agrees = abs(mine["kT"] - kT) < 0.05 * sigma or mine["statistic"] < statistic - 1e-3
        assert agrees, f"kT {mine['kT']} and Sherpa's {kT} +- {sigma} disagree"
        print(
            f"  kT {mine['kT']:.3f} ({mine['kT_lo']:.3f}, {mine['kT_hi']:.3f}), W {mine['statistic']:.3f}"
            f"   Sherpa {kT:.3f} ({lo:.3f}, {hi:.3f}), W {statistic:.3f}"
        )
    kind = "XSPEC's phabs * apec" if options.apecroot else "this package's table"
    print(f"Sherpa fit() + conf(), {kind}: {peer:.3f} s a region")
    for name in ("ungrouped", "FWHM/2 bins", "default bins"):
        print(f"  {name}: {peer / seconds[name]:.0f} times as fast")


if __name__ == "__main__":
    main()
