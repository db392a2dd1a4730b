from pathlib import Path

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS
from regions import PixCoord, Regions

from pyxt_hpc.chandra.regions.sky import contains, extent, read_regions
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import RegionSyntaxError

PATH = Path("drawn.reg")


def sky_frame(ra: float = 150.0, dec: float = 30.0) -> WCS:
    return tangent_plane(ra, dec, crpix=(4096.5, 4096.5))


def grid_of_points(n: int = 301, half: float = 60.013) -> tuple[np.ndarray, np.ndarray]:
    offset = np.linspace(-half, half, n) + 0.07
    return np.meshgrid(4096.5 + offset, 4096.5 + offset)


def inside(text: str, x: np.ndarray, y: np.ndarray, frame: WCS | None = None) -> np.ndarray:
    frame = frame or sky_frame()
    ra, dec = frame.all_pix2world(x, y, 1)
    return contains(parse_regions(text, PATH), ra, dec, {"physical": frame})


def rotated(dx: np.ndarray, dy: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    t = np.radians(degrees)
    return dx * np.cos(t) + dy * np.sin(t), dy * np.cos(t) - dx * np.sin(t)


# each shape about (4106.5, 4091.5), with what it means written out
CENTRE = "4106.5,4091.5"
SHAPES = {
    f"circle({CENTRE},20)": lambda u, v: u**2 + v**2 <= 400,
    f"ellipse({CENTRE},30,10,25)": lambda u, v: (
        (rotated(u, v, 25)[0] / 30) ** 2 + (rotated(u, v, 25)[1] / 10) ** 2 <= 1
    ),
    f"box({CENTRE},40,12)": lambda u, v: (abs(u) <= 20) & (abs(v) <= 6),
    f"rotbox({CENTRE},40,12,30)": lambda u, v: (
        (abs(rotated(u, v, 30)[0]) <= 20) & (abs(rotated(u, v, 30)[1]) <= 6)
    ),
    f"annulus({CENTRE},10,20)": lambda u, v: (u**2 + v**2 <= 400) & (u**2 + v**2 >= 100),
    f"annulus({CENTRE},0,10,20)": lambda u, v: u**2 + v**2 <= 400,
    f"pie({CENTRE},5,30,20,110)": lambda u, v: (
        (u**2 + v**2 <= 900)
        & (u**2 + v**2 >= 25)
        & (np.degrees(np.arctan2(v, u)) >= 20)
        & (np.degrees(np.arctan2(v, u)) <= 110)
    ),
    f"pie({CENTRE},0,30,300,30)": lambda u, v: (
        (u**2 + v**2 <= 900) & (np.degrees(np.arctan2(v, u)) >= -60) & (np.degrees(np.arctan2(v, u)) <= 30)
    ),
    f"panda({CENTRE},20,110,3,5,30,2)": lambda u, v: (
        (u**2 + v**2 <= 900)
        & (u**2 + v**2 >= 25)
        & (np.degrees(np.arctan2(v, u)) >= 20)
        & (np.degrees(np.arctan2(v, u)) <= 110)
    ),
    "rectangle(4096.5,4081.5,4116.5,4101.5)": lambda u, v: (abs(u) <= 10) & (abs(v) <= 10),
    "polygon(4096.5,4081.5,4116.5,4081.5,4106.5,4101.5)": lambda u, v: (v >= -10) & (v <= 10 - 2 * abs(u)),
    f"ellipse({CENTRE},15,5,30,10,25)": lambda u, v: (
        np.abs(np.hypot(rotated(u, v, 25)[0] / 30, rotated(u, v, 25)[1] / 10) - 0.75) <= 0.25
    ),
    "field()": lambda u, v: u < 1e9,
}


@pytest.mark.parametrize("text", SHAPES)
def test_shapes_in_pixels(text: str) -> None:
    x, y = grid_of_points()
    expected = SHAPES[text](x - 4106.5, y - 4091.5)
    # points on the very edge may go either way
    assert np.mean(inside(text, x, y) != expected) < 5e-4
    assert np.mean(inside(f"-{text}", x, y) == expected) < 5e-4


@pytest.mark.parametrize(
    "text", [t for t in SHAPES if t.startswith(("circle", "ell", "rotb", "annu", "pie"))]
)
@pytest.mark.parametrize("frame_dec", [30.0, -89.0])
def test_celestial_shapes_agree_with_pixels(text: str, frame_dec: float) -> None:
    frame = sky_frame(150.0, frame_dec)
    x, y = grid_of_points()
    ra, dec = frame.all_pix2world(4106.5, 4091.5, 1)
    numbers = text.partition("(")[2].rstrip(")").split(",")[2:]
    n_size = {"circle": 1, "ellipse": len(numbers) - 1, "rotbox": 2, "annulus": len(numbers), "pie": 2}
    name = text.partition("(")[0]
    sizes = [f'{float(s) * 0.492}"' for s in numbers[: n_size[name]]]
    literal = SkyCoord(ra, dec, unit="deg").to_string("hmsdms", sep=":", precision=6).replace(" ", ",")
    angles = numbers[n_size[name] :]
    assert inside(text, x, y, frame).sum() > 100
    # a local north differs from the frame's +y by up to (RA offset) sin(dec): below 0.1 deg at the pole
    for celestial in (
        f"icrs\n{name}({ra},{dec},{','.join(sizes + angles)})",
        f"{name}({literal},{','.join(sizes + angles)})",
        f"# Region file format: DS9\nglobal color=green\nfk5;{name}({literal},{','.join(sizes + angles)})",
    ):
        assert np.mean(inside(celestial, x, y, frame) != inside(text, x, y, frame)) < 2e-3


@pytest.mark.parametrize(
    "text",
    [
        'circle(150.002,30.001,9")',
        'ellipse(150.002,30.001,20",7",35)',
        'box(150.002,30.001,20",7",35)',
        'annulus(150.002,30.001,5",12")',
        "polygon(150.002,30.001,150.006,30.001,150.004,30.005)",
    ],
)
def test_as_the_regions_package_reads_ds9_files(text: str) -> None:
    image = WCS(naxis=2)
    image.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    image.wcs.crpix, image.wcs.crval = [151, 151], [150.0, 30.0]
    turn = np.radians(25.0)
    image.wcs.cd = 0.3 / 3600 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    y, x = np.mgrid[:301, :301]
    drawn = f"# Region file format: DS9\nicrs\n{text}\n"
    (theirs,) = Regions.parse(drawn, format="ds9")
    expected = theirs.to_pixel(image).contains(PixCoord(x, y))
    ours = contains(parse_regions(drawn, PATH), *image.all_pix2world(x, y, 0), {})
    assert expected.sum() > 500
    assert np.mean(ours != expected) < 3e-4


def test_physical_position_with_size_in_arcsec() -> None:
    x, y = grid_of_points()
    ours = inside('physical\ncircle(4106.5,4091.5,9.84")', x, y)
    np.testing.assert_array_equal(ours, inside("circle(4106.5,4091.5,20)", x, y))


def test_union_intersection_and_cuts() -> None:
    x, y = grid_of_points()
    a = inside("circle(4080,4096,25)", x, y)
    b = inside("circle(4110,4096,25)", x, y)
    c = inside("box(4096,4096,200,10)", x, y)
    lines = {
        "circle(4080,4096,25)\ncircle(4110,4096,25)": a | b,
        "circle(4080,4096,25)+circle(4110,4096,25)": a | b,
        "circle(4080,4096,25);circle(4110,4096,25) # color=red text={a;b}": a | b,
        "circle(4080,4096,25)*circle(4110,4096,25)": a & b,
        "circle(4080,4096,25)\n*circle(4110,4096,25)": a & b,
        "circle(4080,4096,25)-circle(4110,4096,25)": a & ~b,
        "circle(4080,4096,25)*!circle(4110,4096,25)": a & ~b,
        "circle(4080,4096,25)-box(4096,4096,200,10)+circle(4110,4096,25)": (a & ~c) | b,
        # a cut on its own line acts on shapes before and after it, as in DS9
        "circle(4080,4096,25)\n-box(4096,4096,200,10)\ncircle(4110,4096,25)": (a | b) & ~c,
        "-circle(4080,4096,25)\n-circle(4110,4096,25)": ~(a | b),
        "-circle 4080 4096 25\n-circle(4110 4096 25)": ~(a | b),
    }
    for text, expected in lines.items():
        np.testing.assert_array_equal(inside(text, x, y), expected, err_msg=text)


def test_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "sources.reg").write_text(
        "# Region file format: DS9 version 4.1\n\nglobal color=green\nfk5\n"
    )
    region = read_regions(tmp_path / "sources.reg")
    assert region.is_empty
    assert not contains(region, [150.0], [30.0], {}).any()


def test_antipode_is_outside() -> None:
    region = parse_regions('icrs\ncircle(150,30,60")', PATH)
    np.testing.assert_array_equal(contains(region, [150.0, 330.0], [30.0, -30.0], {}), [True, False])


def test_around_right_ascension_zero() -> None:
    region = parse_regions('icrs\nbox(0,10,600",600")\ncircle(359.9,10,60")', PATH)
    ra = np.array([0.07, 359.93, 359.9, 0.1])
    np.testing.assert_array_equal(contains(region, ra, np.full(4, 10.0), {}), [True, True, True, False])


def test_pixels_of_unknown_frames_are_refused() -> None:
    for system in ("physical", "image"):
        region = parse_regions(f"{system}\n\ncircle(100,100,5)", PATH)
        with pytest.raises(RegionSyntaxError, match=rf"drawn\.reg, line 3: {system} .* save .* in fk5"):
            contains(region, [150.0], [30.0], {})
        with pytest.raises(RegionSyntaxError, match="fk5"):
            extent(region, {})


def test_image_coordinates_with_their_image() -> None:
    image = tangent_plane(150.0, 30.0, 1.968)
    region = parse_regions("# Filename: /data/merged.img[1]\nimage\ncircle(11,1,5)", PATH)
    ra, dec = image.all_pix2world([11.0, 15.9, 16.1], [1.0, 1.0, 1.0], 1)
    np.testing.assert_array_equal(contains(region, ra, dec, {"merged.img": image}), [True, True, False])
    with pytest.raises(
        RegionSyntaxError, match=r"line 3: image .* merged\.img is not known; .* '# Filename: other"
    ):
        contains(region, ra, dec, {"physical": image, "other.img": image})


def test_extent_encloses_the_region_tightly() -> None:
    frame = sky_frame()
    region = parse_regions("rotbox(4096.5,4096.5,100,60,90)\nellipse(4096.5,4120.5,10,40,0)", PATH)
    x, y = frame.all_world2pix(*extent(region, {"physical": frame}), 1)
    np.testing.assert_allclose([x.min(), x.max()], [4066.5, 4126.5], atol=1e-4)
    np.testing.assert_allclose([y.min(), y.max()], [4046.5, 4160.5], atol=1e-4)
    for unbounded in ("field()", "", "-circle(1,1,1)", "circle(1,1,1)\nfield()"):
        with pytest.raises(RegionSyntaxError, match="no bounds"):
            extent(parse_regions(unbounded, PATH), {"physical": frame})
