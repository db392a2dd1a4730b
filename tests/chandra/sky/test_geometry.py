"""The geometry found from events is the one with which they were made."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.sky.aspect import with_aspect
from pyxt_hpc.chandra.sky.fov import read_fov
from pyxt_hpc.chandra.sky.geometry import (
    FieldGeometry,
    aimpoint_off_arcmin,
    chip_outlines,
    measure_geometry,
    read_geometry,
    write_geometry,
)
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.errors import DamagedFile, MissingInput
from pyxt_hpc.simulate.acis import observe
from pyxt_hpc.simulate.acis.plan import ObservationPlan
from pyxt_hpc.simulate.cluster import PointSource

CHIPS = (0, 1, 2, 3)
Observed = Callable[..., EventList]


def true_dither(plan: ObservationPlan, time: np.ndarray) -> np.ndarray:
    centre = np.full(len(time), 4096.5)
    return np.column_stack(plan.sky_at(centre, centre, time)) - 4096.5


def positions(to_sky: np.ndarray, dither: np.ndarray) -> np.ndarray:
    """Sky pixels (n_chip, 9, n_time, 2) of corners, edges and middle of each chip."""
    chip = np.array([[1.0, x, y] for x in (1, 512, 1024) for y in (1, 512, 1024)])
    return np.einsum("kax,nx->kna", to_sky, chip)[:, :, None] + dither


def errors(geometry: FieldGeometry, plan: ObservationPlan) -> np.ndarray:
    """Errors of these positions at the geometry's times."""
    to_sky = observe.field_geometry(plan).to_sky[list(geometry.chips)]
    expected = positions(to_sky, true_dither(plan, geometry.time))
    return positions(geometry.to_sky, geometry.dither) - expected


def aspect_of(events: EventList) -> Path:
    (path,) = events.path.parent.glob("pcad*_asol1.fits")
    return path


def test_chips_and_dither_are_recovered(dithered: EventList, plan: ObservationPlan) -> None:
    geometry = measure_geometry(dithered, CHIPS)
    assert (geometry.chips, geometry.rows) == (CHIPS, (1, 1024))
    found = errors(geometry, plan)
    assert np.abs(found.mean(axis=2)).max() < 0.1
    assert np.sqrt(np.mean(found**2)) < 0.2
    assert geometry.dither.std() == pytest.approx(16.26 / np.sqrt(2), rel=0.03)
    assert np.abs(geometry.dither.mean(axis=0)).max() < 1e-9
    times = np.random.default_rng(1).uniform(geometry.time[5], geometry.time[400], 1000)
    difference = geometry.dither_at(times) - true_dither(plan, times)  # between the bins, too
    assert np.sqrt(np.mean((difference - difference.mean(axis=0)) ** 2)) < 0.2


def test_few_events_of_some_chips_far_south(observed: Observed) -> None:
    plan = ObservationPlan("5", 0.01, -75.0, 290.0, 8e3, True)
    events = observed(plan)
    events = events.select(np.arange(0, len(events), 10))  # a count in two seconds
    geometry = measure_geometry(events, (3, 1))
    assert geometry.chips == (1, 3)
    found = errors(geometry, plan)
    assert np.sqrt(np.mean(found**2)) < 0.5


def test_without_dither_there_is_none(observed: Observed, plan: ObservationPlan) -> None:
    still = replace(plan, dither_arcsec=0.0)
    geometry = measure_geometry(observed(still), CHIPS)
    assert np.sqrt(np.mean(geometry.dither**2)) < 0.1
    assert np.sqrt(np.mean(errors(geometry, still) ** 2)) < 0.1


def test_randomised_positions_and_wild_ones(dithered: EventList, plan: ObservationPlan) -> None:
    rng = np.random.default_rng(5)
    x, y = np.stack([dithered.x, dithered.y]) + rng.uniform(-0.5, 0.5, (2, len(dithered)))
    wild = rng.choice(len(x), 50, replace=False)
    x[wild] = 8192.0
    y[wild[:10]] = np.nan
    geometry = measure_geometry(replace(dithered, x=x, y=y), CHIPS)
    found = errors(geometry, plan)
    assert np.abs(found.mean(axis=2)).max() < 0.1
    assert np.sqrt(np.mean(found**2)) < 0.2


def test_a_source_with_nearly_all_of_the_counts(observed: Observed, plan: ObservationPlan) -> None:
    # at one place on the sky, it is at moving places on the chip: alone it would say that chips have no size
    bright = observed(plan, PointSource(150.03, 19.99, 0.02))
    share = np.hypot(*(np.stack([bright.x, bright.y]) - np.array(
        world_to_pixel(bright.wcs, 150.03, 19.99))[:, None])) < 10  # fmt: skip
    assert share.mean() > 0.8
    found = errors(measure_geometry(bright, CHIPS), plan)
    assert np.abs(found.mean(axis=2)).max() < 0.15
    assert np.sqrt(np.mean(found**2)) < 0.2


def test_rows_of_a_subarray(dithered: EventList, plan: ObservationPlan) -> None:
    events = dithered.select((dithered.chipy >= 449) & (dithered.chipy <= 576))
    events = replace(events, header=events.header.copy())
    events.header["FIRSTROW"], events.header["NROWS"] = 449, 128
    geometry = measure_geometry(events, CHIPS)
    assert geometry.rows == (449, 576)
    corners = world_to_pixel(events.wcs, *chip_outlines(geometry)[2][0].T)
    sides = np.hypot(*(np.diff(v, append=v[0]) for v in corners))
    assert sides == pytest.approx([1024, 128, 1024, 128], abs=0.5)
    events.header["NROWS"] = 64
    with pytest.raises(DamagedFile, match="FIRSTROW, NROWS are 449, 64, but events have chipy 449 to 576"):
        measure_geometry(events, CHIPS)


def test_events_without_a_geometry(dithered: EventList) -> None:
    with pytest.raises(DamagedFile, match="no column chipx; give the file with all columns"):
        measure_geometry(replace(dithered, chipx=None), CHIPS)
    with pytest.raises(DamagedFile, match="no column time"):
        measure_geometry(replace(dithered, time=None), CHIPS)
    with pytest.raises(DamagedFile, match="CCD 7 has 0 events, expected at least 30"):
        measure_geometry(dithered, (*CHIPS, 7))
    with pytest.raises(DamagedFile, match=r"events span 3\.65e\+08 s, expected less than"):
        measure_geometry(replace(dithered, time=np.where(np.arange(len(dithered)), dithered.time, 0)), CHIPS)
    rare = dithered.select(np.arange(0, len(dithered), 100))
    with pytest.raises(DamagedFile, match="expected at least 4 in 60 s to see the dither"):
        measure_geometry(rare, CHIPS)
    with pytest.raises(DamagedFile, match=r"CCD 0: chipx, chipy .* on a point or a line"):
        measure_geometry(replace(dithered, chipy=np.ones_like(dithered.chipy)), CHIPS)
    with pytest.raises(DamagedFile, match="CCD 0: x, y do not follow from chipx, chipy"):
        measure_geometry(replace(dithered, x=dithered.y, y=dithered.y), CHIPS)
    with pytest.raises(DamagedFile, match="x, y do not follow from chipx, chipy"):
        measure_geometry(replace(dithered, chipx=dithered.chipx[::-1]), CHIPS)


def test_aspect_and_events_agree(dithered: EventList, plan: ObservationPlan, tmp_path: Path) -> None:
    measured = measure_geometry(dithered, CHIPS)
    aspect = aspect_of(dithered)
    geometry = with_aspect(measured, [aspect])
    assert np.sqrt(np.mean(errors(geometry, plan) ** 2)) < 0.1
    difference = geometry.dither_at(measured.time) - measured.dither
    assert np.sqrt(np.mean(difference**2)) < 0.2
    assert len(geometry.time) > 2 * len(measured.time)
    assert np.all(np.diff(geometry.time) > 0)
    # in two files, which the archive does not put in order
    halves = [tmp_path / "b_asol1.fits", tmp_path / "a_asol1.fits.gz"]
    with fits.open(aspect) as hdus:
        rows = hdus[1].data.copy()
        for path, part in zip(halves, (rows[9000:], rows[:9000]), strict=True):
            hdus[1].data = part
            hdus.writeto(path)
    np.testing.assert_allclose(with_aspect(measured, halves).dither, geometry.dither, atol=1e-9)
    with pytest.raises(DamagedFile, match=r"b_asol1\.fits: covers .* of the good time"):
        with_aspect(measured, halves[:1])


def test_optical_axis_of_the_header(dithered: EventList, plan: ObservationPlan) -> None:
    """RA_PNT, DEC_PNT determine the vignetting: an error of 6 arcmin makes norms 9% too high."""
    measured = measure_geometry(dithered, CHIPS)
    aspect = [aspect_of(dithered)]
    own, near, far = ((plan.ra_pnt, plan.dec_pnt + arcmin / 60) for arcmin in (0.0, 0.5, 6.0))
    for axis in (own, near):
        np.testing.assert_array_equal(
            with_aspect(measured, aspect, axis).dither, with_aspect(measured, aspect).dither
        )
    with pytest.raises(DamagedFile, match=r"pointed at RA 150\.0200, Dec 20\.0100 .* 6\.0 arcmin away"):
        with_aspect(measured, aspect, far)
    # the chips tell, too
    found = [aimpoint_off_arcmin(measured, axis) for axis in (own, far)]
    assert found[0] is not None
    assert found[0] < 0.5
    assert found[1] == pytest.approx(6.0, abs=0.5)
    assert aimpoint_off_arcmin(measured.of_chips((0, 1, 2)), own) is None


def test_foreign_and_damaged_aspect_solutions(dithered: EventList, tmp_path: Path) -> None:
    measured = measure_geometry(dithered, CHIPS)

    def edited(name: str, edit: Callable[[fits.BinTableHDU], None]) -> list[Path]:
        with fits.open(aspect_of(dithered)) as hdus:
            edit(hdus[1])
            hdus.writeto(tmp_path / name)
        return [tmp_path / name]

    def later(table: fits.BinTableHDU) -> None:
        table.data["time"] += 1e6

    def still(table: fits.BinTableHDU) -> None:
        table.data["ra"] = 150.02

    def opposite(table: fits.BinTableHDU) -> None:
        table.data["ra"] += 180

    def nowhere(table: fits.BinTableHDU) -> None:
        table.data["dec"] = np.nan

    with pytest.raises(DamagedFile, match=r"later\.fits: covers .* but not 100%"):
        with_aspect(measured, edited("later.fits", later))
    for name, edit in (("still.fits", still), ("opposite.fits", opposite)):
        with pytest.raises(DamagedFile, match=name + ": the pointing moves differently"):
            with_aspect(measured, edited(name, edit))
    with pytest.raises(DamagedFile, match=r"nowhere\.fits: table ASPSOL has fewer than two pointings"):
        with_aspect(measured, edited("nowhere.fits", nowhere))
    with pytest.raises(DamagedFile, match="no table ASPSOL with columns time, ra, dec"):
        with_aspect(measured, [dithered.path])
    with pytest.raises(MissingInput, match=r"none_asol1\.fits"):
        with_aspect(measured, [tmp_path / "none_asol1.fits"])


def test_outlines_are_those_of_the_field_of_view(dithered: EventList) -> None:
    outlines = chip_outlines(measure_geometry(dithered, CHIPS))
    (path,) = dithered.path.parent.glob("*fov1.fits")
    expected = read_fov(path)
    for ccd in CHIPS:
        corners = np.column_stack(world_to_pixel(dithered.wcs, *outlines[ccd][0].T))
        known = np.column_stack(world_to_pixel(dithered.wcs, *expected[ccd][0].T))
        distance = np.linalg.norm(corners[:, None] - known, axis=2).min(axis=1)
        assert distance.max() < 0.3


def test_round_trip(dithered: EventList, tmp_path: Path) -> None:
    geometry = measure_geometry(dithered, (1, 3))
    write_geometry(tmp_path / "a.fits", replace(geometry, rows=(10, 500)))
    back = read_geometry(tmp_path / "a.fits")
    assert (back.chips, back.rows) == ((1, 3), (10, 500))
    for name in ("to_sky", "time", "dither"):
        np.testing.assert_array_equal(getattr(back, name), getattr(geometry, name))
    np.testing.assert_array_equal(back.wcs.wcs_pix2world(1, 1, 1), geometry.wcs.wcs_pix2world(1, 1, 1))
    with pytest.raises(MissingInput, match="process-data"):
        read_geometry(tmp_path / "b.fits")
    with pytest.raises(DamagedFile, match="geometry file"):
        read_geometry(dithered.path)
