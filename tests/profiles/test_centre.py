"""Centres, ellipses and sectors against clusters whose place is known."""

from dataclasses import replace

import numpy as np
import pytest

from pyxt_hpc.arrays.ellipse import Ellipse
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.profiles.centre import Frame, find_frame
from pyxt_hpc.simulate.cluster import PIXEL_ARCSEC, ClusterTruth
from pyxt_hpc.simulate.direct import observe_directly, scaled_to

ROW, COL, RATIO, ANGLE = 84.0, 76.0, 0.7, 30.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """An elliptical cluster off the middle of 160 x 160 pixels."""
    frame = ellipses(ROW, COL, RATIO, ANGLE)
    radius = frame.radius((160, 160))
    norm = (1.0 + (radius / 8.0) ** 2) ** (0.5 - 3 * 0.65)
    wcs = tangent_plane(150.0, 20.0, PIXEL_ARCSEC, crpix=(80, 80))
    truth = ClusterTruth(
        ra=150.0, dec=20.0, redshift=0.1, nH=0.05, wcs=wcs, kT=np.full(norm.shape, 5.0), norm=norm,
        abundance=np.full(norm.shape, 0.3),
    )  # fmt: skip
    y, x = np.indices(norm.shape)
    # a hole beside the peak, as of a source
    live = np.hypot(y - ROW - 12, x - COL - 10) > 6
    return observe_directly(scaled_to(truth, 2e5), np.random.default_rng(2), mask=live)


def ellipses(row: float, col: float, ratio: float, angle_deg: float) -> Frame:
    return Frame(row, col, stretch=Ellipse.of(row, col, ratio, np.radians(angle_deg)).stretch)


@pytest.mark.parametrize(("centre", "tolerance"), [("peak", 2.5), ("centroid", 0.7)])
def test_centre_is_found(bundle: Bundle, centre: str, tolerance: float) -> None:
    frame = find_frame(bundle, centre, elliptical=False, sector=None)
    assert np.hypot(frame.row - ROW, frame.col - COL) < tolerance
    assert frame.axis_ratio == 1.0


def test_peak_at_the_edge_of_a_hole_is_told(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    find_frame(bundle, "peak", elliptical=False, sector=None)
    assert not caplog.messages
    y, x = np.indices(bundle.mask.shape)
    core_out = replace(bundle, mask=np.where(np.hypot(y - ROW, x - COL) > 8, bundle.mask, 0))
    find_frame(core_out, "peak", elliptical=False, sector=None)
    assert "is beside pixels that are not live" in caplog.text


def test_ellipse_is_found(bundle: Bundle) -> None:
    frame = find_frame(bundle, "peak", elliptical=True, sector=None)
    assert frame.axis_ratio == pytest.approx(RATIO, abs=0.02)
    assert np.degrees(frame.angle) == pytest.approx(ANGLE, abs=2.0)


@pytest.mark.parametrize("text", ["{ra} {dec}", "{ra}, {dec}", "{ra:+.6f} {dec:+.6f}", "hms"])
def test_given_centre_is_read(bundle: Bundle, text: str) -> None:
    from astropy.coordinates import SkyCoord

    ra, dec = bundle.wcs.all_pix2world(COL, ROW, 0)
    place = SkyCoord(ra, dec, unit="deg").to_string("hmsdms", precision=3)
    given = place if text == "hms" else text.format(ra=float(ra), dec=float(dec))
    frame = find_frame(bundle, given, elliptical=False, sector=None)
    assert (frame.row, frame.col) == pytest.approx((ROW, COL), abs=0.01)


def test_sectors_are_counterclockwise_from_the_right() -> None:
    frame = Frame(50.0, 50.0, sector=(330.0, 390.0))
    inside = frame.inside((101, 101))
    assert inside[[50, 65, 35], 90].all()
    assert not inside[[90, 50], [50, 10]].any()
    assert frame.turn == pytest.approx(60 / 360)
    assert inside.mean() == pytest.approx(frame.turn, rel=0.15)
    up = Frame(50.0, 50.0, sector=(60.0, 120.0)).inside((101, 101))
    assert up[[90, 10], 50].tolist() == [True, False]
    halves = [Frame(50.0, 50.0, sector=s).inside((101, 101)) for s in ((0.0, 180.0), (180.0, 360.0))]
    assert np.array_equal(halves[0] ^ halves[1], np.ones((101, 101), bool))


def test_circles_have_the_area_of_their_pixels() -> None:
    found = Frame(10.0, 10.0).area_radii(np.array([0, 1, 2, 30, 200]))
    # within 1 pixel of a pixel's middle there is one, within 2 there are nine
    assert found[:3] == pytest.approx([0.0, np.sqrt(1 / np.pi), np.sqrt(9 / np.pi)])
    assert found[3:] == pytest.approx([30.0, 200.0], rel=5e-3)
    # between pixels
    assert Frame(10.5, 10.5).area_radii(np.array([1]))[0] == pytest.approx(np.sqrt(4 / np.pi))
    squeezed = ellipses(10.0, 10.0, 0.5, 20.0).area_radii(np.array([30]))
    assert squeezed[0] == pytest.approx(30.0, rel=5e-3)


def test_dead_field_has_no_centre(bundle: Bundle) -> None:
    from pyxt_hpc.errors import EmptySelection

    with pytest.raises(EmptySelection):
        find_frame(replace(bundle, mask=np.zeros_like(bundle.mask)), "peak", elliptical=False, sector=None)
