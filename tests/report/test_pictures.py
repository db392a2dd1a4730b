"""A picture shows the map: where there are values, colours; elsewhere grey."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from astropy.wcs import WCS

from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.report.pictures import Scene, draw_map


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("values", ["gradient", "constant", "one pixel"])
def test_picture_is_drawn_for_any_values(tmp_path: Path, logarithmic: bool, values: str) -> None:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 20.0], [50.0, 40.0], [-5e-4, 5e-4]
    image = np.full((80, 100), np.nan, np.float32)
    if values == "gradient":
        image[20:60, 20:80] = np.linspace(1, 9, 60)
    elif values == "constant":
        image[20:60, 20:80] = 4.0
    else:
        image[20, 30] = 4.0
    path = tmp_path / "a.png"
    product = MapProduct(tmp_path / "a.fits", "Temperature", "keV", image, logarithmic=logarithmic)
    y, x = np.indices(image.shape)
    brightness = 1.0 / (1.0 + np.hypot(y - 40.0, x - 50.0))
    draw_map(product, Scene(wcs.to_header_string(), brightness, 1.8), path)
    pixels = matplotlib.image.imread(path)[..., :3]
    coloured = np.ptp(pixels, axis=2) > 0.1
    assert coloured.mean() > (0.2 if values == "gradient" else 0.01)
