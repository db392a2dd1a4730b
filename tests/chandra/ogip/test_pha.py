"""Spectra: numbers are read wherever OGIP allows them; what cannot be fitted is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.pha import read_pha
from pyxt_hpc.errors import DamagedFile, MissingInput

N = 6
COUNTS = np.array([3, 0, 2, 7, 1, 4])
HEADER = {"EXPOSURE": 200.0, "BACKSCAL": 0.25, "AREASCAL": 0.5, "DETCHANS": N}


def write(
    path: Path, header: dict | None = None, *, columns: dict | None = None, drop: tuple[str, ...] = ()
) -> Path:
    """Write a spectrum with other keywords and columns, or without some."""
    table = {"CHANNEL": np.arange(1, N + 1), "COUNTS": COUNTS} | (columns or {})
    formats = {"i": "J", "f": "D"}
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, f"{a.shape[1] if a.ndim == 2 else ''}{formats[a.dtype.kind]}", array=a)
            for name, a in ((name, np.asarray(a)) for name, a in table.items() if name not in drop)
        ],
        name="SPECTRUM",
    )
    hdu.header.update({k: v for k, v in (HEADER | (header or {})).items() if k not in drop})
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def test_keywords(tmp_path: Path) -> None:
    pha = read_pha(
        write(tmp_path / "a.pi", {"BACKFILE": "b.pi", "ANCRFILE": " NONE ", "RESPFILE": "x/a.rmf"})
    )
    assert pha.counts.tolist() == COUNTS.tolist()
    assert (pha.exposure_s, pha.backscal, pha.areascal, pha.area_time) == (200.0, 0.25, 0.5, 25.0)
    assert (pha.background_file, pha.arf_file) == (tmp_path / "b.pi", None)
    assert pha.rmf_file == tmp_path / "x" / "a.rmf"
    assert pha.grouping is None
    assert pha.quality.tolist() == [0] * N


def test_columns_come_before_keywords(tmp_path: Path) -> None:
    columns = {
        "BACKSCAL": np.full(N, 0.75),
        "GROUPING": [1, -1, -1, 1, -1, 0],
        "QUALITY": [0, 0, 5, 0, 0, 2],
    }
    pha = read_pha(write(tmp_path / "a.pi", {"GROUPING": 0, "QUALITY": 0}, columns=columns))
    assert pha.backscal == 0.75
    assert pha.grouping is not None
    assert pha.grouping.tolist() == columns["GROUPING"]
    assert pha.quality.tolist() == columns["QUALITY"]


def test_keywords_that_hold_for_all_channels(tmp_path: Path) -> None:
    assert read_pha(write(tmp_path / "a.pi", {"QUALITY": 1})).quality.tolist() == [1] * N
    # grouping 0 everywhere groups nothing
    assert read_pha(write(tmp_path / "b.pi", {"GROUPING": 0})).grouping is None
    assert read_pha(write(tmp_path / "c.pi", columns={"GROUPING": np.zeros(N, int)})).grouping is None
    grouped = read_pha(write(tmp_path / "d.pi", {"GROUPING": 1})).grouping
    assert grouped is not None
    assert grouped.tolist() == [1] * N


def test_rates_become_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pi", columns={"RATE": COUNTS / 200.0}, drop=("COUNTS",))
    assert read_pha(path).counts == pytest.approx(COUNTS)


def test_channels_may_begin_anywhere(tmp_path: Path) -> None:
    for first in (0, 1):
        path = write(tmp_path / f"{first}.pi", columns={"CHANNEL": np.arange(first, first + N)})
        assert read_pha(path).first_channel_number == first


def test_packed_files_are_found(tmp_path: Path) -> None:
    write(tmp_path / "a.pi.gz", {"BACKFILE": "b.pi", "RESPFILE": "a.rmf"})
    write(tmp_path / "b.pi.gz")
    pha = read_pha(tmp_path / "a.pi")
    assert pha.path == tmp_path / "a.pi.gz"
    assert pha.background_file == tmp_path / "b.pi.gz"
    assert pha.rmf_file == tmp_path / "a.rmf"


@pytest.mark.parametrize(
    ("header", "columns", "drop", "message"),
    [
        ({"EXPOSURE": 0.0}, {}, (), "EXPOSURE is 0"),
        ({"EXPOSURE": -5.0}, {}, (), "EXPOSURE is -5"),
        ({"BACKSCAL": 0.0}, {}, (), "BACKSCAL is 0"),
        ({"AREASCAL": "much"}, {}, (), "much"),
        ({}, {}, ("EXPOSURE",), "no keyword EXPOSURE"),
        ({}, {"BACKSCAL": [1.0, 2, 3, 4, 5, 6]}, (), "BACKSCAL changes from 1 to 6"),
        ({}, {"AREASCAL": np.full(N, np.nan)}, (), "AREASCAL is nan"),
        ({}, {"COUNTS": [3, 0, -2, 7, 1, 4]}, (), "-2.0 counts in channel 3.*nothing subtracted"),
        ({}, {"COUNTS": [3, 0, 2, np.nan, 1, 4]}, (), "nan counts in channel 4"),
        ({"HDUCLAS2": "NET"}, {}, (), "subtracted already"),
        ({}, {}, ("COUNTS",), "expected CHANNEL and COUNTS or RATE"),
        ({}, {}, ("CHANNEL",), "expected CHANNEL and COUNTS or RATE"),
        ({"DETCHANS": 1024}, {}, (), "6 rows for channels 1 to 6, expected one row for each of 1024"),
        ({}, {"CHANNEL": [1, 2, 3, 5, 6, 7]}, (), "expected one row for each of 6"),
        ({}, {"CHANNEL": np.ones((N, 4), int), "COUNTS": np.ones((N, 4), int)}, (), "type II"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(
    tmp_path: Path, header: dict, columns: dict, drop: tuple[str, ...], message: str
) -> None:
    path = write(tmp_path / "a.pi", header, columns=columns, drop=drop)
    with pytest.raises(DamagedFile, match=rf"a\.pi.*{message}") as caught:
        read_pha(path)
    assert "\n" not in str(caught.value)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"a\.pi"):
        read_pha(tmp_path / "a.pi")
    (tmp_path / "text.pi").write_text("not FITS at all\n" * 300)
    whole = write(tmp_path / "whole.pi").read_bytes()
    (tmp_path / "short.pi").write_bytes(whole[: len(whole) - 2880])
    table = fits.BinTableHDU.from_columns([fits.Column("X", "J", array=[1])], name="EVENTS")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "events.pi")
    for name in ("text", "short", "events"):
        with pytest.raises(DamagedFile, match=rf"{name}\.pi"):
            read_pha(tmp_path / f"{name}.pi")


@pytest.mark.parametrize("name", ["9774", "9774_bg", "3c273", "3c273_bg"])
def test_real_spectra_as_sherpa_reads_them(shared: Path, name: str) -> None:
    sherpa = pytest.importorskip("sherpa.astro.io")
    path = shared / "chandra" / f"{name}.pi"
    ours, theirs = read_pha(path), sherpa.read_pha(str(path))
    assert ours.counts.tolist() == theirs.counts.tolist()
    assert ours.first_channel_number == theirs.channel[0]
    for field, value in (("exposure_s", "exposure"), ("backscal", "backscal"), ("areascal", "areascal")):
        assert getattr(ours, field) == getattr(theirs, value)
    if theirs.grouping is None:
        assert ours.grouping is None
    else:
        assert ours.grouping is not None
        assert ours.grouping.tolist() == theirs.grouping.tolist()
