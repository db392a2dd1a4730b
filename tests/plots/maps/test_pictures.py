"""A picture shows the map: where there are values, colours; elsewhere grey."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from astropy.wcs import WCS
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.maps.product import MapProduct
from pyxt_hpc.plots.maps.categories import MAX_CLASSES
from pyxt_hpc.plots.maps.colours import clipped, colour_scale
from pyxt_hpc.plots.maps.contours import MAX_LEVELS, contour_levels
from pyxt_hpc.plots.maps.pictures import (
    NO_VALUE,
    Picture,
    Scene,
    _log_ticks,
    _number,
    _typeset,
    draw_picture,
    draw_picture_on,
)
from pyxt_hpc.plots.maps.style import PictureStyle


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
    meanings = {0: "no remark", 1 << 16: "BACKGROUND_DOMINATED"}
    product = MapProduct(tmp_path / "a", "Flags", "", flags, integer=True, meanings=meanings)
    classes = Picture.of(product).classes
    assert classes is not None
    assert classes.levels == (0, 1 << 16)
    assert classes.labels == ("no remark (66.7%)", "BACKGROUND_DOMINATED (33.3%)")
    assert len(set(classes.colours)) == 2
    assert classes.positions(np.array([0.0, 1 << 16, np.nan])).tolist()[:2] == [0.0, 1.0]
    draw_picture(Picture.of(product), Scene(WCS(naxis=2).to_header_string()), tmp_path / "a.png")
    numbers = MapProduct(tmp_path / "a", "N", "", np.arange(1600.0).reshape(40, 40), integer=True)
    assert Picture.of(numbers).classes is None
    draw_picture(Picture.of(numbers), Scene(WCS(naxis=2).to_header_string()), tmp_path / "b.png")


def drawn_text(axes: Axes) -> str:
    """All texts at a map: above it and in its legend."""
    legend = axes.get_legend()
    texts = [axes.title, *axes.texts, *(legend.get_texts() if legend else ())]
    return "\n".join(text.get_text() for text in texts)


@pytest.mark.parametrize("small", [False, True])
def test_legend_says_what_blank_pixels_are(tmp_path: Path, small: bool) -> None:
    flags = np.zeros((40, 40))
    flags[:5], flags[30:, 30:] = 4, 8
    meanings = {0: "no remark", 4: "FLAG", 8: "outside of the field"}
    of_flags = MapProduct(
        tmp_path / "a", "Flags", "", flags, integer=True, meanings=meanings, shown=flags != 8
    )
    holes = flags.copy()
    holes[20, 20] = np.nan
    of_numbers = MapProduct(tmp_path / "a", "N", "", holes, integer=True)
    whole = MapProduct(tmp_path / "a", "N", "", np.zeros((40, 40)), integer=True)
    for product, words in (
        (of_flags, "outside of the field"),
        (of_numbers, "no value"),
        (whole, "0 (100.0%)"),
    ):
        axes = Figure().add_subplot()
        draw_picture_on(axes, Picture.of(product), Scene(sky().to_header_string()), small=small)
        entries = [text.get_text() for text in axes.get_legend().get_texts()]
        assert entries[-1] == words
        assert to_hex(axes.get_facecolor()) == to_hex(NO_VALUE)


def test_picture_says_what_its_contours_are() -> None:
    y, x = np.indices((100, 100)) - 50.0
    brightness = (1.0 + (np.hypot(y, x) / 5.0) ** 2) ** -1.5
    header = sky().to_header_string()
    for image, words in (
        (brightness, "contours: smoothed X-ray surface brightness, a factor of 4 apart"),
        (np.where(np.hypot(y, x) < 20.0, 1.5, 1.0), "contour: smoothed X-ray surface brightness"),
        (np.ones((100, 100)), None),
        (None, None),
    ):
        axes = Figure().add_subplot()
        draw_picture_on(axes, Picture.of(ramp(note="a convention")), Scene(header, image))
        lines = drawn_text(axes).splitlines()
        assert "a convention" in lines
        assert [line for line in lines if line.startswith("contour")] == ([words] if words else [])


@pytest.mark.parametrize("label", ["A", "A_RATHER_LONG_NAME, " * 6])
def test_picture_with_a_legend_has_no_empty_margin_and_cuts_nothing_off(tmp_path: Path, label: str) -> None:
    values = np.zeros((40, 40))
    product = MapProduct(tmp_path / "a", "Flags", "", values, integer=True, meanings={0: label})
    path = tmp_path / "a.png"
    draw_picture(Picture.of(product), Scene(sky().to_header_string()), path)
    dark = (matplotlib.image.imread(path)[..., :3] < 0.5).any(axis=2)
    cols = np.flatnonzero(dark.any(axis=0))
    width = dark.shape[1]
    assert cols[-1] < width - 5
    assert cols[-1] > 0.9 * width


def test_rare_combinations_of_flags_are_one_class(tmp_path: Path) -> None:
    flags = np.zeros((40, 40))
    flags[0, 1:26] = np.arange(1, 26)
    flags[1, :30] = 9
    product = MapProduct(
        tmp_path / "a", "Flags", "", flags, integer=True, meanings={i: f"flag {i}" for i in range(26)}
    )
    classes = Picture.of(product).classes
    assert classes is not None
    assert len(classes.levels) == MAX_CLASSES
    assert {0, 9} <= set(classes.levels)
    assert classes.labels[-1].startswith(f"{26 - MAX_CLASSES} others")
    missing = next(i for i in range(26) if i not in classes.levels)
    assert classes.positions(np.array([[float(missing)]]))[0, 0] == MAX_CLASSES


def test_flags_of_a_failed_fit_are_not_rounded(tmp_path: Path) -> None:
    value = (1 << 28) + 5
    meanings = {0: "no remark", value: "fit failed, AT_BOUND_LOW, KT_LO_OPEN"}
    flags = np.where(np.arange(1300) < 650, 0.0, float(value)) * np.ones((1300, 1))
    for part in (flags, flags[:40, 640:660]):
        classes = Picture.of(
            MapProduct(tmp_path / "a", "Flags", "", part, integer=True, meanings=meanings)
        ).classes
        assert classes is not None
        assert classes.levels == (0, value)


def sky() -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 20.0], [50.0, 50.0], [-5e-4, 5e-4]
    return wcs


def ramp(name: str = "temperature", low: float = 2.0, high: float = 12.0, **how: object) -> MapProduct:
    values = np.linspace(low, high, 10_000).reshape(100, 100).astype(np.float32)
    return MapProduct(Path("a.fits"), "Temperature", "keV", values, name=name, **how)


def test_scale_of_the_colours_follows_the_values_and_the_person() -> None:
    assert isinstance(colour_scale(ramp(logarithmic=True))[1], LogNorm)
    assert not isinstance(colour_scale(ramp(low=6.0, logarithmic=True))[1], LogNorm)
    assert not isinstance(colour_scale(ramp(logarithmic=True), PictureStyle(scale="linear"))[1], LogNorm)
    assert isinstance(colour_scale(ramp(low=6.0), PictureStyle(scale="log"))[1], LogNorm)
    name, scale = colour_scale(ramp(), PictureStyle(vmin=4.0, vmax=8.0, cmap="magma"))
    assert (name, scale.vmin, scale.vmax) == ("magma", 4.0, 8.0)
    assert clipped(ramp(), scale) == "both"
    assert clipped(ramp(high=7.0), scale) == "min"
    assert clipped(ramp(low=5.0, high=7.0), scale) == "neither"
    # of the quantity that was named, not of its errors
    style = PictureStyle(vmin=4.0, only=frozenset({"temperature"}))
    assert colour_scale(ramp(), style)[1].vmin == 4.0
    assert colour_scale(ramp("temperature_error"), style)[1].vmin != 4.0
    # beyond all values: no upside-down scale
    scale = colour_scale(ramp(), PictureStyle(vmin=20.0))[1]
    assert scale.vmin == 20.0 < scale.vmax


def test_goodness_diverges_around_0_and_reaches_its_mark() -> None:
    _, scale = colour_scale(ramp("goodness", -1.0, 2.0, diverging=True, marks=(5.0,)))
    assert scale.vmin == -scale.vmax
    assert scale.vmax > 5.0


def test_directions_come_back_to_the_same_colour() -> None:
    name, scale = colour_scale(ramp("shock_angle", 3.0, 200.0, period=360.0))
    assert (scale.vmin, scale.vmax) == (0.0, 360.0)
    ends = mpl.colormaps[name]([0.0, 1.0])
    assert np.abs(ends[0] - ends[1]).max() < 0.02


def test_a_picture_is_of_a_part_about_a_centre() -> None:
    ra, dec = (float(at) for at in sky().wcs_pix2world(70.0, 40.0, 0))
    picture = Picture.of(ramp(), PictureStyle(centre=(ra, dec), zoom=4.0), sky())
    left, right, bottom, top = picture.view
    assert (0.5 * (left + right), 0.5 * (bottom + top)) == pytest.approx((70.0, 40.0), abs=0.01)
    assert right - left == pytest.approx(106.0 / 4.0, abs=0.5)
    assert picture.values.shape[0] < 35
    # what is drawn lies where it did
    row, col = 40, 70
    at = picture.values[row - round(picture.extent[2] + 0.5), col - round(picture.extent[0] + 0.5)]
    assert at == ramp().values[row, col]
    with pytest.raises(ConfigError, match="not on the map"):
        Picture.of(ramp(), PictureStyle(centre=(151.0, 20.0)), sky())


def test_declination_of_a_small_field_is_not_cut_off(tmp_path: Path) -> None:
    picture = Picture.of(ramp(), PictureStyle(zoom=8.0))  # its tick labels have seconds
    draw_picture(picture, Scene(sky().to_header_string()), tmp_path / "a.png")
    assert (matplotlib.image.imread(tmp_path / "a.png")[:, :3, :3] == 1.0).all()


@pytest.mark.parametrize("form", ["png", "pdf", "svg"])
def test_every_form_is_drawn_and_always_the_same(tmp_path: Path, form: str) -> None:
    curve = np.array([[20.0, 20.0], [40.0, 60.0]])
    product = ramp(curves=(curve,), note="a convention", marks=(5.0,))
    scene = Scene(sky().to_header_string(), ramp().values, 1.8, name="A 1795")
    for name in ("a", "b"):
        draw_picture(Picture.of(product), scene, tmp_path / f"{name}.{form}")
    first, second = ((tmp_path / f"{name}.{form}").read_bytes() for name in ("a", "b"))
    # Older versions name parts of an SVG by where they are in memory.
    assert first == second or (form == "svg" and mpl.__version_info__ < (3, 10))
    beginning = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}[form]
    assert first.startswith(beginning)
    if form == "svg":
        assert b"A 1795: Temperature" in first


def test_contours_leave_the_core_free_and_are_a_factor_apart() -> None:
    y, x = np.indices((200, 200)) - 100.0
    radius = np.hypot(x, y)
    image = (1.0 + (radius / 5.0) ** 2) ** -1.5
    levels = contour_levels(np.where(radius < 100, image, np.nan))
    assert 3 <= len(levels) <= MAX_LEVELS
    ratios = levels[1:] / levels[:-1]
    assert set(np.round(ratios, 6)) <= {2.0, 4.0, 8.0}
    innermost = radius[image > levels[-1]].max()
    assert innermost > 11.0
    assert len(contour_levels(np.ones((50, 50)))) == 0
    assert len(contour_levels(np.full((50, 50), np.nan))) == 0


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"vmin": 5.0, "vmax": 4.0}, "lower value first"),
        ({"cmap": "rainbows"}, "there are no colours"),
        ({"formats": ("png", "gif")}, "expected one or more of png, pdf, svg"),
        ({"formats": ()}, "expected one or more of png, pdf, svg"),
        ({"zoom": 0.0}, "zoom is 0"),
        ({"zoom": float("nan")}, "zoom is nan"),
    ],
)
def test_impossible_styles_are_refused(how: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PictureStyle(**how)


def test_units_and_numbers_are_typeset() -> None:
    assert _typeset("10**-5 keV cm**(5/3) arcmin-2") == "10$^{-5}$ keV cm$^{5/3}$ arcmin$^{-2}$"
    assert _typeset("keV cm2") == "keV cm$^{2}$"
    assert [_number(value) for value in (0.0025, 60.0, 2e-5)] == ["0.0025", "60", "2$\\times$10$^{-5}$"]
    for low, high in ((2.1e-3, 3.9e-3), (6.0, 61.0), (1e-6, 1.0), (50.0, 51.0)):
        ticks = _log_ticks(low, high)
        assert len(ticks) >= 3
        assert low <= min(ticks) < max(ticks) <= high
