from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from pyxt_hpc.chandra.regions.sky import contains
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import EmptySelection, RegionSyntaxError

PATH = Path("crop.reg")


def grid_of(text: str, frames: dict[str, WCS] | None = None) -> SkyGrid:
    return SkyGrid.around(parse_regions(text, PATH), frames or {})


@pytest.mark.parametrize("dec", [0.0, 30.0, -80.0])
@pytest.mark.parametrize("ra", [150.0, 0.0])
def test_grid_is_the_box_itself(ra: float, dec: float) -> None:
    grid = grid_of(f'icrs\nbox({ra},{dec},{100 * 1.968}",{60 * 1.968}",0)')
    assert grid.shape == (60, 100)
    assert grid.pixel_scale_arcsec == 1.968
    west = ra - 0.3 * 1.968 / 3600 / np.cos(np.radians(dec))
    row, col = grid.pixel_index(west, dec + 0.3 * 1.968 / 3600)
    assert (int(row), int(col)) == (30, 50)
    off_ra, off_dec = grid.wcs.wcs.crval - [ra, dec]
    assert (off_ra + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)
    assert off_dec == pytest.approx(0, abs=1e-9)
    west, south = grid.wcs.all_pix2world(100.0, 1.0, 1)
    assert (ra - west + 180) % 360 - 180 > 0  # east is left
    assert south < dec


def test_every_pixel_of_the_crop_is_on_the_grid() -> None:
    frame = tangent_plane(150.3, 30.2)
    region = parse_regions("ellipse(300,-200,500,200,30)\ncircle(900,100,120)", PATH)
    grid = SkyGrid.around(region, {"physical": frame})
    ra, dec = frame.all_pix2world(*np.meshgrid(np.arange(-400.0, 1200, 7), np.arange(-800.0, 600, 7)), 1)
    inside = contains(region, ra, dec, {"physical": frame})
    row, col = grid.pixel_index(ra, dec)
    assert inside.sum() > 1000
    assert row[inside].min() <= 1
    assert row[inside].max() >= grid.shape[0] - 2
    assert col[inside].min() <= 1
    assert col[inside].max() >= grid.shape[1] - 2


def test_pixel_index_inverts_centres() -> None:
    grid = grid_of('icrs\nbox(10,-45,90",70",0)')
    row, col = grid.pixel_index(*grid.centres())
    np.testing.assert_array_equal(row, np.arange(grid.shape[0])[:, None] + 0 * col)
    np.testing.assert_array_equal(col, np.arange(grid.shape[1])[None] + 0 * row)
    outside = grid.pixel_index([10.0, 190.0, 11.0], [-44.0, 45.0, -45.0])
    np.testing.assert_array_equal(outside, np.full((2, 3), -1))


def test_part_has_the_same_pixels() -> None:
    grid = grid_of('icrs\nbox(10,-45,90",70",0)')
    place = slice(5, 20), slice(3, 40)
    part = grid.part(place)
    for ours, whole in zip(part.centres(), grid.centres(), strict=True):
        np.testing.assert_allclose(ours, whole[place], rtol=0, atol=1e-12)
    assert grid.part((slice(0, 0), slice(0, 0))).shape == (0, 0)


def test_edges_belong_to_the_grid_by_half_open_pixels() -> None:
    grid = grid_of('icrs\nbox(10,-45,19.68",19.68",0)')
    ra, dec = grid.wcs.all_pix2world([0.500001, 0.499999, 10.499999, 10.500001], [5.0] * 4, 1)
    np.testing.assert_array_equal(grid.pixel_index(ra, dec)[1], [0, -1, 9, -1])


def test_corners_surround_centres() -> None:
    grid = grid_of('icrs\nbox(10,-45,90",70",0)')
    ra, dec = grid.corners()
    assert ra.shape == (grid.shape[0] + 1, grid.shape[1] + 1)
    mean = sum(dec[i : i + grid.shape[0], j : j + grid.shape[1]] for i in (0, 1) for j in (0, 1)) / 4
    np.testing.assert_allclose(mean, grid.centres()[1], atol=1e-8)


def test_header_describes_the_same_sky() -> None:
    grid = grid_of('icrs\nbox(10,-45,90",70",0)')
    again = WCS(grid.header(grid.wcs))
    np.testing.assert_allclose(again.all_pix2world(3.0, 7.0, 1), grid.wcs.all_pix2world(3.0, 7.0, 1))


def test_unusable_crops() -> None:
    with pytest.raises(RegionSyntaxError, match="no bounds"):
        grid_of("")
    with pytest.raises(EmptySelection, match=r"crop\.reg: the crop is"):
        grid_of("icrs\nbox(10,-45,9,9)")
    with pytest.raises(RegionSyntaxError, match="fk5"):
        grid_of("box(10,10,9,9)")
