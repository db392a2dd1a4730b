"""Regions for CIAO contain the same points, in the sky pixels of another observation."""

import numpy as np
import pytest
from astropy.wcs import WCS

from pyxt_hpc.chandra.regions.physical import physical_text
from pyxt_hpc.chandra.regions.sky import contains
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.errors import RegionSyntaxError

from .test_sky import PATH, sky_frame

FK5 = "# Region file format: DS9\nfk5\n"
CENTRE = "10:00:00.5,+30:00:20"
REGIONS = {
    "circle": f'{FK5}circle({CENTRE},30")',
    "turned ellipse": f'{FK5}ellipse({CENTRE},60",20",35)',
    "turned box": f'{FK5}box({CENTRE},60",20",35)',
    "annulus": f'{FK5}annulus({CENTRE},10",30")',
    "ring without a hole": f'{FK5}annulus({CENTRE},0",30")',
    "elliptical ring": f'{FK5}ellipse({CENTRE},20",10",60",30",35)',
    "box ring": f'{FK5}box({CENTRE},20",10",60",30",35)',
    "pie": f'{FK5}pie({CENTRE},5",60",20,110)',
    "polygon": f"{FK5}polygon(10:00:00,+30:00:00,10:00:05,+30:00:10,10:00:03,+30:01:00)",
    "pixels of the first observation": "physical\nrotbox(4106.5,4091.5,100,30,30)\ncircle(4000,4000,40)",
    "cut from all": (
        f'{FK5}circle({CENTRE},60")\ncircle(10:00:03,+30:00:20,60")\n-circle(10:00:02,+30:00:20,20")'
    ),
    "cut of one": f'{FK5}circle({CENTRE},60")-circle({CENTRE},20")\ncircle({CENTRE},10")',
    "intersection": f'{FK5}circle({CENTRE},60")*box(10:00:02,+30:00:20,60",20",20)',
    "negated": f'{FK5}circle({CENTRE},60")*!circle({CENTRE},30")',
    "nothing but cuts": f'{FK5}-circle({CENTRE},60")',
    "everywhere": "physical\nfield()-circle(4096,4096,50)",
}


@pytest.mark.parametrize("text", REGIONS.values(), ids=REGIONS)
def test_same_points_in_other_pixels(text: str) -> None:
    first, other = sky_frame(150.0, 30.0), sky_frame(150.12, 29.9)  # as two observations of a cluster
    region = parse_regions(text, PATH)
    written = physical_text(region, {"physical": first}, other)
    ra, dec = _points(other)
    expected = contains(region, ra, dec, {"physical": first})
    found = contains(parse_regions(written, PATH), ra, dec, {"physical": other})
    assert expected.any()
    assert not expected.all()
    # points within the last digit and the curvature of the sky, a few thousandths of a pixel from an edge
    assert (expected != found).mean() < 1e-3


def test_a_line_of_cuts_is_in_every_line() -> None:
    text = physical_text(parse_regions(REGIONS["cut from all"], PATH), {}, sky_frame())
    _, first, second = text.splitlines()
    assert first.count("-circle(") == second.count("-circle(") == 1
    assert all(line[0] != "-" for line in (first, second))


def test_an_empty_file_has_no_line() -> None:
    assert physical_text(parse_regions(FK5, PATH), {}, sky_frame()).splitlines()[1:] == []


@pytest.mark.parametrize(
    "text",
    [
        f'{FK5}epanda({CENTRE},0,90,1,10",5",40",20",1,30)',
        f'{FK5}circle({CENTRE},60")\n-ellipse({CENTRE},20",10",60",30",35)',
    ],
)
def test_what_ciao_has_no_word_for_is_refused(text: str) -> None:
    with pytest.raises(RegionSyntaxError, match=r"line \d: CIAO"):
        physical_text(parse_regions(text, PATH), {}, sky_frame())


def _points(wcs: WCS) -> tuple[np.ndarray, np.ndarray]:
    # about the regions, in pixels of the other observation
    middle = wcs.wcs_world2pix([[150.0, 30.0]], 1)[0]
    x, y = np.meshgrid(*(m + np.linspace(-250.07, 250.03, 400) for m in middle))
    ra, dec = wcs.wcs_pix2world(x.ravel(), y.ravel(), 1)
    return ra, dec
