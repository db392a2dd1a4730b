"""Photons are drawn from the spectra that a fit assumes."""

import dataclasses

import numpy as np
import pytest

from pyxt_hpc.simulate.acis import photons
from pyxt_hpc.simulate.acis.instrument import ENERGY_EDGES, on_axis_arf
from pyxt_hpc.simulate.cluster import demo_truth
from pyxt_hpc.spectra.models.absorption import transmission
from pyxt_hpc.spectra.models.plasma import apec


def test_components_add_up_to_apec():
    truth = demo_truth()
    arf = on_axis_arf()
    kT = np.array([[4.321, 11.9]])
    abundance = np.array([[0.5, 0.25]])
    truth = dataclasses.replace(truth, kT=kT, abundance=abundance, norm=np.array([[1.0, 2.0]]))
    total = sum(amount[..., None] * rate for amount, rate in photons.gas_components(truth, arf))
    through = transmission(ENERGY_EDGES, truth.nH) * arf.area
    for col, norm in ((0, 1.0), (1, 2.0)):
        model = norm * apec(ENERGY_EDGES, kT[0, col], abundance[0, col], truth.redshift) * through
        assert total[0, col] == pytest.approx(model, rel=1e-9)


def test_drawn_bins_follow_the_rate():
    rate = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    bins = photons.draw_bins(rate, 40_000, np.random.default_rng(3))
    counts = np.bincount(bins, minlength=5)
    assert counts[[0, 2, 4]].sum() == 0
    assert counts[3] == pytest.approx(30_000, abs=4 * np.sqrt(7500))


def test_photons_come_from_the_pixels_that_emit():
    truth = demo_truth()
    norm = np.zeros(truth.norm.shape)
    norm[100, 130] = 1e-3
    lone = dataclasses.replace(truth, norm=norm)
    drawn = photons.gas_photons(lone, on_axis_arf(), 1e4, truth.ra, truth.dec, np.random.default_rng(4))
    # the sky frame is centred on the truth's tangent point: four sky pixels to one of the truth
    centre = truth.wcs.wcs.crpix
    assert len(drawn.x) > 1000
    assert np.all(np.abs((drawn.x - 4096.5) / 4 - (131 - centre[0])) <= 0.5 + 1e-6)
    assert np.all(np.abs((drawn.y - 4096.5) / 4 - (101 - centre[1])) <= 0.5 + 1e-6)


def test_point_source_rate_is_a_power_law_through_the_telescope():
    truth = demo_truth()
    rates = photons.source_rates(truth, on_axis_arf())
    assert rates.shape == (len(truth.sources), len(ENERGY_EDGES) - 1)
    at = np.searchsorted(ENERGY_EDGES, [1.5, 4.0])
    through = (transmission(ENERGY_EDGES, truth.nH) * on_axis_arf().area)[at]
    ratio = rates[0, at] / through
    assert ratio[1] / ratio[0] == pytest.approx((4.005 / 1.505) ** -1.7, rel=1e-3)
    middle = 1.505
    assert ratio[0] == pytest.approx(truth.sources[0].flux * middle**-1.7 * 0.01, rel=1e-3)
