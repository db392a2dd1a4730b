"""wavdetect's list becomes circles of the sky, without the cluster's core."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.detect.region_proposals import SkyCircle, SkyEllipse
from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.preprocess.inputs.wavdetect_sources import outside_core, read_sources

CORE = SkyEllipse(ra=150.0, dec=30.0, semi_major=60.0, semi_minor=20.0, angle=30.0)


def write_list(path: Path, **columns: np.ndarray) -> Path:
    values = {
        "RA": [150.1, 150.2],
        "DEC": [30.1, 30.2],
        "NET_COUNTS": [40.0, 7.0],
        "SRC_SIGNIFICANCE": [9.0, 3.1],
    }
    made = [fits.Column(name, "1D", array=v) for name, v in values.items()]
    made.append(fits.Column("R", "2D", array=columns.get("r", [[4.0, 8.0], [6.0, 5.0]])))
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made, name="SRCLIST")]).writeto(path)
    return path


def test_circles_hold_the_ellipses(tmp_path: Path) -> None:
    first, second = read_sources(write_list(tmp_path / "src.fits"))
    assert (first.ra, first.dec, second.ra, second.dec) == (150.1, 30.1, 150.2, 30.2)
    assert (first.radius, second.radius) == pytest.approx((8 * 0.492, 6 * 0.492))
    assert first.text == "40 counts, 9.0 sigma, wavdetect"


def test_a_list_without_sources(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "1D") for name in ("RA", "DEC", "NET_COUNTS", "SRC_SIGNIFICANCE")]
        + [fits.Column("R", "2D")],
    )
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "src.fits")
    assert read_sources(tmp_path / "src.fits") == ()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("RA", "1D", array=[1.0])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "src.fits")
    with pytest.raises(
        DamagedFile, match="no column DEC, R, NET_COUNTS, SRC_SIGNIFICANCE: not a list of wavdetect"
    ):
        read_sources(tmp_path / "src.fits")


def at(along: float, across: float, radius: float = 3.0) -> SkyCircle:
    """A source so many arcsec from the core along and across its major axis, 30 degrees from west."""
    turn = np.radians(CORE.angle)
    west = along * np.cos(turn) - across * np.sin(turn)
    north = along * np.sin(turn) + across * np.cos(turn)
    ra = CORE.ra - west / 3600.0 / np.cos(np.radians(CORE.dec))
    return SkyCircle(ra, CORE.dec + north / 3600.0, radius)


def test_the_core_is_taken_off_the_list() -> None:
    inside = [at(0, 0), at(59, 0), at(-40, 13), at(0, 19)]
    outside = [at(61, 0), at(0, 21), at(0, -21), at(-70, 5)]
    about = [at(100, 0, radius=101.0)]  # the cluster, seen as one large source beside its peak
    assert outside_core([*inside, *outside, *about], CORE) == tuple(outside)
