"""Region files as people, DS9, CIAO, JS9 and the Chandra Source Catalog write them: what each means."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from regions import PixCoord, Regions

from pyxt_hpc.chandra.events import read_events
from pyxt_hpc.chandra.regions.sky import contains_pixels, extent, read_regions
from pyxt_hpc.chandra.regions.text import RegionFile, parse_regions
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.cli import main
from pyxt_hpc.config.cluster import read_config
from pyxt_hpc.errors import RegionSyntaxError
from pyxt_hpc.layout import Layout

DATA = Path(__file__).parent / "data"
PI = np.pi
RING = PI * (30**2 - 10**2)
DISC = PI * 50**2


def frame(ra: float = 150.0, dec: float = 20.0, pixel_arcsec: float = 0.492) -> WCS:
    """Sky pixels of an observation."""
    return tangent_plane(ra, dec, pixel_arcsec, crpix=(4096.5, 4096.5))


def area(region: RegionFile, wcs: WCS | None = None, half: float = 500.0, n: int = 2001) -> float:
    """Area of a region [pixel^2] within so many pixels of the middle of a frame."""
    wcs = wcs or frame()
    axis = 4096.5 + np.linspace(-half, half, n)
    x, y = (v.ravel() for v in np.meshgrid(axis, axis))
    inside = contains_pixels(region, wcs, x, y, {"physical": frame(), "merged.img": frame()})
    return float(inside.sum()) * (axis[1] - axis[0]) ** 2


FIELD = 1000.5**2
AREAS: dict[str, float] = {
    # the same circle is cut, whatever stands beside it
    "-circle(4096,4096,50)": FIELD - DISC,
    "field()\n-circle(4096,4096,50)": FIELD - DISC,
    "-circle(4096,4096,50)\nfield()": FIELD - DISC,
    "field()*!circle(4096,4096,50)": FIELD - DISC,
    "circle(4096,4096,50)\nfield()\n-circle(4096,4096,50)": FIELD - DISC,
    "fk5\nfield()\nphysical\n-circle(4096,4096,50)": FIELD - DISC,
    'physical\nfield()\nfk5\n-circle(10:00:00.0,+20:00:00,24.6")': FIELD - DISC,
    "# Filename: merged.img\nimage\nfield()\nphysical\n-circle(4096,4096,50)": FIELD - DISC,
    "field()\n# Filename: merged.img\nimage\n-circle(4096,4096,50)": FIELD - DISC,
    'physical\ncircle(4096,4096,50)\nicrs\ncircle(150.0,20.02,24.6")': 2 * DISC,
    # a slip of the pen far away moves nothing else
    'icrs\ncircle(150,20,24.6")\ncircle(10,-70,24.6")': DISC,
    'icrs\ncircle(10,-70,24.6")\ncircle(150,20,24.6")\n-circle(200,10,1")': DISC,
    # forms of positions and sizes
    "fk5\ncircle(10:00:00,+20:00:00,0.00683333)": DISC,
    'circle(10:00:00,+19:59:60.0,24.6")': DISC,
    'circle(9:59:60.00,20:00:00,24.6")': DISC,
    'circle(10h00m00s,+20d00m00s,24.6")': DISC,
    "circle(150d,20d,0.41')": DISC,
    "circle(150deg,20deg,24.6arcsec)": DISC,
    'circle(150d00m00s,+20d00\'00",24.6")': DISC,
    'circle(4096.5,4096.5,24.6")': DISC,
    "circle(4096.5p,4096.5p,50p)": DISC,
    "ellipse(4096.5,4096.5,0.00683333d,0.00683333d,0)": DISC,
    "circle 4096 4096 50": DISC,
    # rings and sectors of DS9
    "ellipse(4096,4096,10,5,20,10,40,20,30)": PI * (40 * 20 - 10 * 5),
    "box(4096,4096,20,10,40,20,60,30,80,40,30)": 80 * 40 - 20 * 10,
    "ellipse(4096,4096,0,0,20,10,40,20,30)": PI * 40 * 20,
    "annulus(4096,4096,10,15,20,30)": RING,
    "panda(4096,4096,20,110,3,10,30,2)": RING / 4,
    "epanda(4096,4096,0,90,3,10,5,40,20,2,30)": PI * (40 * 20 - 10 * 5) / 4,
    "bpanda(4096,4096,0,180,3,20,10,80,40,2,30)": (80 * 40 - 20 * 10) / 2,
    "bpanda(4096,4096,0,360,4,20,10,80,40,1,0)": 80 * 40 - 20 * 10,
    # composites, remarks
    "circle(4096,4096,50) || # color=red\ncircle(4300,4096,50)": 2 * DISC,
    "circle(4096,4096,50) || circle(4300,4096,50)": 2 * DISC,
    "# composite(4096,4096,0) || composite=1\ncircle(4096,4096,50) ||\n-circle(4096,4096,10)": DISC
    - PI * 100,
    'physical; circle(4096,4096,50) {"color":"#00ff00","tags":"a;b"}': DISC,
    'circle(4096,4096,50) {"a":{"b":1}}; circle(4300,4096,50)': 2 * DISC,
    "circle(4096,4096,50) # text={a;circle(4300,4096,50)}": DISC,
}


@pytest.mark.parametrize("text", AREAS)
def test_what_a_file_means(text: str) -> None:
    assert area(parse_regions(text, Path("r.reg"))) == pytest.approx(AREAS[text], abs=25.0)


WRONG: dict[str, str] = {
    "image\ncircle(1,2,3)": "line 2: image coordinates belong to one image, and the file does not say which; "
    "save the regions in fk5 or physical coordinates, or, if the image is merged.img, add the line "
    "'# Filename: merged.img'",
    "# Filename: other.fits\nimage\ncircle(1,2,3)": "line 3: image .* other.fits is not known",
    "physical\ncircle(4096i,4096i,3)": "line 2: 4096i is not in pixels of the system physical",
    "physical\ncircle(4096,4096,3i)": "line 2: 3i is not in pixels of the system physical",
    'circle(187:30:00,10:00:00,3")': "right ascension 187:30:00 is outside 0 to 24 hours",
    'circle(10:00:00,20h00m00s,3")': "declination 20h00m00s is in hours",
    'circle(10:00:61,20:00:00,3")': "60 or more",
    "ellipse(1,2,3,4,2,5,30)": "inner size 3, not below the outer 2",
    "ellipse(1,2,3,4,5,6,7,8)": "pairs of sizes and an angle",
    "panda(1,2,3)": "panda has 3 arguments, expected 8",
    "epanda(1,2,3,4)": "epanda has 4 arguments, expected 11",
    "circle(1,2,3) {": "expected a shape",
    "galactic;circle(1,2,3)": "coordinate system galactic is not supported",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused(text: str) -> None:
    with pytest.raises(RegionSyntaxError, match=WRONG[text]):
        area(parse_regions(text, Path("r.reg")), n=3)


def middle(name: str) -> tuple[RegionFile, WCS]:
    """A file of the folder and a frame in the middle of it."""
    region = read_regions(DATA / name)
    ra, dec = extent(region, {"physical": frame(), "test01.fits": frame()})
    return region, frame(float(np.mean(ra)), float(np.mean(dec)))


def by_astropy(name: str, wcs: WCS, half: float) -> float:
    """Area of circles, boxes, ellipses and polygons of a file as the regions package reads it."""
    axis = 4095.5 + np.linspace(-half, half, 1201)
    points = PixCoord(*np.meshgrid(axis, axis))
    inside, cut = np.zeros((1201, 1201), bool), np.zeros((1201, 1201), bool)
    for one in Regions.read(DATA / name, format="ds9"):
        (cut if one.meta.get("include", True) in (False, "-") else inside)[
            one.to_pixel(wcs).contains(points)
        ] = True
    return float((inside & ~cut).sum()) * (axis[1] - axis[0]) ** 2


@pytest.mark.parametrize(
    ("name", "half"), [("point_sources_39_fk5.reg", 3000.0), ("mixed_fk5_sexagesimal.reg", 250.0)]
)
def test_files_that_the_regions_package_reads(name: str, half: float) -> None:
    region, wcs = middle(name)
    assert area(region, wcs, half, 1201) == pytest.approx(by_astropy(name, wcs, half), rel=3e-3)
    assert len(region.shapes) == (39 if name.startswith("point") else 4)


def test_circles_of_ciao_and_ds9_are_the_same() -> None:
    ciao, ds9 = (read_regions(DATA / f"orion_src_{name}.reg") for name in ("ciao", "ds9"))
    assert len(ciao.shapes) == len(ds9.shapes) == 20
    radii = np.array([shape.sizes[0] for shape in ds9.shapes])
    assert area(ciao, half=150.0) == area(ds9, half=150.0) == pytest.approx(PI * (radii**2).sum(), rel=2e-3)


def test_annuli_and_pies_of_ciao() -> None:
    region, wcs = middle("annuli_pies_ciao.reg")
    arcmin = 60 / 0.492
    rings = PI * (0.937004**2 - 0.468502**2)
    # four sectors of 77.425 degrees, in two rings
    rings += 4 * 77.425 / 360 * PI * (0.638596**2 - 0.319298**2)
    assert area(region, wcs, 400.0) == pytest.approx(rings * arcmin**2, rel=2e-3)


def test_many_rings_of_ds9() -> None:
    a, b, ratio = 67.873192, 94.43638, 0.25
    # from direction to parametric angle; both ellipses have one axis ratio
    start, stop = (
        np.arctan2(a * np.sin(t), b * np.cos(t)) % (2 * PI) for t in np.radians([53.141616, 311.69855])
    )
    expected = (
        PI * (107.20306 * 72.287547 - 30.407693 * 20.504055)
        + PI * (114.26876**2 - 57.134451**2)
        + PI * (77.8776**2 - 38.9388**2) * (648.034 - 338.334) / 360
        + 0.5 * a * b * (1 - ratio) * (stop - start)
        + 57.999 * 61.999 - 28.9995 * 30.9995
    )  # fmt: skip
    text = (DATA / "annuli_ds9_many_radii.reg").read_text().replace("image\n", "physical\n")
    wcs = frame()
    wcs.wcs.crpix = [800.0, 800.0]
    x, y = (v.ravel() for v in np.meshgrid(*[np.arange(500.0, 1100.0, 0.5)] * 2))
    inside = contains_pixels(parse_regions(text, Path("r.reg")), wcs, x, y, {"physical": wcs})
    assert inside.sum() * 0.25 == pytest.approx(expected, rel=2e-3)


CSC = DATA / "acisf07999_r0035_reg3.fits.gz"


def csc_area(region: RegionFile) -> float:
    assert region.wcs is not None
    x, y = (v.ravel() for v in np.meshgrid(np.arange(2900.0, 3400.0, 0.5), np.arange(4300.0, 4750.0, 0.5)))
    return float(contains_pixels(region, region.wcs, x, y, {}).sum()) * 0.25


def test_region_of_the_source_catalog(caplog: pytest.LogCaptureFixture) -> None:
    region = read_regions(CSC)
    header = fits.getheader(CSC, "SRCREG")
    assert csc_area(region) == pytest.approx(header["ROI_AREA"], rel=2e-3)
    assert "SRCREG are used, and not those of BKGREG" in caplog.text
    ra, dec = extent(region, {})
    assert np.mean(ra) == pytest.approx(header["RA"], abs=1e-5)
    assert np.mean(dec) == pytest.approx(header["DEC"], abs=1e-5)


def table(path: Path, edit: Callable[[fits.BinTableHDU], fits.BinTableHDU | None]) -> Path:
    """The catalog's background region, changed."""
    with fits.open(CSC) as hdus:
        hdu = hdus["BKGREG"].copy()
        hdu = edit(hdu) or hdu
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def without(name: str) -> Callable[[fits.BinTableHDU], fits.BinTableHDU]:
    def edit(hdu: fits.BinTableHDU) -> fits.BinTableHDU:
        columns = [column for column in hdu.columns if column.name != name]
        return fits.BinTableHDU.from_columns(columns, hdu.header)

    return edit


def set_shape(row: int, text: str) -> Callable[[fits.BinTableHDU], None]:
    def edit(hdu: fits.BinTableHDU) -> None:
        hdu.data["SHAPE"][row] = text

    return edit


@pytest.mark.parametrize("edit", [lambda hdu: None, without("COMPONENT")])
def test_background_region_with_holes(tmp_path: Path, edit: Callable) -> None:
    expected = fits.getheader(CSC, "SRCREG")["ROIBAREA"]
    assert csc_area(read_regions(table(tmp_path / "b.fits", edit))) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_shape(1, "Point"), "row 2 of BKGREG: a point has no area"),
        (set_shape(2, "Blob"), "row 3 of BKGREG: shape blob is unknown"),
        (without("ROTANG"), None),
        (without("R"), "row 1 of BKGREG: ellipse has"),
        (without("SHAPE"), "no table with columns X, Y, SHAPE"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, edit: Callable, message: str | None) -> None:
    path = table(tmp_path / "b.fits", edit)
    if message is None:  # an ellipse of no rotation
        assert read_regions(path).shapes[0].angles == (0.0,)
        return
    with pytest.raises(RegionSyntaxError, match=message):
        read_regions(path)


def test_polygons_of_a_table_and_one_without_sky(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    x, y = (
        np.array([[4000, 4100, 4100, 4000, np.nan], [4200, 4300, 4300, 4300, 4300.0]]),
        np.array([[4000, 4000, 4100, 4100, np.nan], [4000, 4000, 4100, 4100, 4100.0]]),
    )
    columns = [
        fits.Column("X", "5D", array=x),
        fits.Column("Y", "5D", array=y),
        fits.Column("SHAPE", "16A", array=["Polygon", "Polygon"]),
        fits.Column("COMPONENT", "1I", array=[1, 2]),
    ]
    fits.BinTableHDU.from_columns(columns, name="REGION").writeto(tmp_path / "p.fits")
    region = read_regions(tmp_path / "p.fits")
    assert "read as physical coordinates" in caplog.text
    assert area(region) == pytest.approx(100**2 + 100**2 / 2, rel=0.01)


# through the commands


@pytest.fixture(scope="module")
def config(small_cluster_cropped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration of a cluster that has been through all of stages 1 to 4."""
    work = tmp_path_factory.mktemp("regions") / "work"
    shutil.copytree(small_cluster_cropped, work)
    return work / "demo.ini"


@pytest.fixture
def layout(config: Path) -> Layout:
    return Layout.of(read_config(config))


FAR = 'circle(10:00:00,-20:00:00,10")'
ON = "circle(4096.5,4096.5,10)"
OFF = "circle(284.392,178.640,3.342)"
# region file, its text, command, words of the message
COMMANDS: list[tuple[str, str, str, str]] = [
    (
        "sources_reg",
        f"physical\n{OFF}",
        "remove-sources",
        r"sources\.reg, line 2 \(1 of 1 shapes, circle at 284",
    ),
    (
        "sources_reg",
        f"physical\n{ON}\n{OFF}\n{OFF}",
        "remove-sources",
        r"sources\.reg, line 3, 4 \(2 of 3 shapes",
    ),
    (
        "sources_reg",
        f"fk5\n{FAR}",
        "remove-sources",
        r"line 2 .* no pixel that any observation saw .* in fk5",
    ),
    ("sources_reg", f'fk5\ncircle(10:00:00,+25:00:00,10")\n{FAR}', "remove-sources", r"line "),
    (
        "sources_reg",
        f"image\n{OFF}",
        "remove-sources",
        r"line 2: image .* '# Filename: demo_broad_flux\.img'",
    ),
    ("exclude_reg", f"physical\n{OFF}", "remove-sources", r"exclude\.reg, line 2"),
    ("background_reg", f"physical\n{OFF}", "remove-sources", r"background\.reg, line 2"),
    ("background_reg", f"field()\n-{OFF}", "remove-sources", r"background\.reg, line 2 \(1 of 2 shapes"),
    ("background_reg", f"physical\n{ON}*!{OFF}", "remove-sources", r"background\.reg, line 2"),
    ("crop_reg", "physical\nbox(300,300,100,100)", "crop-data", r"master_crop-ciaowcs\.reg, line 2"),
    ("crop_reg", "image\nbox(300,300,100,100)", "crop-data", r"master_crop-ciaowcs\.reg, line 2: image"),
    ("crop_reg", "field()", "crop-data", r"no bounds"),
    ("sources_reg", f"{ON} ||\nellipse(1,2)", "remove-sources", r"sources\.reg, line 2: ellipse has 2"),
    ("sources_reg", ON, "crop-data", r"sources\.reg: changed after remove-sources used it"),
]


@pytest.mark.parametrize(("name", "text", "command", "words"), COMMANDS)
def test_files_that_a_command_refuses(
    config: Path,
    layout: Layout,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str,
    command: str,
    words: str,
) -> None:
    path = getattr(layout, name)
    before = path.read_bytes() if path.exists() else None
    path.write_text(text)
    try:
        assert main([command, "-c", str(config)]) == 2
    finally:
        path.unlink() if before is None else path.write_bytes(before)
    out, err = capsys.readouterr()
    assert out == ""
    (said,) = [line for line in err.splitlines() if "error:" in line]
    assert re.search(words, said), said
    assert "Traceback" not in err


@pytest.mark.parametrize("image", ["merged_counts", "combined_counts"])
def test_sources_saved_as_physical_on_an_image_of_ours(
    config: Path,
    layout: Layout,
    capsys: pytest.CaptureFixture[str],
    image: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    header = fits.getheader(getattr(layout, image))
    to_physical = WCS(header, key="P")
    # DS9 goes from the sky to the image, and with LTM and LTV, the inverse of the same map, to physical
    linear = np.array(
        [[header["LTM1_1"], header.get("LTM1_2", 0)], [header.get("LTM2_1", 0), header["LTM2_2"]]]
    )
    original = layout.sources_reg.read_bytes()
    lines, cut = ["physical"], f"-{OFF}"
    for shape in read_regions(layout.sources_reg).shapes:
        pixel = WCS(header).wcs_world2pix(*shape.points[0], 1)
        x, y = to_physical.wcs_pix2world(*pixel, 1)
        np.testing.assert_allclose(linear @ [x, y] + [header["LTV1"], header["LTV2"]], pixel, atol=1e-6)
        lines.append(f"circle({x},{y},{shape.sizes[0] / 0.492})")
    sources = read_regions(layout.sources_reg)
    events = [read_events(layout.filtered_events(obsid)) for obsid in ("4001", "4002")]
    expected = [contains_pixels(sources, e.wcs, e.x, e.y, {}).sum() for e in events]
    capsys.readouterr()
    # a cut that cuts nothing, beside one that does, is only told
    layout.sources_reg.write_text("\n".join([*lines, "-circle(4096.5,4096.5,0.01)", cut]))
    try:
        assert main(["remove-sources", "-c", str(config)]) == 0
    finally:
        layout.sources_reg.write_bytes(original)
    removed = [
        int(row.split()[-2]) for row in capsys.readouterr().out.splitlines() if row.strip()[:4].isdigit()
    ]
    assert len(removed) == 2
    assert min(removed) > 1000
    np.testing.assert_allclose(removed, expected, atol=4)
    assert "cut out nothing" in caplog.text
    assert "physical coordinates are sky pixels of ObsID 4001" in caplog.text


def test_every_image_has_physical_coordinates(config: Path, layout: Layout) -> None:
    images = [path for path in layout.cluster_dir.rglob("*") if path.suffix in (".img", ".expmap", ".psfmap")]
    images += [*layout.combined.glob("*.fits"), layout.surface_brightness, layout.mask_image("4001")]
    assert len(images) > 8
    for path in images:
        header = fits.getheader(path)
        assert header["WCSNAMEP"] == "PHYSICAL", path
        assert {"LTV1", "LTV2", "LTM1_1", "LTM2_2", "CTYPE1P", "CDELT2P"} <= set(header), path
