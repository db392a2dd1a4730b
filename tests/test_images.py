"""An image written on the bundle's grid is read back only with that bundle."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.images import read_image, write_image


@pytest.fixture
def header() -> str:
    """Sky coordinates of a small grid."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [150.0, 20.0], [3.0, 2.0], [-5e-4, 5e-4]
    return wcs.to_header_string()


def read(path: Path, bundle: str = "f" * 64, shape: tuple[int, int] = (4, 6), sn: float = 40) -> np.ndarray:
    """Read an image like stage 6."""
    return read_image(
        path,
        made_by="pyxt-hpc create-bins",
        bundle_fingerprint=bundle,
        shape=shape,
        settings={"SNTARGET": sn},
    )


def test_image_comes_back_with_its_unit_and_place_on_the_sky(tmp_path: Path, header: str) -> None:
    path = tmp_path / "new" / "a.fits"
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    write_image(
        path,
        values,
        header,
        unit="keV",
        comment="kT",
        bundle_fingerprint="f" * 64,
        settings={"SNTARGET": 40.0},
        history=["a"],
    )
    found = read(path)
    np.testing.assert_array_equal(found, values)
    assert found.dtype.isnative
    written = fits.getheader(path)
    assert (written["BUNIT"], str(written["HISTORY"])) == ("keV", "a")
    np.testing.assert_allclose(WCS(written).wcs_pix2world([[3, 2]], 1), [[150.0, 20.0]])


def test_image_of_another_bundle_or_none_is_refused(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.fits"
    with pytest.raises(MissingInput, match="create-bins"):
        read(path)
    path.write_text("not FITS")
    with pytest.raises(DamagedFile, match="create-bins"):
        read(path)
    write_image(
        path,
        np.zeros((4, 6)),
        header,
        unit="",
        comment="",
        bundle_fingerprint="f" * 64,
        settings={"SNTARGET": 40.0},
    )
    for bundle, shape in (("e" * 64, (4, 6)), ("f" * 64, (6, 4))):
        with pytest.raises(ForeignProduct, match="create-bins"):
            read(path, bundle, shape)
    with pytest.raises(ForeignProduct, match=r"SNTARGET = 40, but it is 50 now"):
        read(path, sn=50)


def test_letters_beyond_ascii_are_in_escapes(tmp_path: Path, header: str) -> None:
    write_image(
        tmp_path / "a.fits",
        np.ones((4, 6)),
        header,
        unit="keV",
        comment="caf\xe9\n",
        bundle_fingerprint="f" * 64,
        settings={"BINS": "\xe9.reg", "MASK": ("\u4e00", "\xfc")},
        history=["configuration \xe9 \xfc.ini"],
    )
    found = fits.getheader(tmp_path / "a.fits")
    assert list(found["HISTORY"]) == [r"configuration \xe9 \xfc.ini"]
    assert (found["MASK"], found.comments["MASK"]) == (r"\u4e00", r"\xfc")

    def again(bins: str) -> np.ndarray:
        return read_image(
            tmp_path / "a.fits",
            made_by="it",
            bundle_fingerprint="f" * 64,
            shape=(4, 6),
            settings={"BINS": bins},
        )

    assert again("\xe9.reg").shape == (4, 6)
    with pytest.raises(ForeignProduct, match="BINS"):
        again("\xfc.reg")
