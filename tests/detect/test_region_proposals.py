"""Proposed regions are those that a person would draw, are read back, and never replace a drawn file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS
from regions import PixCoord, PolygonPixelRegion, Regions

from pyxt_hpc.chandra.regions.sky import contains, read_regions
from pyxt_hpc.chandra.regions.text import parse_regions
from pyxt_hpc.chandra.sky.fov import Polygons
from pyxt_hpc.chandra.sky.psf import psf_r90_arcsec
from pyxt_hpc.chandra.sky.skygrid import SkyGrid
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.chandra.sky.vignetting import off_axis_arcmin
from pyxt_hpc.detect.proposal_files import (
    crop_text,
    exclude_text,
    response_text,
    sources_text,
    write_proposals,
)
from pyxt_hpc.detect.region_proposals import (
    Chips,
    FieldImages,
    Proposal,
    SkyCircle,
    propose,
    response_circle,
    response_circles,
)
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.simulate.acis import geometry

SIDE, PIXEL_ARCSEC = 440, 1.968
CENTRE = (200.0, 240.0)
ANGLE, RATIO = np.radians(30.0), 0.6  # of the cluster, from +x to +y
SOURCES = [(120.0, 130.0, 400.0), (330.0, 300.0, 300.0)]
BACKGROUND = 0.3
SIZE = 25.0


def acis_i(roll_deg: float, ra: float = 150.0, dec: float = 20.0) -> Polygons:
    frame = geometry.sky_frame(ra, dec)
    return {
        ccd: [np.column_stack(frame.wcs_pix2world(*geometry.chip_outline(ccd, roll_deg).T, 1))]
        for ccd in geometry.CCDS
    }


def row_of_chips(n: int) -> Polygons:
    """Square chips of 8.3 arcmin side by side, 10 arcsec apart, along a slanted line."""
    plane = tangent_plane(150.0, -40.0, 1.0)
    square = 500.0 * np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + 1.0
    cosine, sine = np.cos(0.4), np.sin(0.4)
    turn = np.array([[cosine, sine], [-sine, cosine]])
    return {
        4 + k: [np.column_stack(plane.wcs_pix2world(*((square + np.array([510.0 * k, 0.0])) @ turn).T, 1))]
        for k in range(n)
    }


def images(gas: float = 1e5, *, background: bool = True, seed: int = 1) -> FieldImages:
    """A flattened cluster with this number of counts, two sources and a flat background."""
    rng = np.random.default_rng(seed)
    wcs = tangent_plane(150.0, 20.0, PIXEL_ARCSEC, crpix=(SIDE / 2, SIDE / 2))
    y, x = np.indices((SIDE, SIDE), dtype=float)
    seen = (np.maximum(abs(y - 219.5), abs(x - 219.5)) < 210) & (abs(y - 150) > 2)
    r90 = psf_r90_arcsec(np.hypot(y - 220, x - 220) * PIXEL_ARCSEC / 60.0) / PIXEL_ARCSEC
    shape = (1.0 + (_distance(y, x) / SIZE) ** 2) ** -1.8 * seen
    counts = rng.poisson(gas * shape / shape.sum() + BACKGROUND * seen)
    for row, col, number in SOURCES:
        place = np.round(rng.normal((row, col), r90[int(row), int(col)] / 2.15, (rng.poisson(number), 2)))
        np.add.at(counts, tuple(place.astype(int).T), 1)
    expected = BACKGROUND * seen if background else None
    return FieldImages(counts, 1e5 * seen, r90, wcs, PIXEL_ARCSEC, expected)


def _distance(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Distance from the cluster's centre along its ellipses."""
    y, x = y - CENTRE[0], x - CENTRE[1]
    along, across = np.cos(ANGLE) * x + np.sin(ANGLE) * y, np.cos(ANGLE) * y - np.sin(ANGLE) * x
    return np.hypot(along, across / RATIO)


@pytest.fixture(scope="module")
def field() -> FieldImages:
    return images()


@pytest.fixture(scope="module")
def proposal(field: FieldImages) -> Proposal:
    return propose(field)


def inside(text: str, wcs: WCS) -> np.ndarray:
    """Pixels of the image in the region of a file."""
    y, x = np.indices((SIDE, SIDE))
    ra, dec = wcs.wcs_pix2world(x.ravel(), y.ravel(), 0)
    return contains(parse_regions(text, Path("a.reg")), ra, dec, {}).reshape(SIDE, SIDE)


def test_sources_are_covered_and_little_else(field: FieldImages, proposal: Proposal) -> None:
    mask = inside(sources_text(proposal), field.wcs)
    assert len(proposal.sources) == 2
    for row, col, _ in SOURCES:
        assert mask[int(row), int(col)]
        reach = field.psf_r90_pixels[int(row), int(col)]
        y, x = np.indices(mask.shape)
        assert mask[np.hypot(y - row, x - col) < 1.2 * reach].all()
    assert mask.sum() < 0.01 * mask.size
    assert proposal.sources[0].text.endswith("sigma")
    assert "# text={" in sources_text(proposal)


def test_core_has_the_shape_of_the_cluster_and_most_of_its_counts(
    field: FieldImages, proposal: Proposal
) -> None:
    core = proposal.core
    assert core.semi_minor / core.semi_major == pytest.approx(RATIO, abs=0.12)
    assert core.angle == pytest.approx(30.0, abs=6.0)
    mask = inside(exclude_text(proposal), field.wcs)
    y, x = np.indices(mask.shape)
    assert (y[mask].mean(), x[mask].mean()) == pytest.approx(CENTRE, abs=3.0)
    shape = (1.0 + (_distance(y, x) / SIZE) ** 2) ** -1.8
    assert 0.6 < shape[mask].sum() / shape.sum() < 0.9
    # by the file's convention of angles: the ends of the long axis are inside, those across it are not
    end = 0.9 * core.semi_major / PIXEL_ARCSEC * np.array([np.sin(ANGLE), np.cos(ANGLE)])
    (row, col), (away_row, away_col) = (
        np.round(CENTRE + end).astype(int),
        np.round(CENTRE + end[::-1] * [1, -1]).astype(int),
    )
    assert mask[row, col]
    assert not mask[away_row, away_col]


@pytest.mark.parametrize("background", [True, False])
def test_crop_holds_the_visible_emission_within_the_field(background: bool) -> None:
    field = images(background=background)
    proposal = propose(field)
    text = crop_text(proposal)
    (drawn,) = Regions.parse(text, format="ds9")  # with its coordinate system, which other programs need
    assert drawn.center.frame.name == "fk5"
    mask = inside(text, field.wcs)
    y, x = np.indices(mask.shape)
    bright = 1e5 * (1.0 + (_distance(y, x) / SIZE) ** 2) ** -1.8
    bright /= ((1.0 + (_distance(y, x) / SIZE) ** 2) ** -1.8 * (field.exposure > 0)).sum()
    assert mask[(bright > BACKGROUND) & (field.exposure > 0)].mean() > 0.99
    assert mask.mean() < 0.6
    rows, cols = np.nonzero(field.exposure)
    assert not mask[: rows.min() - 1].any()
    assert not mask[:, cols.max() + 2 :].any()
    grid = SkyGrid.around(parse_regions(text, Path("crop.reg")), {})
    assert grid.shape == pytest.approx(
        (np.ptp(np.nonzero(mask)[0]) + 1, np.ptp(np.nonzero(mask)[1]) + 1), abs=2
    )


def test_faint_emission_has_a_box_too():
    field = images(4e3, seed=3)
    mask = inside(crop_text(propose(field)), field.wcs)
    assert mask[int(CENTRE[0]), int(CENTRE[1])]
    assert 0.02 < mask.mean() < 0.5


def test_emission_in_the_corner_of_the_image_is_found() -> None:
    rng = np.random.default_rng(5)
    y, x = np.indices((SIDE, SIDE), dtype=float)
    shape = (1.0 + (np.hypot(y, x) / SIZE) ** 2) ** -1.8
    counts = rng.poisson(1e5 * shape / shape.sum() + BACKGROUND)
    wcs = tangent_plane(150.0, 20.0, PIXEL_ARCSEC, crpix=(SIDE / 2, SIDE / 2))
    everywhere = np.ones((SIDE, SIDE))
    mask = inside(
        crop_text(propose(FieldImages(counts, 1e4 * everywhere, everywhere, wcs, PIXEL_ARCSEC))), wcs
    )
    assert mask[0, 0]
    assert 0.005 < mask.mean() < 0.5


@pytest.mark.parametrize("background", [True, False])
def test_without_extended_emission_nothing_is_proposed(background: bool) -> None:
    with pytest.raises(EmptySelection, match=r"no extended emission.*draw the crop box"):
        propose(images(0.0, background=background, seed=4))


def test_without_exposure_nothing_is_proposed(field: FieldImages) -> None:
    with pytest.raises(EmptySelection, match="exposure map is 0"):
        propose(replace(field, exposure=np.zeros((SIDE, SIDE))))


@pytest.mark.parametrize(("ra", "dec"), [(150.0, 20.0), (0.01, -1.0), (359.99, -80.0)])
@pytest.mark.parametrize("roll", [0.0, 25.0, 160.0])
def test_response_circle_holds_a_piece_of_every_chip(roll: float, ra: float, dec: float) -> None:
    chips = acis_i(roll, ra, dec)
    circle = response_circle(Chips(chips, (ra, dec)))
    assert circle.radius < 45.0
    assert (chip_areas(chips, circle) > 300.0).all()  # arcsec^2


def on_row(x: float, y: float) -> tuple[float, float]:
    """RA, Dec of a position [arcsec] from the first chip's corner, along `row_of_chips` and across it."""
    cosine, sine = np.cos(0.4), np.sin(0.4)
    turned = np.array([x, y]) @ np.array([[cosine, sine], [-sine, cosine]])
    ra, dec = tangent_plane(150.0, -40.0, 1.0).wcs_pix2world(*(turned + 1.0), 1)
    return float(ra), float(dec)


@pytest.mark.parametrize(
    ("axis", "expected", "ccd"),
    [
        ((700.0, 250.0), (700.0, 250.0), 5),  # on a chip: there
        ((540.0, 250.0), (570.0, 250.0), 5),  # at its edge: as near as the whole circle allows
        ((-90.0, 30.0), (60.0, 60.0), 4),  # on none: on the nearest chip
    ],
)
def test_chips_in_a_row_have_one_circle_near_the_axis(
    axis: tuple[float, float], expected: tuple[float, float], ccd: int
) -> None:
    chips = row_of_chips(3)
    circle = response_circle(Chips(chips, on_row(*axis)))
    assert chip_areas(chips, circle) == pytest.approx(np.pi * 40.0**2 * np.eye(3)[ccd - 4], rel=0.02, abs=1.0)
    assert circle.text == f"CCD {ccd}"
    assert 60.0 * off_axis_arcmin(circle.ra, circle.dec, *on_row(*expected)) < 6.0


def test_neighbours_share_a_circle_and_a_lonely_chip_has_its_own() -> None:
    axis = on_row(250.0, 250.0)
    assert response_circle(Chips(row_of_chips(2), axis)).radius < 45.0
    alone = response_circle(Chips(row_of_chips(1), axis))
    assert chip_areas(row_of_chips(1), alone) == pytest.approx([np.pi * 40.0**2], rel=0.02)


def test_a_subarray_has_a_smaller_circle() -> None:
    corners = [on_row(x, y) for x, y in ((0, 0), (500, 0), (500, 60), (0, 60))]
    circle = response_circle(Chips({7: [np.array(corners)]}, on_row(250.0, 250.0)))
    assert 15.0 < circle.radius < 30.0
    assert 60.0 * off_axis_arcmin(circle.ra, circle.dec, *on_row(250.0, 30.0)) < 6.0


@pytest.mark.parametrize("n", [2, 3, 4, 6, 9, 16])
@pytest.mark.parametrize("chips", [acis_i(35.0), row_of_chips(1), row_of_chips(3)], ids=["2x2", "1", "3x1"])
def test_places_are_spread_evenly(chips: Polygons, n: int) -> None:
    """Each circle lies on one chip, near the middle of its part; all parts have similar sizes."""
    corners = np.concatenate([pieces[0] for pieces in chips.values()])
    axis = tuple(corners[0])
    circles = response_circles(Chips(chips, axis), n)
    assert circles == response_circles(Chips(chips, axis), n)
    assert len(circles) == n
    areas = np.array([chip_areas(chips, circle) for circle in circles])
    np.testing.assert_allclose(areas.max(axis=1), np.pi * 40.0**2, rtol=0.02)
    np.testing.assert_allclose(areas.sum(axis=1), np.pi * 40.0**2, rtol=0.02)
    from_axis = [off_axis_arcmin(c.ra, c.dec, *axis) for c in circles]
    assert from_axis[0] < 1.5 * min(from_axis)
    # an independent lattice of points
    plane = tangent_plane(*corners.mean(axis=0), 1.0)
    y, x = np.mgrid[-1500:1500:10.0, -1500:1500:10.0]
    on = [PolygonPixelRegion(PixCoord(*plane.wcs_world2pix(*p[0].T, 1))).contains(PixCoord(x, y))
          for p in chips.values()]  # fmt: skip
    on_chips = np.any(on, axis=0)
    x, y = x[on_chips], y[on_chips]
    middles = [plane.wcs_world2pix(c.ra, c.dec, 1) for c in circles]
    away = np.array([np.hypot(x - mx, y - my) for mx, my in middles])
    share = np.bincount(away.argmin(axis=0), minlength=n) / x.size * n
    assert share.min() > 0.5
    assert share.max() < 1.6
    # of n discs as large as the chips together, the mean distance from the middle is 2/3 of the radius
    radius = np.sqrt(100.0 * x.size / n / np.pi)
    assert away.min(axis=0).mean() < 1.5 * 2 / 3 * radius


def test_four_places_are_the_middles_of_four_chips() -> None:
    chips = acis_i(35.0)
    middles = np.array([pieces[0].mean(axis=0) for pieces in chips.values()])
    circles = response_circles(Chips(chips, tuple(middles[0])), 4)
    assert circles[0].text == f"CCD {next(iter(chips))}"
    assert {circle.text for circle in circles} == {f"CCD {ccd}" for ccd in chips}
    for circle in circles:
        assert 60.0 * off_axis_arcmin(middles[:, 0], middles[:, 1], circle.ra, circle.dec).min() < 10.0


def chip_areas(chips: Polygons, circle: SkyCircle) -> np.ndarray:
    """Area of the circle on each chip [arcsec^2]."""
    plane = tangent_plane(circle.ra, circle.dec, 1.0)
    y, x = np.mgrid[-60:61, -60:61] + 1.0
    within = np.hypot(y - 1.0, x - 1.0) <= circle.radius
    outlines = [PixCoord(*plane.wcs_world2pix(*polygons[0].T, 1)) for polygons in chips.values()]
    on_chip = [PolygonPixelRegion(outline).contains(PixCoord(x, y)) for outline in outlines]
    return np.array([(on & within).sum() for on in on_chip])


def test_files_are_read_back(tmp_path: Path, proposal: Proposal) -> None:
    (one_chip,) = response_circles(Chips(acis_i(20.0), (150.0, 20.0)), 1)
    row = Chips(row_of_chips(3), (150.0, -40.0))
    texts = {
        tmp_path / "sources.reg": sources_text(proposal),
        tmp_path / "exclude.reg": exclude_text(proposal),
        tmp_path / "1" / "acisI_region_0.reg": response_text(one_chip),
        tmp_path / "2" / "acisI_region_0.reg": response_text(response_circle(row)),
        tmp_path / "combined" / "crop.reg": crop_text(proposal),
    }
    assert write_proposals(texts) == list(texts)
    shapes = [read_regions(path).shapes for path in texts]
    assert [[s.kind for s in found] for found in shapes] == [
        ["circle"] * 2, ["ellipse"], ["circle"], ["circle"], ["box"]
    ]  # fmt: skip
    for shape, source in zip(shapes[0], proposal.sources, strict=True):
        assert shape.points[0] == pytest.approx(
            (source.ra, source.dec), abs=2e-5
        )  # fk5 and icrs differ by 0.02"
        assert shape.sizes == pytest.approx([source.radius], abs=1e-3)
    assert shapes[4][0].sizes == pytest.approx([proposal.crop.width, proposal.crop.height], abs=1e-3)


def test_a_field_without_sources_gives_a_valid_file(proposal: Proposal) -> None:
    assert parse_regions(sources_text(replace(proposal, sources=())), Path("a.reg")).is_empty


def test_a_person_wins(tmp_path: Path, proposal: Proposal) -> None:
    drawn, proposed, changed = (tmp_path / f"{name}.reg" for name in ("drawn", "proposed", "changed"))
    drawn.write_text('fk5\ncircle(10:00:00,+20:00:00,5")\n')
    binary = tmp_path / "binary.reg"
    binary.write_bytes(b"\xff\xfe\x00")
    write_proposals({proposed: sources_text(proposal), changed: sources_text(proposal)})
    changed.write_text(changed.read_text().replace("circle(", "circle( ", 1))
    before = {path: path.read_bytes() for path in (drawn, binary, changed, proposed)}
    new = {path: crop_text(proposal) for path in before}

    assert write_proposals(new) == [proposed]
    assert proposed.read_text() == crop_text(proposal)
    assert all(path.read_bytes() == before[path] for path in (drawn, binary, changed))
