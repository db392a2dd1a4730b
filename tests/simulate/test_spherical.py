"""Spherical clusters: equilibrium, projection and photons, against closed forms and quadrature."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma

from pyxt_hpc.profiles.gas.vikhlinin import GasDensity
from pyxt_hpc.simulate.acis.instrument import gaussian_rmf, on_axis_arf
from pyxt_hpc.simulate.acis.observe import gas_events
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC
from pyxt_hpc.simulate.direct import BAND_KEV, observe_directly
from pyxt_hpc.simulate.spherical import COOL_CORE, PRESETS, RELAXED, SMALL, Clump, spherical_truth
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import load_plasma

CM_PER_KPC = 3.0856775814913674e21


@pytest.mark.parametrize("cluster", [RELAXED, COOL_CORE, SMALL])
def test_pressure_holds_the_weight_of_the_gas(cluster) -> None:
    """P(r) by quadrature to infinity, with constants in SI units."""
    G, u, msun, kpc, keV = 6.6743e-11, 1.66053907e-27, 1.98841e30, 3.0856775814913674e19, 1.602176634e-16

    def weight(r: float) -> float:
        return float(G * cluster.mass(r) * msun * cluster.particles.mu * u * cluster.density(r) / r**2)

    for radius in (3.0, 100.0, 1000.0):
        edges = np.geomspace(radius, 1e7, 20)
        total = sum(quad(weight, a, b)[0] for a, b in pairwise(edges))
        expected = total / kpc / keV / float(cluster.density(radius))
        assert cluster.kT(radius) == pytest.approx(expected, rel=1e-3)
        shells = quad(lambda r: 4 * np.pi * r**2 * float(cluster.density(r)), 0, radius, limit=200)[0]
        gas = shells * (kpc * 100) ** 3 * cluster.particles.mu_e * u / msun
        assert cluster.gas_mass(radius) == pytest.approx(gas, rel=1e-3)


def test_projected_emission_is_that_of_a_beta_model() -> None:
    """Closed form of Cavaliere & Fusco-Femiano 1976; norm by its definition."""
    beta, core, n0 = 0.7, 100.0, 5e-3
    cluster = replace(
        RELAXED, density=GasDensity(n0=n0, rc=core, alpha=0.0, beta=beta, rs=500.0, epsilon=0.0)
    )
    radius = np.array([1.0, 30.0, 100.0, 250.0])
    _, norm = cluster.emission(load_plasma().kT, radius)
    kpc = radius * cluster.kpc_per_arcsec
    along = np.sqrt(np.pi) * gamma(3 * beta - 0.5) / gamma(3 * beta) * core * CM_PER_KPC
    measure = n0**2 / 1.19951 * along * (1 + (kpc / core) ** 2) ** (0.5 - 3 * beta)
    distance = cluster.cosmology.angular_diameter_distance(0.2).to_value("cm")
    area = (distance * np.radians(1 / 3600)) ** 2
    expected = 1e-14 * measure * area / (4 * np.pi * (distance * 1.2) ** 2)
    assert norm.sum(axis=0) == pytest.approx(expected, rel=2e-3)


def test_clumps_add_up() -> None:
    small = Clump(SMALL, west=40.0, north=-20.0)
    both = spherical_truth(Clump(RELAXED), small, field_arcmin=3.0)
    apart = [spherical_truth(one, field_arcmin=3.0) for one in (Clump(RELAXED), small)]
    assert both.norm == pytest.approx(apart[0].norm + apart[1].norm)
    row, col = np.unravel_index(apart[1].norm.argmax(), both.norm.shape)
    middle = both.norm.shape[0] // 2
    assert (row - middle, col - middle) == (round(-20 / PIXEL_ARCSEC), round(40 / PIXEL_ARCSEC))
    assert np.all(both.kT < np.maximum(apart[0].kT, apart[1].kT) + 1e-6)
    assert both.abundance == pytest.approx(np.full(both.kT.shape, 0.3))


def test_bundle_has_the_counts_and_the_spectrum_of_the_gas() -> None:
    truth = PRESETS["cool core"].truth(field_arcmin=4.0)
    bundle = observe_directly(truth, np.random.default_rng(1), exposure_s=2e4)
    arf, rmf = on_axis_arf(), gaussian_rmf()
    plasma = load_plasma()
    edges = np.append(arf.energy_lo, arf.energy_hi[-1])
    hhe, metals = plasma.components(edges, truth.redshift)
    through = transmission(edges, truth.nH) * arf.area
    expected = np.zeros(rmf.n_channels)
    for node, norm, of_metals in truth.norms_at(plasma.kT):
        rate = norm.sum() * hhe[node] + of_metals.sum() * metals[node]
        expected += 2e4 * (rate * through) @ rmf.sparse
    band = (rmf.channel_lo_keV >= BAND_KEV[0]) & (rmf.channel_hi_keV <= BAND_KEV[1])
    (observation,) = bundle.observations
    spectrum = np.bincount(observation.event_channel, minlength=rmf.n_channels)
    scaled = 0.2 * observation.background_spectrum
    error = np.sqrt(expected.sum() + 1.2 * scaled.sum())
    assert abs((spectrum - scaled)[band].sum() - expected[band].sum()) < 4 * error
    hard = band & (rmf.channel_lo_keV > 3.0)
    assert abs((spectrum - scaled)[hard].sum() - expected[hard].sum()) < 4 * error


def test_event_files_see_the_same_gas() -> None:
    """Through pointing, chips and vignetting: no more counts than on the axis, and most of them."""
    truth, arf = PRESETS["relaxed"].truth(field_arcmin=6.0), on_axis_arf()
    plan = ObservationPlan("5001", 150.0168, 20.0047, 25.0, 5e3, False)
    events = gas_events(truth, plan, arf, np.random.default_rng(2))
    direct = observe_directly(truth, np.random.default_rng(3), exposure_s=plan.live_s)
    net = float(direct.counts.sum() - direct.background.sum())
    in_band = np.sum((events.energy_eV > 700) & (events.energy_eV < 8000))
    assert 0.75 * net < in_band < 1.0 * net


def test_faint_preset_has_about_300_counts_an_annulus() -> None:
    preset = PRESETS["faint"]
    bundle = observe_directly(preset.truth(), np.random.default_rng(4), exposure_s=preset.exposure_s)
    assert 2500 < bundle.counts.sum() - bundle.background.sum() < 4500
