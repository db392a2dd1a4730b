"""Correlation of kT and norm: that of fits to simulated spectra."""

from types import SimpleNamespace

import numpy as np
import pytest

from pyxt_hpc.maps.gas.correlation import _joint_errors
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.models.plasma import load_plasma

EXPOSURE, RATIO = 1e5, 10.0
EDGES = np.geomspace(0.7, 8.0, 61)


@pytest.fixture(scope="module")
def model() -> SimpleNamespace:
    """`ObservationSet` of one observation with a perfect detector of 400 cm^2."""
    hhe, metals = load_plasma().components(EDGES, 0.1)
    return SimpleNamespace(
        kT=load_plasma().kT,
        nH=np.array([0.05]),
        hhe=400.0 * hhe[None],
        metals=400.0 * metals[None],
        first_bin=np.array([0, 60]),
        exposure_s=np.array([EXPOSURE]),
        ratio=np.array([RATIO]),
        background_shape=np.diff(EDGES) * 1e4,
        by_bin=lambda of_observations: np.repeat(of_observations, 60, axis=-1),
    )


def fits(model: SimpleNamespace, kT: float, fraction: float, true: float, free: bool, n: int) -> np.ndarray:
    """Fits of n simulated spectra of 6000 counts."""
    k = int(np.argmin(abs(model.kT - kT)))
    rng, counts = np.random.default_rng(8), 6000.0
    rate = (model.hhe + true * model.metals)[0, k]
    source = counts * rate / rate.sum()
    background = model.background_shape / model.background_shape.sum() * counts * fraction / (1 - fraction)
    shape = (n, len(rate))
    return fit_regions(
        rng.poisson(source + background, shape),
        rng.poisson(background * RATIO, shape),
        np.full(shape, EXPOSURE),
        np.full(shape, RATIO),
        ModelGrid(model.kT, model.nH, model.hhe, model.metals),
        FitOptions(abundance=0.3, abundance_bounds=(0.0, 3.0) if free else None),
    )


def expected(model: SimpleNamespace, kT: float, fraction: float, free: bool) -> tuple[float, ...]:
    k = int(np.argmin(abs(model.kT - kT)))
    return _joint_errors(model, k, fraction, 0.3, free)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kT", "fraction"), [(0.6, 0.2), (3.5, 0.2), (6.0, 0.5), (9.0, 0.0)])
def test_correlation_is_the_scatter_of_fits(model: SimpleNamespace, kT: float, fraction: float) -> None:
    made = fits(model, kT, fraction, 0.3, free=False, n=400)
    found = np.corrcoef(np.log(made["kT"]), np.log(made["norm"]))[0, 1]
    assert expected(model, kT, fraction, free=False)[0] == pytest.approx(found, abs=0.15)


def test_correlations_with_a_free_abundance(model: SimpleNamespace) -> None:
    made = fits(model, 3.5, 0.1, 0.3, free=True, n=400)
    columns = np.log(made["kT"]), np.log(made["norm"]), made["abundance"]
    found = np.corrcoef(columns)
    kT_norm, kT_metals, norm_metals, *shifts = expected(model, 3.5, 0.1, free=True)
    assert [kT_norm, kT_metals, norm_metals] == pytest.approx(
        [found[0, 1], found[0, 2], found[1, 2]], abs=0.15
    )
    assert norm_metals < -0.4  # not by way of all being 0
    assert shifts == [0.0, 0.0]


@pytest.mark.parametrize(("kT", "fraction"), [(2.0, 0.1), (5.0, 0.4)])
def test_shift_is_that_of_fits_with_a_wrong_abundance(
    model: SimpleNamespace, kT: float, fraction: float
) -> None:
    right, wrong = (fits(model, kT, fraction, true, free=False, n=1000) for true in (0.3, 0.4))
    *_, kT_shift, norm_shift = expected(model, kT, fraction, free=False)
    # the same counts: of a richer gas there is less
    k = int(np.argmin(abs(model.kT - kT)))
    poorer, richer = ((model.hhe + z * model.metals)[0, k].sum() for z in (0.3, 0.4))
    change = np.mean(np.log(wrong["norm"])) - np.mean(np.log(right["norm"])) + np.log(richer / poorer)
    assert 0.1 * norm_shift == pytest.approx(change, abs=0.004)
    assert norm_shift > 0.1
    found = np.mean(np.log(wrong["kT"])) - np.mean(np.log(right["kT"]))
    assert 0.1 * kT_shift == pytest.approx(found, abs=0.006)
