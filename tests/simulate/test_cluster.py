"""The demo's truth has the structure that it is to show."""

import numpy as np

from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, demo_truth


def _at(truth, image, radius_arcsec, angle_deg):
    x, y = world_to_pixel(truth.wcs, truth.ra, truth.dec)
    col = x - 1 + radius_arcsec / PIXEL_ARCSEC * np.cos(np.radians(angle_deg))
    row = y - 1 + radius_arcsec / PIXEL_ARCSEC * np.sin(np.radians(angle_deg))
    return image[round(float(row)), round(float(col))]


def test_cool_core_and_abundance_gradient():
    truth = demo_truth()
    assert 4.0 < _at(truth, truth.kT, 5, 215) < 5.0
    assert 7.5 < _at(truth, truth.kT, 300, 215) < 8.5
    assert 0.45 < _at(truth, truth.abundance, 5, 215) <= 0.5
    assert 0.25 < _at(truth, truth.abundance, 300, 215) < 0.27


def test_shock_front_jumps_in_temperature_and_emission():
    truth = demo_truth()
    inside, outside = 175, 185
    assert _at(truth, truth.kT, inside, 35) > 11.9
    assert _at(truth, truth.kT, outside, 35) < 8
    assert _at(truth, truth.norm, inside, 35) > 2 * _at(truth, truth.norm, outside, 35)
    # on the other side there is no front
    assert abs(_at(truth, truth.kT, inside, 215) - _at(truth, truth.kT, outside, 215)) < 0.1


def test_emission_falls_outwards_and_scales_with_counts():
    truth = demo_truth()
    profile = [_at(truth, truth.norm, radius, 215) for radius in range(0, 600, 20)]
    assert np.all(np.diff(profile) < 0)
    assert np.allclose(demo_truth(counts=1e4).norm * 100, truth.norm)


def test_maps_cover_the_field():
    truth = demo_truth(field_arcmin=8.0)
    assert min(truth.kT.shape) * PIXEL_ARCSEC > 1.4 * 8 * 60
    assert truth.kT.shape == truth.norm.shape == truth.abundance.shape
