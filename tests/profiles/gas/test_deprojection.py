"""The joint fit of shells: against another minimiser, drawn spectra, and what smoothing does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from pyxt_hpc.profiles.annulus_spectra import AnnulusSpectra
from pyxt_hpc.profiles.gas.deprojection import ShellFit, fit_shells
from pyxt_hpc.profiles.gas.projection import projection_matrix
from pyxt_hpc.spectra.fit import FitOptions

KT = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
EDGES = np.array([0.0, 1.0, 2.0, 3.5, 6.0])
TRUE_KT, TRUE_NORM, ABUNDANCE = np.array([2.2, 3.5, 6.0, 5.0]), np.array([0.5, 1.5, 3.0, 5.0]), 0.4


def fit_of(rng: np.random.Generator, counts: float = 4e3, **options: object) -> ShellFit:
    """Spectra like bremsstrahlung with one line, of four shells, with a background."""
    energy = np.geomspace(0.7, 8.0, 25)
    middle, width = 0.5 * (energy[1:] + energy[:-1]), np.diff(energy)
    light = counts * width * np.exp(-middle / KT[:, None]) / np.sqrt(KT[:, None]) * middle**-0.4
    metals = light * np.exp(-0.5 * ((middle - 6.7) / 0.5) ** 2) * 2.0
    n, n_bin = len(EDGES) - 1, len(middle)
    blank = np.tile(0.02 * counts * width, n)
    none = np.zeros(n * n_bin)
    spectra = AnnulusSpectra(
        np.repeat(np.arange(n), n_bin), none, none, 5.0 * blank, np.full(n * n_bin, 5.0), KT,
        np.tile(light, n), np.tile(metals, n), FitOptions(abundance=ABUNDANCE, **options),
    )  # fmt: skip
    fit = ShellFit(spectra, projection_matrix(EDGES))
    expected = fit.expected(true_parameters(fit))
    source, background = rng.poisson(expected + blank), rng.poisson(5.0 * blank)
    drawn = replace(spectra, source=source.astype(float), background=background.astype(float))
    return ShellFit(drawn, fit.projection)


def true_parameters(fit: ShellFit) -> np.ndarray:
    free = [np.full(4, ABUNDANCE)] if fit.spectra.options.abundance_bounds else []
    return np.concatenate([np.log(TRUE_NORM), np.log(TRUE_KT), *free])


@pytest.mark.parametrize("statistic", ["wstat", "cstat"])
def test_minimum_is_that_of_another_minimiser(statistic: str) -> None:
    fit = fit_of(np.random.default_rng(1), statistic=statistic, abundance_bounds=(0.0, 3.0))
    s = fit.spectra
    start = fit.start(TRUE_NORM * 1.5, np.full(4, 4.0), np.full(4, 0.3))
    best, value = fit.minimise(s.source, s.background, start)
    low, high = fit.bounds(5.0)
    other = minimize(
        lambda p: fit.statistic(s.source, s.background, p), true_parameters(fit), method="Nelder-Mead",
        bounds=list(zip(low, high, strict=True)),
        options={"maxfev": 30_000, "maxiter": 30_000, "adaptive": True, "fatol": 1e-6},
    )  # fmt: skip
    assert value <= other.fun + 0.01
    assert value < fit.statistic(s.source, s.background, true_parameters(fit))
    assert len(best) == 12


def test_derivatives_are_differences() -> None:
    fit = fit_of(np.random.default_rng(2), abundance_bounds=(0.0, 3.0))
    p = true_parameters(fit)
    found = fit.derivatives(p)
    for i in range(len(p)):
        step = np.zeros(len(p))
        step[i] = 1e-5
        difference = (fit.expected(p + step) - fit.expected(p - step)) / 2e-5
        assert found[i] == pytest.approx(difference, rel=1e-5, abs=1e-6 * np.abs(difference).max())


def test_draws_have_the_scatter_of_fits() -> None:
    """What one data set's draws say of the errors is the scatter of fits to many data sets, without bias."""
    rng = np.random.default_rng(3)
    first = fit_of(rng)
    s = first.spectra
    start = true_parameters(first)
    told = fit_shells(first, start, n_draws=150, rng=rng).draws
    found = []
    for _ in range(150):
        fit = fit_of(rng)
        p, _ = fit.minimise(fit.spectra.source, fit.spectra.background, start)
        found.append(p)
    scatter = np.std(found, axis=0)
    assert np.std(np.log(told.norm), axis=0) == pytest.approx(scatter[:4], rel=0.35)
    assert np.std(np.log(told.kT), axis=0) == pytest.approx(scatter[4:], rel=0.35)
    bias = (np.mean(found, axis=0) - start) / (scatter / np.sqrt(150))
    assert np.abs(bias).max() < 4.5
    # neighbours take from each other
    assert np.corrcoef(told.norm[:, 1], told.norm[:, 2])[0, 1] < -0.1
    assert len(s.source) == 4 * 24


def test_smoothing_is_off_by_default_and_smooths() -> None:
    fit = fit_of(np.random.default_rng(4), counts=500.0)
    s, start = fit.spectra, true_parameters(fit)
    rough, stiff = (
        replace(fit, smoothing=weight).minimise(s.source, s.background, start)[0][4:] for weight in (0.0, 1e5)
    )
    assert fit.smoothing == 0.0
    assert np.abs(np.diff(stiff, 2)).max() < 0.02
    assert np.abs(np.diff(rough, 2)).max() > 0.3


def test_draws_of_a_smoothed_fit_have_the_width_that_smoothing_expects() -> None:
    """Where spectra tell next to nothing of temperatures, second differences scatter as is asked for."""
    rng = np.random.default_rng(6)
    fit = replace(fit_of(rng, counts=2.0), smoothing=0.3**-2)
    draws = fit_shells(fit, true_parameters(fit), n_draws=150, rng=rng).draws
    inside = np.all((draws.kT > 1.01 * KT[0]) & (draws.kT < 0.99 * KT[-1]), axis=1)
    assert inside.mean() > 0.3
    assert np.diff(np.log(draws.kT[inside]), 2).std() == pytest.approx(0.3, rel=0.25)


def test_shell_without_emission_is_told() -> None:
    rng = np.random.default_rng(5)
    fit = fit_of(rng)
    p = true_parameters(fit)
    p[1] = -40.0
    s = fit.spectra
    drawn = replace(
        s,
        source=rng.poisson(fit.expected(p) + s.smooth / s.ratio).astype(float),
        background=rng.poisson(s.smooth).astype(float),
    )
    found = fit_shells(ShellFit(drawn, fit.projection), true_parameters(fit), n_draws=40, rng=rng)
    assert found.no_emission[1] or found.no_emission_drawn[:, 1].mean() > 0.16
    assert not found.no_emission[[0, 2, 3]].any()
