"""What simulated fits predict is what fits of a cluster whose truth is known do."""

from dataclasses import replace

import numpy as np
import pytest
from simulated_fronts import shock_free_cluster

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.calibrate.recovery import Recovery, Summary
from pyxt_hpc.calibrate.simulation import TRUTH_DTYPE, Simulation
from pyxt_hpc.fit.inputs import config_of
from pyxt_hpc.fit.observations import fold_observations
from pyxt_hpc.fit.region_map import regions_of_labels
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.simulate.direct import observe_directly, scaled_to
from pyxt_hpc.spectra.fit import ModelGrid

KT, SIDE, SQUARE, COUNTS = 6.0, 160, 8, 700
REGIONS = (SIDE // SQUARE) ** 2


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """An even, isothermal sky, with half as much background again."""
    random = np.random.default_rng(11)
    shape = (SIDE, SIDE)
    flat = replace(
        shock_free_cluster("round", random, SIDE).cluster,
        kT=np.full(shape, KT), norm=np.full(shape, 1e-6), abundance=np.full(shape, 0.3),
    )  # fmt: skip
    return observe_directly(scaled_to(flat, REGIONS * COUNTS), random, background_ratio=5.0)


def fits_of(bundle: Bundle, statistic: str = "wstat") -> RegionFits:
    """Fits of squares that share no pixel."""
    number = np.arange(SIDE) // SQUARE
    labels = 1 + number[:, None] * (SIDE // SQUARE) + number
    table, runs = regions_of_labels(labels)
    config = replace(config_of(bundle), statistic=statistic)
    return RegionFits.of(bundle, config, table, None, runs)


def truth_of(rows: np.ndarray) -> np.ndarray:
    """Take the fitted values as the truth."""
    truth = np.zeros(len(rows), TRUTH_DTYPE)
    for name in TRUTH_DTYPE.names or ():
        truth[name] = rows[name]
    return truth


def recovered(fits: RegionFits, truth: np.ndarray, model: ModelGrid | None = None, draws: int = 4) -> Summary:
    """Recovery of kT from simulations."""
    simulation = Simulation(fits, truth, model or fits.observations.grid, draws, 1)
    return Recovery.of("kT", truth, simulation.refit(np.arange(len(truth)))).summary()


def real(rows: np.ndarray) -> Summary:
    """Bias and coverage of the fits of the sky itself."""
    known = np.zeros(len(rows), TRUTH_DTYPE)
    known["kT"] = KT
    return Recovery.of("kT", known, rows[:, None]).summary()


@pytest.mark.parametrize(("statistic", "biased"), [("wstat", False), ("chi2gehrels", True)])
def test_bias_and_coverage_are_those_against_the_truth(bundle: Bundle, statistic: str, biased: bool) -> None:
    fits = fits_of(bundle, statistic)
    rows = fits.fit(np.arange(REGIONS))
    against_truth, predicted = real(rows), recovered(fits, truth_of(rows))
    error = 3 * np.hypot(against_truth.bias_error, predicted.bias_error)
    assert predicted.bias == pytest.approx(against_truth.bias, abs=error)
    chance = 3 * np.hypot(against_truth.coverage_error, predicted.coverage_error)
    assert predicted.coverage == pytest.approx(against_truth.coverage, abs=chance)
    assert (abs(predicted.bias) > 2 * error) == biased, "there would be nothing to predict"


def test_simulated_counts_are_those_of_the_sky(bundle: Bundle) -> None:
    fits = fits_of(bundle)
    indices = np.arange(REGIONS)
    truth = truth_of(fits.fit(indices))
    seen = fits.extract(indices)
    drawn = Simulation(fits, truth, fits.observations.grid, 3, 1)._drawn(seen, indices)
    for name in ("source", "background"):
        now, before = (getattr(one, name).sum(axis=0).astype(float) for one in (drawn, seen))
        np.testing.assert_allclose(now / 3, before, atol=5 * np.sqrt(before.max() * 4 / 3))
        assert now.sum() / 3 == pytest.approx(before.sum(), rel=0.01)
    # the noise is of Poisson, around each region's own expectation
    total = drawn.background.sum(axis=1).reshape(REGIONS, 3)
    assert np.mean(total.var(axis=1, ddof=1)) == pytest.approx(total.mean(), rel=0.15)


def test_a_response_that_is_not_that_of_the_fits_is_seen(bundle: Bundle) -> None:
    fits = fits_of(bundle)
    truth = truth_of(fits.fit(np.arange(REGIONS)))
    (one,) = bundle.observations
    middle = 0.5 * (one.arf.energy_lo + one.arf.energy_hi)
    harder = replace(one, arf=replace(one.arf, area=one.arf.area * (middle / 2.0) ** 0.15))
    other = fold_observations(
        replace(bundle, observations=(harder,)), fits.observations.brightness, 0.09, fits.options, "auto"
    ).grid
    right, wrong = recovered(fits, truth), recovered(fits, truth, other)
    assert abs(right.shift) < 0.1
    assert wrong.shift > 0.5
    assert wrong.bias > 10 * wrong.bias_error
    assert wrong.coverage < right.coverage - 5 * wrong.coverage_error


def test_background_that_is_not_that_of_the_fits_is_seen(bundle: Bundle) -> None:
    fits = fits_of(bundle)
    truth = truth_of(fits.fit(np.arange(REGIONS)))
    simulation = Simulation(fits, truth, fits.observations.grid, 4, 1, background_factor=1.6)
    found = Recovery.of("kT", truth, simulation.refit(np.arange(REGIONS))).summary()
    assert found.bias > 8 * found.bias_error


def test_fits_depend_on_seed_and_region_alone(bundle: Bundle) -> None:
    fits = fits_of(bundle)
    truth = truth_of(fits.fit(np.arange(REGIONS)))
    grid = fits.observations.grid
    simulation = Simulation(fits, truth, grid, 3, 1)
    whole = simulation.refit(np.arange(20))
    shared = Simulation.from_shared(*simulation.to_shared())
    np.testing.assert_array_equal(shared.refit(np.array([13]))["kT"], whole["kT"][13:14])
    assert not (Simulation(fits, truth, grid, 3, 2).refit(np.arange(20))["kT"] == whole["kT"]).any()
    assert len(shared.refit(np.arange(0))) == 0
