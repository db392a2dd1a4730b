"""Fits with free abundance and nH: against the exact engine, brute force, simulations, Sherpa with XSPEC."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.optimize import minimize

from pyxt_hpc.arrays.views import read_only
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.flags import FitFlag
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, _fit_free_batch, expected_rates, fit_regions
from pyxt_hpc.spectra.grouping import channel_bins, resolution_bins
from pyxt_hpc.spectra.kernels.statistics import STATISTICS, chi2gehrels, cstat, wstat
from pyxt_hpc.spectra.templates import SourceModel, column_grid

EXPOSURE, RATIO, NH = 1e5, 10.0, 0.05
COLUMNS = column_grid((0.0, 0.6))
BOUNDS = (0.0, 2.0)
ENDS = ("kT_lo", "kT_hi", "norm_lo", "norm_hi")
BY_NAME = {"wstat": wstat, "cstat": cstat, "chi2gehrels": chi2gehrels}


def folded_grid(columns: np.ndarray) -> ModelGrid:
    """Model of ACIS-I in bins of half its resolution."""
    arf, rmf = on_axis_arf(), gaussian_rmf()
    edges = resolution_bins(rmf, 0.7, 8.0)
    parts = [SourceModel(redshift=0.1, nH=float(column)).fold(arf, rmf) for column in columns]
    hhe, metals = (
        np.add.reduceat(np.stack([getattr(p, name) for p in parts])[..., : edges[-1]], edges[:-1], axis=-1)
        for name in ("hhe", "metals")
    )
    return ModelGrid(parts[0].kT, columns, hhe, metals)


@pytest.fixture(scope="module")
def grid() -> ModelGrid:
    return folded_grid(np.array([NH]))


@pytest.fixture(scope="module")
def columns_grid() -> ModelGrid:
    return folded_grid(COLUMNS)


def rates(grid: ModelGrid, kT: np.ndarray, abundance: np.ndarray | float, nH: float = NH) -> np.ndarray:
    """Count rates at norm 1."""
    fits = np.zeros(len(kT), [(name, float) for name in ("kT", "abundance", "nH")])
    fits["kT"], fits["abundance"], fits["nH"] = kT, abundance, nH
    return expected_rates(grid, fits)


def simulate(
    grid: ModelGrid, kT: np.ndarray, counts: float, abundance: np.ndarray | float = 0.3, seed: int = 1
) -> list[np.ndarray]:
    """Source, background, weight, ratio; a fifth of the counts is background."""
    rng = np.random.default_rng(seed)
    shape = rates(grid, kT, abundance)
    m = 0.8 * counts * shape / shape.sum(axis=1, keepdims=True)
    flat = np.full(m.shape, 0.2 * counts / m.shape[1])
    return [
        rng.poisson(m + flat), rng.poisson(RATIO * flat),
        np.full(m.shape, EXPOSURE), np.full(m.shape, RATIO),
    ]  # fmt: skip


@pytest.mark.parametrize("name", STATISTICS)
def test_nearly_frozen_abundance_is_the_exact_engine(grid: ModelGrid, name: str) -> None:
    kT = np.exp(np.random.default_rng(2).uniform(np.log(0.8), np.log(12.0), 300))
    spectra = simulate(grid, kT, 1200, seed=3)
    exact = fit_regions(*spectra, grid, FitOptions(name))
    free = fit_regions(*spectra, grid, FitOptions(name, abundance_bounds=(0.3, 0.3 + 1e-9)))
    sigma = 0.5 * (exact["kT_hi"] - exact["kT_lo"])
    assert np.nanmax(np.abs(free["kT"] - exact["kT"]) / sigma) < 1e-3
    np.testing.assert_allclose(free["statistic"], exact["statistic"], atol=1e-5)
    for end in ENDS:
        side = exact[end] - exact[end[:-3]]
        # 1% of the interval, what is asked of every region
        np.testing.assert_allclose((free[end] - free[end[:-3]]) / side, 1.0, atol=0.01)
    kept = ~int(
        FitFlag.ABUNDANCE_AT_BOUND | FitFlag.ABUNDANCE_LO_OPEN | FitFlag.ABUNDANCE_HI_OPEN
        | FitFlag.TWO_MINIMA
    )  # fmt: skip
    np.testing.assert_array_equal(free["flags"] & kept, exact["flags"] & kept)


def lowest(
    grid: ModelGrid,
    spectra: list[np.ndarray],
    name: str,
    fixed: dict[str, float],
    near: np.void,
    free_nH: bool,
) -> float:
    """Statistic at the best values with some parameters fixed, by simplex searches from many temperatures."""
    S, B, weight, r = spectra

    def total(values: dict[str, float]) -> float:
        if not (0 <= values["abundance"] <= BOUNDS[1] and grid.kT[0] <= values["kT"] <= grid.kT[-1]):
            return 1e9
        if not COLUMNS[0] <= values["nH"] <= COLUMNS[-1]:
            return 1e9
        shape = rates(grid, np.array([values["kT"]]), values["abundance"], values["nH"])[0]
        return float(BY_NAME[name](S, B, values["norm"] * weight * shape, r).sum())

    # what is searched for in its place: over all the real numbers, and of like steps
    hidden: dict[str, tuple[Callable[[float], float], float]] = {
        "kT": (np.exp, np.log(near["kT"])),
        "norm": (np.exp, np.log(near["norm"])),
        "abundance": (np.square, np.sqrt(max(near["abundance"], 0.02))),
    }
    if free_nH:
        hidden["nH"] = (np.square, np.sqrt(max(near["nH"], 0.01)))
    free = [name for name in hidden if name not in fixed]

    def of(q: np.ndarray) -> float:
        found = {name: hidden[name][0](min(value, 9.0)) for name, value in zip(free, q, strict=True)}
        return total({"nH": NH, **found, **fixed})

    best = np.inf
    tolerance = 1e-4 if fixed else 1e-6
    for factor in np.geomspace(0.6, 1.7, 5) if "kT" in free else (1.0,):
        start = [hidden[name][1] + (np.log(factor) if name == "kT" else 0.0) for name in free]
        options = {"xatol": tolerance, "fatol": tolerance, "maxiter": 1500}
        best = min(best, minimize(of, start, method="Nelder-Mead", options=options).fun)
    return best


@pytest.mark.parametrize(
    ("name", "free_nH", "seed"),
    [("wstat", False, 4), ("cstat", False, 5), ("chi2gehrels", False, 6), ("wstat", True, 7)],
)
def test_minimum_and_ends_are_those_of_a_search_by_brute_force(
    grid: ModelGrid, columns_grid: ModelGrid, name: str, free_nH: bool, seed: int
) -> None:
    kT = np.array([1.3, 4.0, 7.5])
    spectra = simulate(grid, kT, 2500, seed=seed)
    used = columns_grid if free_nH else grid
    options = FitOptions(name, abundance_bounds=BOUNDS, nH_bounds=(0.0, 0.6) if free_nH else None)
    found = fit_regions(*spectra, used, options)
    names = ("kT", "norm", "abundance", *(("nH",) if free_nH else ()))
    closed = 0
    for i, fit in enumerate(found):
        mine = [a[i] for a in spectra]
        best = lowest(used, mine, name, {}, fit, free_nH)
        assert fit["statistic"] <= best + 1e-4
        for parameter in names:
            for end in ("lo", "hi"):
                value = fit[f"{parameter}_{end}"]
                if np.isfinite(value):
                    height = lowest(used, mine, name, {parameter: float(value)}, fit, free_nH)
                    # 1% of sigma is 0.02; the search itself may stop a little high
                    assert height - fit["statistic"] == pytest.approx(1.0, abs=0.02)
                    closed += 1
    assert closed >= 14


def test_truth_is_recovered_and_covered(grid: ModelGrid) -> None:
    n = 900
    rng = np.random.default_rng(8)
    kT, abundance = rng.uniform(2.0, 8.0, n), rng.uniform(0.4, 1.0, n)
    found = fit_regions(
        *simulate(grid, kT, 4000, abundance, seed=9), grid, FitOptions(abundance_bounds=(0.0, 5.0))
    )
    assert not (found["flags"] & int(FitFlag.FAILED | FitFlag.NO_COUNTS)).any()
    three_sigma = 3 * np.sqrt(0.683 * 0.317 / n)
    for name, truth, low, high in (("kT", kT, 0.0, np.inf), ("abundance", abundance, 0.0, 5.0)):
        lo, hi = np.nan_to_num(found[f"{name}_lo"], nan=low), np.nan_to_num(found[f"{name}_hi"], nan=high)
        assert ((lo <= truth) & (truth <= hi)).mean() == pytest.approx(0.683, abs=three_sigma)
        assert np.median(found[name] / truth) == pytest.approx(1.0, abs=0.03)


def test_free_nH_is_recovered_and_its_bounds_are_flagged(columns_grid: ModelGrid) -> None:
    kT = np.random.default_rng(1).uniform(2.0, 7.0, 200)
    options = FitOptions(nH_bounds=(0.0, 0.6))
    found = fit_regions(*simulate(columns_grid, kT, 1500, seed=2), columns_grid, options)
    lo, hi = np.nan_to_num(found["nH_lo"], nan=0.0), found["nH_hi"]
    assert ((lo <= NH) & (NH <= hi)).mean() == pytest.approx(0.683, abs=0.1)
    at_bound = (found["flags"] & int(FitFlag.NH_AT_BOUND)) != 0
    assert 0 < at_bound.sum() < 150
    np.testing.assert_array_equal(found["nH"][at_bound], 0.0)
    assert np.isnan(found["nH_lo"][at_bound]).all()
    assert (found["dof"] == found["dof"][0]).all()


def test_interpolation_between_columns_is_the_folded_model(columns_grid: ModelGrid) -> None:
    for nH in (0.013, 0.27, 0.58):
        direct = folded_grid(np.array([nH]))
        expected = rates(direct, np.array([0.9, 6.0]), 0.4, nH)
        np.testing.assert_allclose(rates(columns_grid, np.array([0.9, 6.0]), 0.4, nH), expected, rtol=5e-5)


def test_perfect_spectrum_gives_the_truth(columns_grid: ModelGrid) -> None:
    shape = rates(columns_grid, np.array([0.9, 4.0]), 0.45, 0.11)
    m, b = 3e-4 * EXPOSURE * shape, np.full(shape.shape, 0.7)
    options = FitOptions(abundance_bounds=BOUNDS, nH_bounds=(0.0, 0.6))
    found = fit_regions(
        m + b, 10 * b, np.full(m.shape, EXPOSURE), np.full(m.shape, 10.0), columns_grid, options
    )
    for name, value in (("kT", [0.9, 4.0]), ("norm", 3e-4), ("abundance", 0.45), ("nH", 0.11)):
        np.testing.assert_allclose(found[name], value, rtol=1e-3)
    np.testing.assert_allclose(found["statistic"], 0.0, atol=1e-6)


def test_a_region_depends_on_itself_alone(columns_grid: ModelGrid) -> None:
    kT = np.random.default_rng(3).uniform(1.0, 9.0, 12)
    spectra = simulate(columns_grid, kT, 800, seed=3)
    spectra[0][4] = 0
    for options, used in (
        (FitOptions(abundance_bounds=BOUNDS, nH_bounds=(0.0, 0.6)), columns_grid),
        (FitOptions(abundance_bounds=BOUNDS), folded_grid(np.array([NH]))),
    ):
        batch = fit_regions(*spectra, used, options)
        assert batch["flags"][4] == FitFlag.NO_COUNTS
        for i in range(12):
            alone = fit_regions(*(a[i : i + 1] for a in spectra), used, options)
            assert alone.tobytes() == batch[i : i + 1].tobytes()


@pytest.mark.parametrize("counts", [1, 3, 12, 60])
def test_few_counts_never_crash(columns_grid: ModelGrid, counts: int) -> None:
    rng = np.random.default_rng(counts)
    n_bin = columns_grid.hhe.shape[2]
    S = rng.multinomial(counts, np.full(n_bin, 1 / n_bin), 60)
    B = rng.poisson(0.05, S.shape)
    ones = np.ones(S.shape)
    options = FitOptions(abundance_bounds=BOUNDS, nH_bounds=(0.0, 0.6))
    found = fit_regions(S, B, EXPOSURE * ones, 10 * ones, columns_grid, options)
    failed = found["flags"] & int(FitFlag.FAILED) != 0
    # of a handful of counts there may be nothing to be known
    assert failed.mean() <= (0.02 if counts > 10 else 1.0)
    usable = ~failed & (found["flags"] & int(FitFlag.NO_COUNTS) == 0)
    for name in ("kT", "norm", "abundance", "nH"):
        value = found[name][usable]
        assert np.isfinite(value).all()
        assert not (found[f"{name}_lo"][usable] > value).any()
        assert not (found[f"{name}_hi"][usable] < value).any()


def test_arrays_of_ranks_need_no_other_kernels(grid: ModelGrid) -> None:
    """Arrays in shared memory are read-only, and for another kind the kernels would be compiled again."""
    spectra = simulate(grid, np.full(2, 4.0), 500)
    options = FitOptions("wstat", abundance_bounds=BOUNDS)
    here = fit_regions(*spectra, replace(grid, nH=grid.nH.copy()), options)
    kinds = list(_fit_free_batch.signatures)
    shared = [read_only(a) for a in spectra]
    there = fit_regions(*shared, replace(grid, nH=read_only(grid.nH)), options)
    assert there.tobytes() == here.tobytes()
    assert _fit_free_batch.signatures == kinds


def test_refusals(grid: ModelGrid, columns_grid: ModelGrid) -> None:
    spectra = simulate(grid, np.array([3.0]), 100)
    for options, used, message in (
        (FitOptions("chi2"), grid, "wstat, cstat, chi2gehrels"),
        (FitOptions(abundance_bounds=(1.0, 0.2)), grid, "bounds of abundance: found 1 to 0.2"),
        (FitOptions(kT_bounds=(0.001, 5.0)), grid, "bounds of kT"),
        (FitOptions(nH_bounds=(0.0, 0.6)), grid, "1 columns"),
        (FitOptions(nH_bounds=(0.0, 3.0)), columns_grid, "bounds of nH"),
        (FitOptions(abundance=-1.0), grid, "abundance is -1"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit_regions(*spectra, used, options)


def test_fake_spectra_as_sherpa_with_xspec(shared: Path) -> None:
    arf, rmf = read_arf(shared / "chandra" / "9774.arf"), read_rmf(shared / "chandra" / "9774.rmf")
    reference = json.loads((shared / "reference" / "sherpa_fits.json").read_text())["fake"]
    with h5py.File(shared / "reference" / "fake_spectra.h5") as file:
        nH = float(file.attrs["nH"])
        templates = SourceModel(redshift=float(file.attrs["redshift"]), nH=nH).fold(arf, rmf)
        edges = channel_bins(*file.attrs["band_keV"], rmf)
        band = slice(edges[0], edges[-1])
        S, B = file["source"][:, band], file["background"][:, band]
        weight = np.full(S.shape, file.attrs["exposure"])
        ratio = np.full(S.shape, file.attrs["background_exposure_ratio"])
    grid = ModelGrid(
        templates.kT, np.array([nH]), templates.hhe[None, :, band], templates.metals[None, :, band]
    )
    found = fit_regions(S, B, weight, ratio, grid, FitOptions(abundance_bounds=(0.0, 5.0)))
    compared = 0
    for ours, sherpas in zip(found, (r["wstat_free_abundance"] for r in reference), strict=True):
        # the lower statistic is the better fit; XSPEC's plasma and ours differ by up to 0.04 of it
        assert ours["statistic"] < sherpas["statval"] + 0.1
        if ours["statistic"] < sherpas["statval"] - 0.1:
            continue
        for name, theirs in (("kT", "kT"), ("abundance", "Abundanc")):
            ends = sherpas[theirs]
            sides = [abs(ends[side]) for side in ("minus", "plus") if ends[side] is not None]
            if sides:
                compared += 1
                assert abs(ours[name] - ends["value"]) < 0.05 * np.mean(sides)
    assert compared >= 16
