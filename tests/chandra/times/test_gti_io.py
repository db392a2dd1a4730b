"""Intervals and light curves are read as they were written; invalid files are refused."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.times.gti_io import read_gti, write_gti, write_light_curve
from pyxt_hpc.chandra.times.lightcurve import LightCurve
from pyxt_hpc.errors import DamagedFile, MissingInput

GTI = np.array([[365e6 + 0.123456, 365e6 + 1000.5], [365e6 + 2000.0, 365e6 + 2500.25]])


@pytest.fixture
def header() -> fits.Header:
    """Header of a table of events."""
    made = fits.Header()
    made["TELESCOP"], made["OBS_ID"], made["TIMESYS"] = "CHANDRA", "4001", "TT"
    made["MJDREF"], made["TIMEZERO"], made["DTCOR"] = 50814.0, 0.0, 0.98
    made["TSTART"], made["TTYPE1"] = 365e6, "energy"
    return made


def table(start: object, stop: object, name: str = "GTI", **keywords: object) -> fits.BinTableHDU:
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(name=n, format="D", array=np.asarray(v)) for n, v in (("START", start), ("STOP", stop))],
        name=name,
    )
    hdu.header.update(keywords)
    return hdu


def save(path: Path, *tables: fits.BinTableHDU) -> Path:
    fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(path)
    return path


def test_intervals_come_back_to_the_last_bit(tmp_path: Path, header: fits.Header) -> None:
    write_gti(tmp_path / "a.gti", GTI, header)
    np.testing.assert_array_equal(read_gti(tmp_path / "a.gti"), GTI)
    with fits.open(tmp_path / "a.gti") as hdus:
        written = hdus["GTI"].header
        assert [c.name for c in hdus["GTI"].columns] == ["START", "STOP"]
    assert (written["HDUCLASS"], written["HDUCLAS1"], written["MJDREF"]) == ("OGIP", "GTI", 50814.0)
    assert (written["OBS_ID"], written["TSTART"], written["TTYPE1"]) == ("4001", 365e6, "START")
    assert written["TUNIT1"] == "s"


def test_it_is_a_filter_file_as_ciao_writes_them(tmp_path: Path, header: fits.Header) -> None:
    # the blocks and keywords of _write_gti_text in the module lightcurves of ciao-contrib, 5 April 2023
    write_gti(tmp_path / "a.gti", GTI, header)
    with fits.open(tmp_path / "a.gti") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "FILTER", "GTI"]
        assert [c.name for c in hdus["FILTER"].columns] == ["TIME"]
        assert len(hdus["FILTER"].data) == 0
        for name in ("FILTER", "GTI"):
            of_block = hdus[name].header
            assert (of_block["HDUNAME"], of_block["HDUCLAS1"], of_block["CONTENT"]) == (name, name, "GTI")
            assert [of_block[f"DS{kind}1"] for kind in ("TYP", "VAL", "FORM", "UNIT", "REF")] == [
                "TIME", "TABLE", "D", "s", ":GTI",
            ]  # fmt: skip
            assert not [key for key in of_block if key.startswith(("MTYPE", "MFORM"))]
        assert (hdus["FILTER"].header["HDUCLASS"], hdus["GTI"].header["HDUCLASS"]) == ("ASC", "OGIP")


def test_foreign_intervals_are_put_in_order(tmp_path: Path) -> None:
    path = save(tmp_path / "a.fits", table([50.0, 0.0, 8.0], [60.0, 10.0, 20.0], "STDGTI"))
    np.testing.assert_array_equal(read_gti(path), [[0, 20], [50, 60]])


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ([table([], [])], "has no interval"),
        ([table([0.0, 9.0], [5.0, 8.0])], r"interval 2 ends before it begins \(START 9.000, STOP 8.000\)"),
        ([table([0.0], [np.nan])], "values that are not times"),
        ([table([4.0], [4.0])], "all intervals are empty"),
        ([table([0.0], [1.0], MJDREFI=51910, MJDREFF=7.4287e-4)], "from MJD 51910, expected 50814"),
        ([table([0.0], [1.0], "GTI7"), table([0.0], [1.0], "GTI6")], "2 tables with START, STOP"),
        ([], r"no table with the columns START, STOP \(tables: none\)"),
        ([fits.BinTableHDU.from_columns([fits.Column(name="START", format="D", array=[1.0])])], "no table w"),
        ([fits.BinTableHDU.from_columns(
            [fits.Column(name="START", format="2D", array=[[1.0, 2]]),
             fits.Column(name="STOP", format="2D", array=[[1.0, 2]])])], "one number per row"),
    ],
)  # fmt: skip
def test_useless_interval_files_are_refused(tables: list, message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.fits", *tables)
    with pytest.raises(DamagedFile, match=f"a.fits: .*{message}"):
        read_gti(path)


def test_files_that_are_not_fits_or_not_there(tmp_path: Path, header: fits.Header) -> None:
    (tmp_path / "a.txt").write_text("0 1000\n")
    write_gti(tmp_path / "b.fits", GTI, header)
    (tmp_path / "b.fits").write_bytes((tmp_path / "b.fits").read_bytes()[:6000])
    for name in ("a.txt", "b.fits"):
        with pytest.raises(DamagedFile, match=name):
            read_gti(tmp_path / name)
    with pytest.raises(MissingInput):
        read_gti(tmp_path / "none.fits")


@pytest.fixture
def curve() -> LightCurve:
    """Three bins: one without live time, one with half of it."""
    edges = 365e6 + 259.28 * np.arange(4)
    return LightCurve(edges, np.array([100, 0, 49]), np.array([259.28, 0.0, 129.64]))


def test_light_curve_is_all_there(tmp_path: Path, header: fits.Header, curve: LightCurve) -> None:
    write_light_curve(tmp_path / "a.lc", curve, header)
    data, written = fits.getdata(tmp_path / "a.lc"), fits.getheader(tmp_path / "a.lc", 1)
    np.testing.assert_array_equal(data["TIME_MIN"], curve.edges[:-1])
    np.testing.assert_array_equal(data["TIME_MAX"], curve.edges[1:])
    np.testing.assert_array_equal(data["COUNTS"], curve.counts)
    np.testing.assert_allclose(data["EXPOSURE"] / written["DTCOR"], curve.live_s, rtol=1e-12)


def test_light_curve_has_the_columns_of_dmextract(
    tmp_path: Path, header: fits.Header, curve: LightCurve
) -> None:
    write_light_curve(tmp_path / "a.lc", curve, header)
    with fits.open(tmp_path / "a.lc") as hdus:
        data, written = hdus["LIGHTCURVE"].data, hdus["LIGHTCURVE"].header
        assert written["HDUCLAS1"] == "LIGHTCURVE"
        assert written["OBS_ID"] == "4001"
        np.testing.assert_array_equal(data["TIME_BIN"], [1, 2, 3])
        np.testing.assert_allclose(data["TIME"] - data["TIME_MIN"], 129.64, atol=1e-6)
        np.testing.assert_allclose(data["STAT_ERR"], [10, 0, 7])
        np.testing.assert_allclose(data["EXPOSURE"], [254.0944, 0, 127.0472])
        np.testing.assert_allclose(data["COUNT_RATE"], [100 / 254.0944, 0, 49 / 127.0472])
        np.testing.assert_allclose(data["COUNT_RATE_ERR"], [10 / 254.0944, 0, 7 / 127.0472])
