"""Predicted fits of mixed gas against the engine's own fits of such spectra."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from simulated_annuli import AnnularSky

from pyxt_hpc.profiles.mass.likelihood import Likelihood
from pyxt_hpc.profiles.mass.mixing import Mixing
from pyxt_hpc.simulate.spherical import COOL_CORE, RELAXED, SMALL, SphericalCluster

from .conftest import EDGES


@dataclass(frozen=True)
class TrueGas:
    """Stands for a model whose gas is that of the simulated cluster."""

    cluster: SphericalCluster
    parameters: tuple = ()

    def gas_at(self, theta, radius):
        return self.cluster.density(radius)[None], self.cluster.kT(radius)[None]


def predicted(sky: AnnularSky):
    gas, background = sky.expected
    fits = sky.fit(gas + background, sky.background_ratio * background)
    cluster = sky.cluster
    likelihood = Likelihood.of(fits, TrueGas(cluster), sky.mixing, cluster.redshift, cluster.particles)
    kT, norm = likelihood.predicted(np.zeros((1, 0)))
    return fits, kT[0], norm[0], likelihood


@pytest.mark.parametrize("cluster", [RELAXED, COOL_CORE])
def test_prediction_is_what_the_engine_finds(cluster) -> None:
    fits, kT, norm, _ = predicted(AnnularSky(cluster, EDGES, background_ratio=1e4))
    assert kT == pytest.approx(fits.kT, rel=6e-3)
    assert norm == pytest.approx(fits.norm, rel=6e-3)


def test_cool_gas_before_much_background() -> None:
    """2 keV with a tenth of the background's counts: the fit has several maxima there."""
    fits, kT, norm, _ = predicted(AnnularSky(SMALL, EDGES[:-1], background_ratio=1e4))
    assert kT == pytest.approx(fits.kT, rel=1e-2)
    assert norm == pytest.approx(fits.norm, rel=1e-2)


def test_hot_gas_is_spectroscopic_like() -> None:
    """Mazzotta et al. 2004 hold above 3 keV."""
    sky = AnnularSky(RELAXED, EDGES)
    _, kT, _, _ = predicted(sky)
    cluster = sky.cluster
    for i in (0, 4, 8):
        radius = np.sqrt(EDGES[i] * EDGES[i + 1]) if i else 8.0
        R = radius * cluster.kpc_per_arcsec
        depth = np.linspace(0.0, 4000.0, 8001)
        r = np.hypot(R, depth)
        T, weight = cluster.kT(r), cluster.density(r) ** 2
        like = np.sum(weight * T**0.25) / np.sum(weight * T**-0.75)
        assert kT[i] == pytest.approx(like, rel=0.02)


def test_gas_of_one_temperature_is_found_as_it_is(sky) -> None:
    mixing = sky.mixing
    norm = np.zeros((1, len(EDGES) - 1, len(mixing.gas_kT)))
    for node in (20, 30, 40):
        norm[:] = 0.0
        norm[..., node] = 3.0
        kT, found = mixing.single_temperature(norm)
        assert kT == pytest.approx(np.full(kT.shape, mixing.gas_kT[node]), rel=0.01)
        assert found == pytest.approx(np.full(kT.shape, 3.0), rel=0.01)


def test_spread_keeps_the_mean_temperature(sky) -> None:
    mixing: Mixing = sky.mixing
    kT = np.array([[0.5, 2.0, 7.7, 25.0]])
    lower, share = mixing.spread(kT)
    mean = (1 - share) * mixing.gas_kT[lower] + share * mixing.gas_kT[lower + 1]
    assert mean == pytest.approx(kT)


def test_open_intervals_do_not_count(sky, noiseless) -> None:
    blank = np.where(np.arange(len(noiseless.kT)) == 3, np.nan, noiseless.kT_hi)
    annuli = replace(noiseless, kT_hi=blank)
    likelihood = Likelihood.of(annuli, TrueGas(RELAXED), sky.mixing, RELAXED.redshift, RELAXED.particles)
    residuals = likelihood.residuals(np.zeros((1, 0)))
    assert residuals[0, 3] == 0.0
    assert likelihood.n_data == 21
    assert np.abs(residuals).max() < 0.3


def test_tables_of_the_temperatures_that_are_there_are_enough(sky) -> None:
    norm = np.zeros((3, len(sky.mixing.slope), len(sky.mixing.gas_kT)))
    norm[:, :, 20:25] = np.random.default_rng(1).random((3, norm.shape[1], 5))
    whole, part = (
        sky.mixing.single_temperature(norm),
        sky.mixing.single_temperature(norm[..., 20:25], slice(20, 25)),
    )
    np.testing.assert_allclose(part, whole, rtol=1e-10)
