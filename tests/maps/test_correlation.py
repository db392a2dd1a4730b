"""Correlation of kT and norm: that of fits to simulated spectra."""

from types import SimpleNamespace

import numpy as np
import pytest

from pyxt_hpc.maps.correlation import _correlation
from pyxt_hpc.spectra.fit import FitOptions, ModelGrid, fit_regions
from pyxt_hpc.spectra.plasma import load_plasma

EXPOSURE, RATIO = 1e5, 10.0
EDGES = np.geomspace(0.7, 8.0, 61)


@pytest.fixture(scope="module")
def model() -> SimpleNamespace:
    """What a `JointModel` holds of one observation with a perfect detector of 400 cm^2."""
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
    )


@pytest.mark.parametrize(("kT", "fraction"), [(0.6, 0.2), (3.5, 0.2), (6.0, 0.5), (9.0, 0.0)])
def test_it_is_the_scatter_of_fits(model: SimpleNamespace, kT: float, fraction: float) -> None:
    k = int(np.argmin(abs(model.kT - kT)))
    rng, n, counts = np.random.default_rng(8), 400, 6000.0
    rate = (model.hhe + 0.3 * model.metals)[0, k]
    source = counts * rate / rate.sum()
    background = model.background_shape / model.background_shape.sum() * counts * fraction / (1 - fraction)
    shape = (n, len(rate))
    fits = fit_regions(
        rng.poisson(source + background, shape),
        rng.poisson(background * RATIO, shape),
        np.full(shape, EXPOSURE),
        np.full(shape, RATIO),
        ModelGrid(model.kT, model.nH, model.hhe, model.metals),
        FitOptions(abundance=0.3),
    )
    found = np.corrcoef(np.log(fits["kT"]), np.log(fits["norm"]))[0, 1]
    assert _correlation(model, k, fraction, 0.3, False) == pytest.approx(found, abs=0.15)  # type: ignore[arg-type]


def test_free_abundance_loosens_what_kT_and_norm_share(model: SimpleNamespace) -> None:
    k = int(np.argmin(abs(model.kT - 1.2)))
    frozen, free = (_correlation(model, k, 0.1, 0.3, is_free) for is_free in (False, True))  # type: ignore[arg-type]
    assert abs(frozen - free) > 0.1
