"""A picture shows the map: where there are values, colours; elsewhere grey."""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from astropy.wcs import WCS

from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.pictures import Picture, Scene, _log_ticks, _number, _typeset, draw_picture


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
    draw_picture(Picture.of(product), Scene(wcs.to_header_string(), brightness, 1.8).thinned(), path)
    pixels = matplotlib.image.imread(path)[..., :3]
    coloured = np.ptp(pixels, axis=2) > 0.1
    assert coloured.mean() > (0.2 if values == "gradient" else 0.01)


def test_large_maps_are_drawn_from_means_of_what_is_there(tmp_path: Path) -> None:
    values = np.full((1300, 1400), np.nan, np.float32)
    values[50:1250, 100:1300] = np.add.outer(np.arange(1200), np.zeros(1200))
    values[50:52, 100] = np.nan  # a half and a quarter of two squares
    values[50:53, 102:104] = np.nan
    picture = Picture.of(MapProduct(tmp_path / "a", "T", "keV", values))
    assert picture.values.shape == (600, 600)
    assert picture.extent == (99.5, 1299.5, 49.5, 1249.5)
    assert picture.values[10, 7] == 20.5
    assert picture.values[0, 0] == 0.5
    assert np.isnan(picture.values[0, 1])
    assert picture.values[1, 1] == 3.0  # the half that is left


def test_flags_are_not_averaged(tmp_path: Path) -> None:
    flags = np.random.default_rng(1).choice([0.0, 131072.0], (1300, 1300))
    picture = Picture.of(MapProduct(tmp_path / "a", "Flags", "", flags, integer=True))
    assert set(np.unique(picture.values)) == {0.0, 131072.0}


def test_few_integers_have_a_colour_each_and_a_meaning(tmp_path: Path) -> None:
    flags = np.full((40, 40), np.nan)
    flags[:20], flags[20:30] = 0, 1 << 16
    meanings = {0: "none", 1 << 16: "BACKGROUND_DOMINATED"}
    product = MapProduct(tmp_path / "a", "Flags", "", flags, integer=True, meanings=meanings)
    picture = Picture.of(product)
    assert picture.levels == (0, 1 << 16)
    assert picture.meanings == tuple(meanings.values())
    draw_picture(picture, Scene(WCS(naxis=2).to_header_string()), tmp_path / "a.png")
    many = Picture.of(
        MapProduct(tmp_path / "a", "Flags", "", np.arange(1600.0).reshape(40, 40), integer=True)
    )
    assert many.levels == ()


def test_units_and_numbers_are_typeset() -> None:
    assert _typeset("10**-5 keV cm**(5/3) arcmin-2") == "10$^{-5}$ keV cm$^{5/3}$ arcmin$^{-2}$"
    assert _typeset("keV cm2") == "keV cm$^{2}$"
    assert [_number(value) for value in (0.0025, 60.0, 2e-5)] == ["0.0025", "60", "2$\\times$10$^{-5}$"]
    for low, high in ((2.1e-3, 3.9e-3), (6.0, 61.0), (1e-6, 1.0), (50.0, 51.0)):
        ticks = _log_ticks(low, high)
        assert len(ticks) >= 3
        assert low <= min(ticks) < max(ticks) <= high
