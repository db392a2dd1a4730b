import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.events import EventList, read_events, sky_wcs, write_events
from pyxt_hpc.chandra.sky.tangent import tangent_plane
from pyxt_hpc.errors import DamagedFile, MissingInput


def small_list(n: int = 500, **changes: object) -> EventList:
    rng = np.random.default_rng(7)
    wcs = tangent_plane(150.0, 30.0, crpix=(4096.5, 4096.5))
    header = fits.Header()
    header["TELESCOP"], header["INSTRUME"], header["DETNAM"] = "CHANDRA", "ACIS", "ACIS-0123"
    header["EXPOSURE"], header["RA_PNT"] = 9800.0, 150.01
    header["TTYPE1"] = "foreign"
    energy = rng.uniform(300, 12000, n).astype(np.float32)
    return replace(
        EventList(
            path=Path("x.fits"),
            header=header,
            wcs=wcs,
            x=rng.uniform(3000, 5000, n),
            y=rng.uniform(3000, 5000, n),
            energy_eV=energy,
            pi=np.minimum(energy // 14.6 + 1, 1024).astype(np.int16),
            ccd_id=rng.integers(0, 4, n).astype(np.int8),
            time=np.sort(rng.uniform(1e8, 1e8 + 1e4, n)),
            grade=rng.integers(0, 8, n).astype(np.int16),
            status=(rng.random(n) < 0.1).astype(np.uint32) << np.uint32(27),
            gti={ccd: np.array([[1e8, 1e8 + 5000.0 + ccd], [1e8 + 6000, 1e8 + 1e4]]) for ccd in range(4)},
        ),
        **changes,
    )


@pytest.mark.parametrize("name", ["acisf00001N003_evt2.fits", "acisf00001N003_evt2.fits.gz"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    chip = np.arange(500, dtype=np.int16) + 1
    extra = {"expno": 7 * np.arange(500, dtype=np.int32)}
    events = small_list(chipx=chip, chipy=chip[::-1], extra=extra)
    write_events(tmp_path / name, events)
    back = read_events(tmp_path / name)
    for column in ("energy_eV", "pi", "ccd_id", "time", "grade", "status", "chipx", "chipy"):
        np.testing.assert_array_equal(getattr(back, column), getattr(events, column))
        assert getattr(back, column).dtype == getattr(events, column).dtype
    np.testing.assert_allclose(back.x, events.x, rtol=1e-7)  # E columns
    with fits.open(tmp_path / name) as hdus:
        np.testing.assert_array_equal(hdus["EVENTS"].data["expno"], extra["expno"])
        # bit 0 of 32X is the leftmost, and status bit 31
        np.testing.assert_array_equal(hdus["EVENTS"].data["status"][:, 4], events.status == 1 << 27)
    assert back.header["EXPOSURE"] == 9800.0
    assert back.gti.keys() == events.gti.keys()
    for ccd in range(4):
        np.testing.assert_array_equal(back.gti[ccd], events.gti[ccd])
    ra, dec = back.wcs.all_pix2world(4096.5, 5096.5, 1)
    assert float(ra) == pytest.approx(150.0)
    assert float(dec) == pytest.approx(30 + 1000 * 0.492 / 3600, abs=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_selection_keeps_columns_together() -> None:
    events = small_list()
    chosen = events.select(events.ccd_id == 2)
    assert set(chosen.ccd_id) == {2}
    np.testing.assert_array_equal(chosen.time, events.time[events.ccd_id == 2])
    assert len(chosen) == (events.ccd_id == 2).sum()


def test_empty_list(tmp_path: Path) -> None:
    events = small_list()
    write_events(tmp_path / "a.fits", events.select(np.zeros(len(events), bool)))
    back = read_events(tmp_path / "a.fits")
    assert len(back) == 0
    assert back.status is not None


def test_gzip_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    write_events(tmp_path / "a.fits", small_list())
    content = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "plain.fits.gz").write_bytes(content)
    (tmp_path / "packed.fits").write_bytes(gzip.compress(content))
    for name in ("plain.fits.gz", "packed.fits"):
        assert len(read_events(tmp_path / name)) == 500


def test_blank_sky_file_without_time_and_in_upper_case(tmp_path: Path) -> None:
    write_events(tmp_path / "a.fits", small_list(time=None, gti={}, status=None))
    with fits.open(tmp_path / "a.fits") as hdus:
        for key, name in list(hdus["EVENTS"].header["TTYPE*"].items()):
            hdus["EVENTS"].header[key] = name.upper()
        hdus.writeto(tmp_path / "b.fits")
    back = read_events(tmp_path / "b.fits")
    assert back.time is None
    assert back.status is None
    assert back.chipx is None
    assert back.chipy is None
    assert back.gti == {}
    assert len(back) == 500


def renamed_blocks(source: Path, target: Path, edit: Callable[[fits.HDUList], None]) -> Path:
    with fits.open(source) as hdus:
        edit(hdus)
        hdus.writeto(target)
    return target


def test_gti_is_found_by_subspace_then_by_name(tmp_path: Path) -> None:
    write_events(tmp_path / "a.fits", small_list())

    def swap(hdus: fits.HDUList) -> None:  # the subspace decides, not the number in the block's name
        header = hdus["EVENTS"].header
        header["DSREF2"], header["2DSREF2"] = header["2DSREF2"], header["DSREF2"]

    swapped = read_events(renamed_blocks(tmp_path / "a.fits", tmp_path / "b.fits", swap))
    assert swapped.gti[0][0, 1] == 1e8 + 5001
    assert swapped.gti[1][0, 1] == 1e8 + 5000

    def forget(hdus: fits.HDUList) -> None:
        del hdus["EVENTS"].header["DS*"]
        del hdus["EVENTS"].header["?DS*"]

    named = read_events(renamed_blocks(tmp_path / "a.fits", tmp_path / "c.fits", forget))
    assert named.gti[3][0, 1] == 1e8 + 5003

    def merged(hdus: fits.HDUList) -> None:
        del hdus["EVENTS"].header["DS*"]
        del hdus["EVENTS"].header["?DS*"]
        del hdus[3:]
        hdus[2].name = hdus[2].header["HDUNAME"] = "GTI"

    one = read_events(renamed_blocks(tmp_path / "a.fits", tmp_path / "d.fits", merged))
    assert one.gti[7][0, 1] == 1e8 + 5000


def test_subspace_range_of_ccds(tmp_path: Path) -> None:
    write_events(tmp_path / "a.fits", small_list(gti={7: np.array([[0.0, 5.0]])}))

    def several(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].header["DSVAL1"] = "0:1,3"

    back = read_events(renamed_blocks(tmp_path / "a.fits", tmp_path / "b.fits", several))
    assert {0, 1, 3} <= back.gti.keys()
    assert 2 not in back.gti


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"nothing\.fits"):
        read_events(tmp_path / "nothing.fits")
    good = tmp_path / "good.fits"
    write_events(good, small_list())
    content = good.read_bytes()
    damaged = {
        "empty.fits": b"",
        "text.fits": b"not a FITS file\n" * 400,
        "html.fits": b"<html>503 Service unavailable</html>",
        "cut_header.fits": content[:3000],
        "cut_rows.fits": content[: len(content) // 3],
        "cut.fits.gz": gzip.compress(content)[:-5000],
        "cut_end.fits.gz": gzip.compress(content[:-3000]),
    }
    for name, value in damaged.items():
        (tmp_path / name).write_bytes(value)
        with pytest.raises(DamagedFile, match=name.replace(".", r"\.")):
            read_events(tmp_path / name)
    spectrum = fits.BinTableHDU.from_columns([], name="SPECTRUM")
    fits.HDUList([fits.PrimaryHDU(), spectrum]).writeto(tmp_path / "spec.fits")
    with pytest.raises(DamagedFile, match=r"spec\.fits: no EVENTS table"):
        read_events(tmp_path / "spec.fits")


def test_foreign_tables_are_refused(tmp_path: Path) -> None:
    events = small_list()
    write_events(tmp_path / "a.fits", events)

    def other(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].header["TELESCOP"] = "XMM"

    with pytest.raises(DamagedFile, match="TELESCOP is XMM, expected CHANDRA"):
        read_events(renamed_blocks(tmp_path / "a.fits", tmp_path / "b.fits", other))

    def without_energy(hdus: fits.HDUList) -> None:
        hdus["EVENTS"].columns.change_name("energy", "ener")

    with pytest.raises(DamagedFile, match="no column energy"):
        read_events(renamed_blocks(tmp_path / "a.fits", tmp_path / "c.fits", without_energy))
    with pytest.raises(DamagedFile, match="no sky WCS"):
        sky_wcs(fits.Header({"TFIELDS": 2, "TTYPE1": "x", "TTYPE2": "y"}), "a.fits")
