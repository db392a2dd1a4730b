"""ACIS-I's chips: where they are, and that the planes agree."""

import numpy as np
import pytest

from pyxt_hpc.simulate.acis import geometry as g


def test_the_optical_axis_is_on_i3_near_its_inner_corner():
    tdet = g.det_to_tdet(np.array([g.CENTRE]), np.array([g.CENTRE]))
    ccd = g.chip_at(*tdet)
    assert ccd == [3]
    assert [v.item() for v in g.chip_pixels(ccd, *tdet)] == [931, 1009]


def test_sky_turns_with_the_roll():
    # an optical axis's neighbour towards +y of the detector: north at roll 0, east (lower x) at roll 90
    for roll, expected in ((0.0, (0.0, 10.0)), (90.0, (-10.0, 0.0)), (180.0, (0.0, -10.0))):
        x, y = g.det_to_sky(np.array(g.CENTRE), np.array(g.CENTRE + 10.0), roll)
        assert (x - g.CENTRE, y - g.CENTRE) == pytest.approx(expected, abs=1e-9)


def test_sky_and_detector_are_inverse():
    rng = np.random.default_rng(1)
    det = 4096.5 + 1000.0 * rng.standard_normal((2, 50))
    assert np.allclose(g.sky_to_det(*g.det_to_sky(*det, 33.0), 33.0), det)


@pytest.mark.parametrize("ccd", g.CCDS)
def test_every_chip_pixel_is_filled_evenly(ccd):
    rng = np.random.default_rng(2)
    tdet = g.det_to_tdet(*g.uniform_on_chip(ccd, 200_000, rng))
    on = g.chip_at(*tdet)
    assert np.all(on == ccd)
    for pixels in g.chip_pixels(on, *tdet):
        counts = np.bincount((pixels - 1) // 128, minlength=8)
        assert pixels.min() == 1
        assert pixels.max() == 1024
        assert np.sum((counts - 25_000) ** 2 / 25_000) < 25


def test_gaps_are_eleven_arcsec_and_chips_do_not_overlap():
    line = np.arange(3000.0, 5200.0, 0.25)
    ccd = g.chip_at(line, np.full(line.shape, 4500.0))
    assert set(ccd) == {-1, 0, 1}
    inner = (line > 4000) & (line < 4200) & (ccd < 0)
    assert inner.sum() * 0.25 * g.PIXEL_ARCSEC == pytest.approx(11.3, abs=0.2)
    assert (ccd == 0).sum() == (ccd == 1).sum() == 4 * 1024


def test_outlines_enclose_just_the_chips():
    roll = 57.0
    for ccd in g.CCDS:
        corners = g.chip_outline(ccd, roll)
        middle = corners.mean(axis=0)
        for shrink, expected in ((0.999, ccd), (1.001, -1)):
            probe = middle + shrink * (corners - middle)
            det = g.sky_to_det(*probe.T, roll)
            assert np.all(g.chip_at(*g.det_to_tdet(*det)) == expected)


@pytest.mark.parametrize("ccd", g.CCDS)
def test_chip_pixels_and_the_map_to_the_sky_agree(ccd):
    rng = np.random.default_rng(3)
    det = g.uniform_on_chip(ccd, 1000, rng)
    chip = g.chip_pixels(np.full(1000, ccd, dtype=np.int8), *g.det_to_tdet(*det))
    found = g.chip_to_sky(ccd, 77.0) @ np.stack([np.ones(1000), *chip])
    # to the middle of the chip pixel
    assert np.hypot(*(found - g.det_to_sky(*det, 77.0))).max() < 0.5**0.5 + 1e-9
    corners = g.chip_to_sky(ccd, 77.0) @ [[1, 1], [0.5, 1024.5], [0.5, 1024.5]]
    outline = g.chip_outline(ccd, 77.0)
    assert all(np.hypot(*(outline - corner).T).min() < 1e-6 for corner in corners.T)
