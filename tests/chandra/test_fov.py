from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.fov import check_outlines, chip_mask, read_fov, write_fov
from pyxt_hpc.chandra.regionfile import parse_regions
from pyxt_hpc.chandra.skygrid import SkyGrid
from pyxt_hpc.chandra.tangent import tangent_plane
from pyxt_hpc.errors import DamagedFile, MissingInput

HEADER = fits.Header({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS"})


def frame() -> WCS:
    wcs = tangent_plane(150.0, 30.0)
    wcs.wcs.crpix = [4096.5, 4096.5]
    wcs.wcs.set()
    return wcs


def two_chips() -> dict[int, list[np.ndarray]]:
    """Two chips of 100 x 60 sky pixels that share the edge x = 4100, and one far corner cut off."""
    left = [(4000, 4050), (4100, 4050), (4100, 4110), (4000, 4110)]
    right = [(4100, 4050), (4200, 4050), (4200, 4100), (4190, 4110), (4100, 4110)]
    return {
        ccd: [np.column_stack(frame().all_pix2world(*np.array(c, float).T, 1))]
        for ccd, c in ((0, left), (1, right))
    }


def test_round_trip_drops_padding(tmp_path: Path) -> None:
    chips = two_chips()
    write_fov(tmp_path / "a_fov1.fits", chips, frame(), HEADER)
    back = read_fov(tmp_path / "a_fov1.fits")
    assert back.keys() == {0, 1}
    assert [len(back[ccd][0]) for ccd in (0, 1)] == [4, 5]
    for ccd in (0, 1):
        np.testing.assert_allclose(back[ccd][0], chips[ccd][0], atol=1e-9)


def test_corners_padded_by_repeating(tmp_path: Path) -> None:
    write_fov(tmp_path / "a.fits", two_chips(), frame(), HEADER)
    with fits.open(tmp_path / "a.fits") as hdus:
        for name in "XY":
            values = hdus["FOV"].data[name]
            values[0, 4] = values[0, 0]
        hdus.writeto(tmp_path / "b.fits")
    assert len(read_fov(tmp_path / "b.fits")[0][0]) == 4


def test_live_pixels_lie_wholly_on_one_chip() -> None:
    # pixels of 4 sky pixels whose edges fall on 4000, 4004, ...: the chips' own edges in y are inside a pixel
    ra, dec = frame().all_pix2world(4100.0, 4080.0, 1)
    grid = SkyGrid.around(parse_regions(f'icrs\nbox({ra},{dec},{60 * 1.968}",{20 * 1.968}")', Path("c")), {})
    assert grid.shape == (20, 60)
    live = chip_mask(two_chips(), (0, 1), grid)
    # y from 4040 to 4120: rows 0-2 reach below 4050 (4048 + 4), rows from 17 (4108) above 4110
    expected = np.zeros((20, 60), bool)
    expected[3:17, 5:55] = True
    edge = np.abs(grid.centres()[0] - ra) * np.cos(np.radians(dec)) * 3600 / 1.968 < 0.6
    np.testing.assert_array_equal((live | edge)[:, 6:50], (expected | edge)[:, 6:50])
    assert not live[:3].any()
    assert not live[17:].any()
    assert not live[:, :5].any()
    assert not live[:, 55:].any()
    assert not live[16, 53:].any()  # the corner cut off
    only_left = chip_mask(two_chips(), (0,), grid)
    assert not only_left[:, 30:].any()
    np.testing.assert_array_equal(only_left[:, 6:29], live[:, 6:29])
    assert not chip_mask(two_chips(), (7,), grid).any()


def test_a_pixel_across_two_chips_is_dead() -> None:
    ra, dec = frame().all_pix2world(4102.0, 4080.0, 1)  # the shared edge runs through the middle of a pixel
    grid = SkyGrid.around(parse_regions(f'icrs\nbox({ra},{dec},{20 * 1.968}",{4 * 1.968}")', Path("c")), {})
    live = chip_mask(two_chips(), (0, 1), grid)
    np.testing.assert_array_equal(live, np.tile(np.arange(20) != 9, (4, 1)))


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="skyfov"):
        read_fov(tmp_path / "none.fits")
    path = tmp_path / "a.fits"
    write_fov(path, two_chips(), frame(), HEADER)
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(DamagedFile, match=r"a\.fits"):
        read_fov(path)
    table = fits.BinTableHDU.from_columns([fits.Column("A", "1J", array=[1])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "b.fits")
    with pytest.raises(DamagedFile, match="no table of chip outlines"):
        read_fov(tmp_path / "b.fits")


def shifted(chips: dict[int, list[np.ndarray]], x: float, y: float) -> dict[int, list[np.ndarray]]:
    result = {}
    for ccd, (outline,) in chips.items():
        pixels = np.column_stack(frame().wcs_world2pix(*outline.T, 1)) + np.array([x, y])
        result[ccd] = [np.column_stack(frame().wcs_pix2world(*pixels.T, 1))]
    return result


def test_outlines_of_another_pointing_are_refused() -> None:
    chips, path = two_chips(), Path("a_fov1.fits")
    for x, y in ((0, 0), (60, 0), (-40, 40), (0, -60)):  # 60 sky pixels are 29.5 arcsec
        check_outlines(chips, shifted(chips, x, y), path)
    for x, y in ((65, 0), (-50, 50), (0, 5000)):
        with pytest.raises(DamagedFile, match=r"a_fov1\.fits: CCD 0 is .* of another pointing"):
            check_outlines(chips, shifted(chips, x, y), path)
    only_left = {0: chips[0]}
    check_outlines(only_left, chips, path)
    with pytest.raises(DamagedFile, match=r"no outline of CCD 1 \(found 0\)"):
        check_outlines(chips, only_left, path)
    elsewhere = {ccd: [outline + np.array([180.0, -60.0])] for ccd, (outline,) in chips.items()}
    with pytest.raises(DamagedFile, match="another pointing"):
        check_outlines(chips, elsewhere, path)


def test_outlines_that_have_the_dither_in_them_are_fine() -> None:
    chips = two_chips()
    grown = {}
    for ccd, (outline,) in chips.items():
        middle = outline.mean(axis=0)
        grown[ccd] = [middle + 1.5 * (outline - middle)]
    check_outlines(chips, grown, Path("a"))
