"""The files of a simulated cluster read as those of an archive do."""

import dataclasses

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.ogip.response import check_match
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf
from pyxt_hpc.chandra.regions.sky import contains, extent, read_regions
from pyxt_hpc.chandra.sky.fov import read_fov
from pyxt_hpc.chandra.sky.tangent import world_to_pixel
from pyxt_hpc.simulate.acis import instrument
from pyxt_hpc.simulate.acis.observe import BLANK_SKY_EXPOSURE, ObservationPlan, simulate_cluster
from pyxt_hpc.simulate.cluster import PointSource, demo_truth

SOURCE = PointSource(150.05, 20.03, 2e-3)
PLANS = (
    ObservationPlan("77", 150.02, 20.01, 40.0, 1500.0, False),
    ObservationPlan("12345", 149.97, 19.99, 250.0, 1000.0, True),
)


def small_truth():
    return dataclasses.replace(demo_truth(counts=1e5), sources=(SOURCE,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "toy"
    simulate_cluster(path, small_truth(), PLANS, seed=5)
    return path


def events_path(folder, plan):
    return folder / plan.obsid / "primary" / f"acisf{int(plan.obsid):05d}N003_evt2.fits"


def test_every_file_is_there_and_no_other(folder):
    expected = {"sources.reg", "combined/master_crop-ciaowcs.reg", "truth/sources.reg"}
    expected |= {f"truth/{name}.fits" for name in ("kT", "norm", "abundance", "density")}
    for plan in PLANS:
        o, stem = plan.obsid, f"{plan.obsid}/primary/acisf{int(plan.obsid):05d}"
        expected |= {f"{stem}N003_evt2.fits", f"{stem}_000N003_fov1.fits"}
        expected |= {f"{o}/primary/pcadf365000000N003_asol1.fits"}
        expected |= {f"{o}/{o}.arf", f"{o}/{o}.rmf", f"{o}/{o}_background.fits"}
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == expected


@pytest.mark.parametrize("plan", PLANS)
def test_event_file_has_the_columns_and_keywords_of_level_2(folder, plan):
    with fits.open(events_path(folder, plan)) as hdus:
        names = [name.lower() for name in hdus["EVENTS"].columns.names]
        header, data = hdus["EVENTS"].header, hdus["EVENTS"].data
        pi, energy, time = data["pi"], data["energy"], data["time"]
        expno = data["expno"]
        assert [hdu.name for hdu in hdus[2:]] == ["GTI0", "GTI1", "GTI2", "GTI3"]
    wanted = (
        "time ccd_id node_id expno chipx chipy tdetx tdety detx dety x y pha energy pi fltgrade grade status"
    )
    assert set(wanted.split()) <= set(names)
    assert np.array_equal(pi, np.floor(energy.astype(float) / 14.6) + 1)
    assert header["OBS_ID"] == plan.obsid
    assert header["DETNAM"] == "ACIS-0123"
    assert header["EXPOSURE"] == pytest.approx(header["ONTIME"] * header["DTCOR"])
    assert header["TSTART"] <= time.min() < time.max() <= header["TSTOP"]
    assert (header["RA_PNT"], header["DEC_PNT"]) == (plan.ra_pnt, plan.dec_pnt)
    assert header["ROLL_PNT"] == plan.roll_deg
    assert header["DATE-OBS"].startswith("2009-")
    assert np.all(np.diff(expno) >= 0)


@pytest.mark.parametrize("plan", PLANS)
def test_a_source_lands_on_its_position_through_the_file_s_wcs(folder, plan):
    events = read_events(events_path(folder, plan))
    x, y = world_to_pixel(events.wcs, SOURCE.ra, SOURCE.dec)
    near = np.hypot(events.x - x, events.y - y) < 5
    assert near.sum() > 300
    assert np.mean(events.x[near]) == pytest.approx(x, abs=0.3)
    assert np.mean(events.y[near]) == pytest.approx(y, abs=0.3)
    assert set(events.gti) == {0, 1, 2, 3}
    assert np.array_equal(events.gti[2], plan.gti()[2])


def test_fov_holds_every_event_of_its_chip(folder):
    plan = PLANS[1]
    events = read_events(events_path(folder, plan))
    outlines = read_fov(folder / plan.obsid / "primary" / "acisf12345_000N003_fov1.fits")
    for ccd in range(4):
        (sky,) = outlines[ccd]
        corners = np.column_stack(world_to_pixel(events.wcs, *sky.T))
        on = events.ccd_id == ccd
        edge = np.roll(corners, -1, axis=0) - corners
        to_event = np.stack([events.x[on], events.y[on]])[:, None, :] - corners.T[:, :, None]
        side = edge[:, 0, None] * to_event[1] - edge[:, 1, None] * to_event[0]
        width = np.hypot(*edge.T)
        beyond = (1.0 if side.mean() < 0 else -1.0) * side / width[:, None]
        # give or take the dither, whose figure is turned with the roll
        assert 10 < beyond.max() < np.sqrt(2) * plan.dither_arcsec / 0.492 + 1.0
        assert width == pytest.approx([1024] * 4, rel=1e-4)


def test_blank_sky_file_is_longer_and_timeless(folder):
    plan = PLANS[1]
    blank = read_events(folder / plan.obsid / f"{plan.obsid}_background.fits")
    events = read_events(events_path(folder, plan))
    assert blank.time is None
    assert blank.header["EXPOSURE"] == pytest.approx(BLANK_SKY_EXPOSURE * events.header["EXPOSURE"])
    assert np.array_equal(blank.wcs.wcs.crval, events.wcs.wcs.crval)
    # same roll: chips lie where those of the observation lie
    for ccd in range(4):
        for name in ("x", "y"):
            of_blank = getattr(blank, name)[blank.ccd_id == ccd]
            of_events = getattr(events, name)[events.ccd_id == ccd]
            assert of_blank.min() == pytest.approx(of_events.min(), abs=40)
            assert of_blank.max() == pytest.approx(of_events.max(), abs=40)


def test_nominal_blank_sky_file_has_the_same_chip_positions(folder, tmp_path):
    simulate_cluster(tmp_path / "toy", small_truth(), PLANS[:1], seed=5, nominal_blank_sky=True)
    name = f"{PLANS[0].obsid}/{PLANS[0].obsid}_background.fits"
    nominal, placed = read_events(tmp_path / "toy" / name), read_events(folder / name)
    for column in ("chipx", "chipy", "ccd_id", "energy_eV"):
        assert np.array_equal(getattr(nominal, column), getattr(placed, column))
    assert list(nominal.wcs.wcs.crval) == [0.0, 0.0]
    assert all(nominal.header[f"{key}_NOM"] == 0.0 for key in ("RA", "DEC", "ROLL"))
    assert nominal.header["EXPOSURE"] == placed.header["EXPOSURE"]
    # without dither nothing lies between the chips, 22 pixels apart
    assert not np.any(np.abs(nominal.x - (4107.5 - 0.5 - 11 - 4123 + 4096.5)) < 10)


def test_aspect_solution_has_the_pointing(folder):
    plan = PLANS[0]
    with fits.open(folder / "77" / "primary" / "pcadf365000000N003_asol1.fits") as hdus:
        aspect = hdus["ASPSOL"].data
        time, ra, dec, roll = (aspect[name] for name in ("time", "ra", "dec", "roll"))
    assert time[0] < plan.start_s
    assert time[-1] > plan.start_s + plan.span_s
    assert np.all(roll == plan.roll_deg)
    distance = np.hypot((ra - plan.ra_pnt) * np.cos(np.radians(plan.dec_pnt)), dec - plan.dec_pnt) * 3600
    assert 11.0 < distance.max() < np.sqrt(2) * 8.0 + 0.01


def test_responses_are_those_that_the_events_followed(folder):
    arf, rmf = read_arf(folder / "77" / "77.arf"), read_rmf(folder / "77" / "77.rmf")
    check_match(arf, rmf, "arf", "rmf")
    assert arf.area == pytest.approx(instrument.on_axis_arf().area, rel=1e-6)
    assert rmf.first_channel_number == 1
    assert abs(rmf.sparse - instrument.gaussian_rmf().sparse).max() < 1e-7
    assert rmf.channel_hi_keV[-1] == pytest.approx(1024 * 0.0146)


def test_regions_are_a_circle_on_the_source_and_a_box_on_the_cluster(folder):
    frames: dict = {}
    sources = read_regions(folder / "sources.reg")
    assert contains(sources, SOURCE.ra, SOURCE.dec, frames).all()
    assert not contains(sources, SOURCE.ra, SOURCE.dec + 0.01, frames).any()
    ra, dec = extent(read_regions(folder / "combined" / "master_crop-ciaowcs.reg"), frames)
    assert np.ptp(dec) * 60 == pytest.approx(14.0, rel=1e-3)
    assert np.ptp(ra) * 60 * np.cos(np.radians(20)) == pytest.approx(14.0, rel=5e-3)


def test_truth_maps_carry_their_position(folder):
    truth = small_truth()
    for name in ("kT", "norm", "abundance"):
        with fits.open(folder / "truth" / f"{name}.fits") as hdus:
            assert np.array_equal(hdus[0].data, getattr(truth, name))
            col, row = WCS(hdus[0].header).all_world2pix(truth.ra, truth.dec, 0)
        assert (float(col), float(row)) == pytest.approx([n // 2 for n in truth.kT.shape[::-1]], abs=1e-6)


def test_same_seed_same_files(folder, tmp_path):
    again, other = tmp_path / "again" / "toy", tmp_path / "other" / "toy"
    simulate_cluster(again, small_truth(), PLANS[:1], seed=5)
    simulate_cluster(other, small_truth(), PLANS[:1], seed=6)

    def same(one, two):
        # the checksum's comment is the time of writing
        dated = {"ignore_keywords": ["CHECKSUM"], "ignore_comments": ["DATASUM"]}
        return fits.FITSDiff(*(str(events_path(to, PLANS[0])) for to in (one, two)), **dated).identical

    assert same(folder, again)
    assert not same(folder, other)
