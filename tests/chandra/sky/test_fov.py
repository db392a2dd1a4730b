from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.chandra.sky.fov import check_outlines, read_fov, write_fov
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import DamagedFile, MissingInput

HEADER = fits.Header({"TELESCOP": "CHANDRA", "INSTRUME": "ACIS"})


def frame() -> WCS:
    return tangent_plane(150.0, 30.0, crpix=(4096.5, 4096.5))


def two_chips() -> dict[int, list[np.ndarray]]:
    """Two chips of 100 x 60 sky pixels with the common edge x = 4100; one outer corner is cut off."""
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
