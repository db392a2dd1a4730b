"""Events and blank-sky events are at the right positions after the reprojection."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyxt_hpc.chandra.events import EventList, read_events
from pyxt_hpc.chandra.sky.geometry import measure_geometry
from pyxt_hpc.chandra.sky.reproject import misplaced_by, project_background, reproject
from pyxt_hpc.chandra.sky.tangent import tangent_plane, world_to_pixel
from pyxt_hpc.errors import DamagedFile, EmptySelection
from pyxt_hpc.simulate.acis import instrument, observe, write
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import demo_truth

CHIPS = (0, 1, 2, 3)


def blank_sky(folder: Path, plan: ObservationPlan, seed: int, *, nominal: bool) -> EventList:
    rng = np.random.default_rng(seed)
    events = observe.blank_sky(demo_truth(), plan, instrument.on_axis_arf(), rng)
    write.write_blank_sky(folder, plan, events, 6 * plan.live_s, nominal=nominal)
    return read_events(folder / plan.obsid / f"{plan.obsid}_background.fits")


@pytest.fixture(scope="module")
def nominal(tmp_path_factory, plan: ObservationPlan) -> EventList:
    return blank_sky(tmp_path_factory.mktemp("nominal"), plan, 8, nominal=True)


def test_events_keep_their_place_on_the_sky(dithered: EventList) -> None:
    plane = tangent_plane(150.3, 19.8)
    moved = reproject(dithered, plane)
    before = dithered.wcs.wcs_pix2world(dithered.x, dithered.y, 1)
    np.testing.assert_allclose(moved.wcs.wcs_pix2world(moved.x, moved.y, 1), before, rtol=0, atol=1e-10)
    assert (moved.header["RA_NOM"], moved.header["DEC_NOM"]) == pytest.approx((150.3, 19.8))
    assert dithered.header["RA_NOM"] == 150.02
    np.testing.assert_array_equal(moved.time, dithered.time)
    assert np.isnan(reproject(dithered, tangent_plane(330.0, -20.0)).x).all()


def tiles(events: EventList, ccd: int, size: float = 16.0) -> np.ndarray:
    edges = np.arange(2000.0, 6200.0, size)
    on = events.ccd_id == ccd
    return np.histogram2d(events.x[on], events.y[on], [edges, edges])[0]


def chi2_sigma(first: EventList, second: EventList) -> float:
    """Deviation [sigma] of the chi^2 of two Poisson images from its mean, by tiles and CCDs."""
    a, b = (np.stack([tiles(events, ccd) for ccd in CHIPS]) for events in (first, second))
    used = a + b >= 2
    chi2 = np.sum((a - b)[used] ** 2 / (a + b)[used])
    return float((chi2 - used.sum()) / np.sqrt(2 * used.sum()))


def test_blank_sky_of_caldb_lands_where_the_simulator_puts_it(
    dithered: EventList, nominal: EventList, plan: ObservationPlan, tmp_path: Path
) -> None:
    expected = blank_sky(tmp_path, plan, 9, nominal=False)
    assert list(nominal.wcs.wcs.crval) == [0.0, 0.0]
    geometry = measure_geometry(dithered, CHIPS)
    gti = dithered.gti
    found = project_background(nominal, geometry, dithered.wcs, gti, np.random.default_rng(1))
    assert len(found) == len(nominal)
    assert abs(chi2_sigma(found, expected)) < 4
    np.testing.assert_array_equal(found.energy_eV, nominal.energy_eV)
    # a missing dither shows in the comparison
    still = replace(geometry, dither=0 * geometry.dither)
    sharp = project_background(nominal, still, dithered.wcs, gti, np.random.default_rng(1))
    assert chi2_sigma(sharp, expected) > 8


def test_blank_sky_of_another_roll_is_told(
    dithered: EventList, nominal: EventList, plan: ObservationPlan, tmp_path: Path
) -> None:
    geometry = measure_geometry(dithered, CHIPS)
    placed = blank_sky(tmp_path / "own", plan, 9, nominal=False)
    own = misplaced_by(placed, geometry)
    assert own is not None
    assert own < 3
    for turn, expected in (
        (2.0, 50.0),
        (180.0, 2000.0),
    ):  # chips reach to 1500 pixels from the axis, and more
        turned = replace(plan, roll_deg=plan.roll_deg + turn)
        away = misplaced_by(blank_sky(tmp_path / str(turn), turned, 9, nominal=False), geometry)
        assert away is not None
        assert expected < away < 2 * expected + 100
    assert misplaced_by(nominal, geometry) == np.inf  # CALDB's, at RA = Dec = 0
    assert misplaced_by(replace(placed, chipx=None, chipy=None), geometry) is None
    assert misplaced_by(placed.select(np.arange(100)), geometry) is None


def test_every_background_event_is_in_its_chip_pixel(
    dithered: EventList, nominal: EventList, plan: ObservationPlan
) -> None:
    truth = observe.field_geometry(plan)
    still = replace(truth, dither=0 * truth.dither)
    plane = tangent_plane(150.0, 20.0)
    found = project_background(nominal, still, plane, dithered.gti, np.random.default_rng(2))
    x, y = world_to_pixel(dithered.wcs, *plane.wcs_pix2world(found.x, found.y, 1))
    for k, ccd in enumerate(CHIPS):
        on = found.ccd_id == ccd
        matrix = truth.to_sky[k]
        chip = np.linalg.solve(matrix[:, 1:], np.stack([x[on], y[on]]) - matrix[:, :1])
        within = chip - np.stack([found.chipx[on], found.chipy[on]])
        assert np.abs(within).max() < 0.5 + 1e-6
        assert within.std() == pytest.approx(12**-0.5, rel=0.02)


def test_other_chips_and_rows_are_dropped_and_seeds_repeat(
    dithered: EventList, nominal: EventList, plan: ObservationPlan
) -> None:
    geometry = replace(measure_geometry(dithered, (2, 3)), rows=(101, 300))
    first, again, other = (
        project_background(nominal, geometry, dithered.wcs, dithered.gti, np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    assert set(first.ccd_id) == {2, 3}
    assert (first.chipy.min(), first.chipy.max()) == (101, 300)
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)


def test_only_the_dither_of_the_good_time(
    dithered: EventList, nominal: EventList, plan: ObservationPlan
) -> None:
    short = dict.fromkeys(CHIPS, plan.start_s + np.array([[400.0, 401.0]]))
    truth = observe.field_geometry(plan)
    found = project_background(nominal, truth, dithered.wcs, short, np.random.default_rng(3))
    still = project_background(
        nominal, replace(truth, dither=0 * truth.dither), dithered.wcs, short, np.random.default_rng(3)
    )
    centre = np.full(1, 4096.5)
    shift = np.ravel(plan.sky_at(centre, centre, short[3][0, :1])) - 4096.5
    assert np.hypot(*shift) > 5
    np.testing.assert_allclose(
        [found.x - still.x, found.y - still.y], np.tile(shift[:, None], len(found)), atol=0.2
    )


def test_what_cannot_be_placed(dithered: EventList, nominal: EventList, plan: ObservationPlan) -> None:
    truth, rng = observe.field_geometry(plan), np.random.default_rng(1)
    with pytest.raises(DamagedFile, match="no columns chipx, chipy"):
        project_background(replace(nominal, chipx=None), truth, dithered.wcs, dithered.gti, rng)
    with pytest.raises(EmptySelection, match=r"a chip .*has no good time"):
        project_background(nominal, truth, dithered.wcs, dithered.gti | {2: np.empty((0, 2))}, rng)
