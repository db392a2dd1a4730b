"""The share of the exposure agrees with brute force with the simulator's own chips and dither."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.sky.exposure import exposure_map, live_fraction
from pyxt_hpc.chandra.sky.geometry import FieldGeometry, measure_geometry
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import pixel_to_pixel, tangent_plane
from pyxt_hpc.chandra.sky.vignetting import vignetting
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.simulate.acis import geometry as chips
from pyxt_hpc.simulate.acis import observe
from pyxt_hpc.simulate.acis.plan import ObservationPlan

Observed = Callable[..., EventList]
CHIPS = (0, 1, 2, 3)


def grid_at(ra: float, dec: float, n: int) -> SkyGrid:
    wcs = tangent_plane(ra, dec, 1.968, crpix=((n + 1) / 2, (n + 1) / 2))
    return SkyGrid(wcs, (n, n))


def brute_force(plan: ObservationPlan, grid: SkyGrid, gti: np.ndarray, n: int, seed: int) -> np.ndarray:
    """For each pixel, the share of n random positions and times that are on a chip."""
    rng = np.random.default_rng(seed)
    row, col = (np.repeat(v.ravel(), n) for v in np.indices(grid.shape))
    x, y = np.stack([col, row]) + 0.5 + rng.random((2, len(row)))
    sky = pixel_to_pixel(grid.wcs, chips.sky_frame(plan.ra_pnt, plan.dec_pnt), x, y)
    times = gti_arithmetic.at_elapsed(gti, gti_arithmetic.ontime(gti) * rng.random(len(row)))
    on = chips.chip_at(*chips.det_to_tdet(*plan.det_at(*sky, times))) >= 0
    return on.reshape(*grid.shape, n).mean(axis=2)


@pytest.mark.parametrize(
    ("offset_arcmin", "gti"),
    [
        ((0.0, 0.0), None),  # the gaps between the chips, about the aimpoint
        ((9.9, -5.0), None),  # a corner of the field
        ((9.9, -5.0), (100.0, 350.0)),  # one side of the figure only
    ],
)
def test_share_is_that_of_random_times_and_places(plan: ObservationPlan, offset_arcmin, gti) -> None:
    corner = chips.chip_outline(0, plan.roll_deg)
    frame = chips.sky_frame(plan.ra_pnt, plan.dec_pnt)
    at = corner[np.argmax(np.hypot(*(corner - chips.CENTRE).T))] if offset_arcmin[0] else [4100.0, 4130.0]
    ra, dec = frame.wcs_pix2world(*at, 1)
    # the grid is turned by half a degree against the chips' sky, with another tangent point
    grid = grid_at(ra + 0.3, dec + 0.2, 1401)
    col, row = (int(v) for v in pixel_to_pixel(frame, grid.wcs, *at))
    window = np.s_[row - 20 : row + 20, col - 20 : col + 20]
    small = grid.wcs.deepcopy()
    small.wcs.crpix = grid.wcs.wcs.crpix - [col - 20, row - 20]
    times = plan.gti()[3] if gti is None else plan.start_s + np.array([gti])
    found = live_fraction(observe.field_geometry(plan), grid, dict.fromkeys(CHIPS, times))
    n = 4000
    expected = brute_force(plan, SkyGrid(small, (40, 40)), times, n, seed=2)
    found = found[window]
    edge = (found > 0.01) & (found < 0.99)
    assert edge.sum() > 100
    np.testing.assert_allclose(found[~edge], expected[~edge], atol=0.02)
    variance = (found * (1 - found) / n)[edge]
    chi2 = np.sum((found - expected)[edge] ** 2 / variance)
    # a systematic error of 0.005 would add 0.4 to a chi^2 of 1 a pixel
    assert chi2 < edge.sum() + 4 * np.sqrt(2 * edge.sum())


def test_measured_geometry_serves_as_well_as_the_true_one(dithered: EventList, plan: ObservationPlan) -> None:
    grid = grid_at(plan.ra_pnt, plan.dec_pnt, 701)
    found = live_fraction(measure_geometry(dithered, CHIPS), grid)
    expected = live_fraction(observe.field_geometry(plan), grid)
    edge = (expected > 0) & (expected < 1)
    assert np.sqrt(np.mean((found - expected)[edge] ** 2)) < 0.005


def acis_s(n_time: int = 1) -> FieldGeometry:
    """Six chips in a row with gaps of 18 pixels, at a roll of 33 degrees; one time means no dither."""
    turn = np.radians(33.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    to_sky = np.empty((6, 2, 3))
    for k in range(6):
        origin = np.array([(k - 3.2) * 1042.0, -520.0])
        to_sky[k, :, 0] = chips.CENTRE + rotation @ origin
        to_sky[k, :, 1:] = rotation
    seconds = np.linspace(0, 1e5, n_time)
    phase = 2 * np.pi * seconds[:, None] / [1000.0, 707.0]
    return FieldGeometry(
        chips.sky_frame(150.0, 20.0), (4, 5, 6, 7, 8, 9), to_sky, (1, 1024), seconds, 16.0 * np.sin(phase)
    )


@pytest.mark.parametrize("n_time", [1, 8000])
def test_area_of_six_chips(n_time: int) -> None:
    grid = grid_at(150.0, 20.0, 1600)
    share = live_fraction(acis_s(n_time), grid)
    assert share.dtype == np.float32
    assert share.max() == pytest.approx(1.0, abs=1e-6)
    assert share.sum(dtype=float) == pytest.approx(6 * 1024**2 / 16, rel=2e-4)
    assert np.sum((share > 1e-3) & (share < 0.999)) > 3000 * (1 + 5 * (n_time > 1))


def test_rows_of_a_subarray_only() -> None:
    geometry = replace(acis_s(), rows=(449, 576))
    assert live_fraction(geometry, grid_at(150.0, 20.0, 1600)).sum() == pytest.approx(6 * 64 * 128, rel=1e-3)


def test_each_chip_has_its_own_time() -> None:
    grid, geometry = grid_at(150.0, 20.0, 1600), acis_s(8000)
    whole = np.array([[0.0, 1e5]])
    gti = dict.fromkeys(geometry.chips, whole) | {
        5: np.array([[0.0, 2e4], [5e4, 8e4]]), 9: np.empty((0, 2))
    }  # fmt: skip
    alone = {c: live_fraction(geometry.of_chips([c]), grid, gti) for c in geometry.chips if c != 9}
    share = live_fraction(geometry, grid, gti)
    # the gaps are narrower than the dither: a pixel can be on two chips in turn
    expected = sum(image * (0.5 if chip == 5 else 1.0) for chip, image in alone.items())
    np.testing.assert_allclose(share, expected, atol=1e-5)
    assert share.sum(dtype=float) == pytest.approx(4.5 * 1024**2 / 16, rel=2e-4)
    # the dither of its own half of the time
    other = live_fraction(geometry.of_chips([5]), grid)
    short = live_fraction(geometry.of_chips([5]), grid, {5: np.array([[0.0, 200.0]])})
    assert np.abs(short - other).max() > 0.3
    inside = (alone[5] > 0.999) & (other > 0.999)
    own, all_on = (
        exposure_map(geometry, grid, 1e4, 2.3, 150.0, 20.0, times)[inside]
        for times in (gti, dict.fromkeys(geometry.chips, whole))
    )
    np.testing.assert_allclose(own / all_on, 0.5, rtol=1e-3)


def test_elsewhere_nothing_is_live() -> None:
    for ra, dec in ((151.0, 20.0), (330.0, -20.0), (330.0, 20.0)):
        assert not live_fraction(acis_s(8000), grid_at(ra, dec, 300)).any()


def test_is_quick_enough() -> None:
    grid = grid_at(150.0, 20.0, 1600)
    start = time.process_time()
    live_fraction(acis_s(8000), grid)
    assert time.process_time() - start < 2.0  # 0.2 s on a quiet machine


def test_exposure_is_vignetted_where_it_is_live() -> None:
    grid = grid_at(150.0, 20.0, 900)
    geometry = acis_s(8000)
    exposure = exposure_map(geometry, grid, 5e4, 2.3, 150.05, 20.0)
    share = live_fraction(geometry, grid)
    np.testing.assert_array_equal(exposure > 0, share > 0)
    row, col = np.argwhere(share == share.max())[1000]
    ra, dec = grid.wcs.wcs_pix2world(col + 1.0, row + 1.0, 1)
    theta = 60 * np.hypot((ra - 150.05) * np.cos(np.radians(20.0)), dec - 20.0)
    expected = 5e4 * share[row, col] * vignetting([2.3], [theta]).item()
    assert exposure[row, col] == pytest.approx(expected, rel=1e-3)
    assert exposure.max() == pytest.approx(5e4, rel=1e-3)
