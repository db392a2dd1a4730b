"""DS9 regions of a map: one box a region, where the region is, in the colour of its value."""

import re

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from regions import Regions

from pyxt_hpc.binning.lattice import block_number
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.ds9.region_file import NO_VALUE, Boxes
from pyxt_hpc.plots.maps.colours import colour_scale


def test_boxes_lie_on_their_blocks(tmp_path, fitted) -> None:
    shape = (20, 32)
    regions = fitted(np.tile(np.linspace(2.0, 9.0, 32), (20, 1)), np.ones(shape))
    values = regions.rows["kT"].copy()
    values[2] = np.nan
    product = MapProduct(
        tmp_path / "a.fits", "Temperature", "keV", np.linspace(2, 9, 64).reshape(8, 8), of_regions=values
    )
    path = tmp_path / "a.reg"
    Boxes.of(regions).write(product, path)
    boxes = Regions.read(path, format="ds9")
    assert len(boxes) == len(values)
    wcs = WCS(fits.Header.fromstring(regions.bundle.wcs_header))
    x, y = wcs.world_to_pixel(SkyCoord([box.center for box in boxes]))
    assert x == pytest.approx(3 * block_number(regions.rows["col"], 3), abs=0.01)
    assert y == pytest.approx(3 * block_number(regions.rows["row"], 3), abs=0.01)
    assert boxes[0].width.to_value("arcsec") == pytest.approx(3 * 1.968)
    colours = re.findall(r"color=(#\w+)", path.read_text())
    assert colours[2] == NO_VALUE
    assert colours[0] != colours[10]
    assert "tag={2 keV} tag={region 1}" in path.read_text()


def test_too_many_bins_are_joined_to_squares(tmp_path, fitted) -> None:
    shape = (45, 60)
    kT = np.random.default_rng(5).uniform(2.0, 9.0, shape)
    regions = fitted(kT, np.ones(shape))
    product = MapProduct(tmp_path / "a.fits", "Temperature", "keV", kT, of_regions=regions.rows["kT"])
    boxes = Boxes.of(regions, max_boxes=50)
    boxes.write(product, tmp_path / "a.reg")
    found = Regions.read(tmp_path / "a.reg", format="ds9")
    assert 25 <= len(found) <= 50
    side = round(found[0].width.to_value("arcsec") / 1.968)
    wcs = WCS(fits.Header.fromstring(regions.bundle.wcs_header))
    x, y = (np.rint(at).astype(int) for at in wcs.world_to_pixel(SkyCoord([box.center for box in found])))
    # together they cover the field once
    covered = np.zeros((100, 100), int)
    for row, col in zip(y + 20, x + 20, strict=True):
        covered[row - side // 2 : row + side // 2 + 1, col - side // 2 : col + side // 2 + 1] += 1
    assert (covered[20 : 20 + shape[0], 20 : 20 + shape[1]] == 1).all()
    middle = (y < shape[0]) & (x < shape[1])
    tags = np.array([float(tag) for tag in re.findall(r"tag={(\S+) keV}", (tmp_path / "a.reg").read_text())])
    assert tags[middle] == pytest.approx(kT[y[middle], x[middle]], rel=1e-3)
    assert f"# {len(found)} of {len(regions.rows)} regions" in (tmp_path / "a.reg").read_text()


def test_scales_of_signs_and_integers(tmp_path) -> None:
    values = np.array([[-1.0, 3.0], [np.nan, 0.0]])
    _, norm = colour_scale(MapProduct(tmp_path / "a", "Residual", "", values, diverging=True))
    assert norm(0.0) == 0.5
    _, norm = colour_scale(MapProduct(tmp_path / "a", "Flags", "", np.zeros((2, 2)), integer=True))
    assert (norm.vmin, norm.vmax) == (0.0, 1.0)
