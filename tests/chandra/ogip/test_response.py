"""Responses of all OGIP variants are read, written, and folded like Sherpa and a matrix product."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc.chandra.ogip.response import Arf, Rmf, check_match, fold
from pyxt_hpc.chandra.ogip.response_files import read_arf, read_rmf, write_arf, write_rmf
from pyxt_hpc.errors import DamagedFile, MissingInput, ResponseMismatch

N_ENERGY, N_CHANNELS = 4, 6
ENERGY = np.array([0.3, 0.5, 0.8, 1.2, 2.0])
# rows with one group, none, two, and one that ends in the last channel
GROUPS = [[(0, [0.25, 0.5])], [], [(1, [0.5, 0.25, 0.125]), (5, [0.0625])], [(3, [0.5, 0.25, 0.125])]]
DENSE = np.array(
    [
        [0.25, 0.5, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0.5, 0.25, 0.125, 0, 0.0625],
        [0, 0, 0, 0.5, 0.25, 0.125],
    ]
)
AREA = np.array([100.0, 200.0, 400.0, 300.0])


def small_arf() -> Arf:
    return Arf(ENERGY[:-1], ENERGY[1:], AREA)


def small_rmf(first_number: int = 1) -> Rmf:
    groups = [group for row in GROUPS for group in row]
    bounds = np.linspace(0.25, 2.0, N_CHANNELS + 1)
    return Rmf(
        energy_lo=ENERGY[:-1],
        energy_hi=ENERGY[1:],
        n_group=np.array([len(row) for row in GROUPS], dtype=np.int32),
        first_channel=np.array([first for first, _ in groups], dtype=np.int32),
        n_channel=np.array([len(values) for _, values in groups], dtype=np.int32),
        matrix=np.concatenate([values for _, values in groups]),
        channel_lo_keV=bounds[:-1],
        channel_hi_keV=bounds[1:],
        first_channel_number=first_number,
    )


def ogip_file(
    path: Path,
    layout: str,
    *,
    f_chan_tlmin: int | None = 1,
    channel_tlmin: int | None = None,
    offset: int = 1,
    extension: str = "MATRIX",
    channel: np.ndarray | None = None,
) -> Path:
    """An RMF as other programs write it; F_CHAN counts from `offset`."""
    if layout == "scalar":
        rows = [row[:1] or [(0, [])] for row in GROUPS]
        n_group = [len(row) for row in GROUPS]
        n_group[2] = 1
        first = np.array([row[0][0] + offset for row in rows])
        count = np.array([len(row[0][1]) for row in rows])
        f_chan, n_chan = (
            fits.Column(name, "I", array=a) for name, a in (("F_CHAN", first), ("N_CHAN", count))
        )
    else:
        rows = GROUPS
        n_group = [len(row) for row in rows]
        first_rows = [[first + offset for first, _ in row] for row in rows]
        count_rows = [[len(values) for _, values in row] for row in rows]
        # the unused places of a fixed vector hold rubbish on purpose
        padded = [[[*row, 77, 77][:2] for row in table] for table in (first_rows, count_rows)]
        if layout == "vector":
            f_chan, n_chan = (
                fits.Column(name, "2I", bzero=32768, array=np.array(a, dtype=np.uint16))
                for name, a in zip(("F_CHAN", "N_CHAN"), padded, strict=True)
            )
        else:
            ragged = [ragged_column(table, np.int16) for table in (first_rows, count_rows)]
            f_chan, n_chan = (
                fits.Column(name, "PI()", array=a)
                for name, a in zip(("F_CHAN", "N_CHAN"), ragged, strict=True)
            )
    values = [[v for _, group in row for v in group] for row in rows]
    if layout == "variable":
        matrix = fits.Column("MATRIX", "PE()", array=ragged_column(values, np.float32))
    else:
        fixed = np.array([(row + [9.0] * 4)[:4] for row in values], dtype=np.float32)
        matrix = fits.Column("MATRIX", "4E", array=fixed)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("ENERG_LO", "E", array=ENERGY[:-1]),
            fits.Column("ENERG_HI", "E", array=ENERGY[1:]),
            fits.Column("N_GRP", "I", array=n_group),
            f_chan,
            n_chan,
            matrix,
        ],
        name=extension,
    )
    if f_chan_tlmin is not None:
        table.header["TLMIN4"] = f_chan_tlmin
    bounds = np.linspace(0.25, 2.0, N_CHANNELS + 1)
    ebounds = fits.BinTableHDU.from_columns(
        [
            fits.Column("CHANNEL", "I", array=np.arange(6) + offset if channel is None else channel),
            fits.Column("E_MIN", "E", array=bounds[:-1]),
            fits.Column("E_MAX", "E", array=bounds[1:]),
        ],
        name="EBOUNDS",
    )
    if channel_tlmin is not None:
        ebounds.header["TLMIN1"] = channel_tlmin
    fits.HDUList([fits.PrimaryHDU(), ebounds, table]).writeto(path)
    return path


def ragged_column(rows: list, dtype: type) -> np.ndarray:
    column = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        column[i] = np.array(row, dtype=dtype)
    return column


def expected_dense(layout: str) -> np.ndarray:
    dense = DENSE.copy()
    if layout == "scalar":
        dense[2, 5] = 0.0
    return dense


def test_fold_is_the_matrix_product():
    flux = np.array([[1.0, 2.0, 3.0, 4.0], [0.5, 0.0, 0.25, 0.0]])
    np.testing.assert_allclose(fold(flux, small_arf(), small_rmf()), (flux * AREA) @ DENSE, rtol=1e-15)
    np.testing.assert_allclose(fold(flux[0], small_arf(), small_rmf()), (flux[0] * AREA) @ DENSE, rtol=1e-15)


@pytest.mark.parametrize("first_number", [0, 1])
def test_written_response_is_read_again(tmp_path, first_number):
    write_arf(tmp_path / "a.arf", small_arf(), header={"OBJECT": "A1"})
    write_rmf(tmp_path / "a.rmf", small_rmf(first_number), header={"OBJECT": "A1"})
    for written, read in (
        (small_arf(), read_arf(tmp_path / "a.arf")),
        (small_rmf(first_number), read_rmf(tmp_path / "a.rmf")),
    ):
        for field in fields(written):
            if field.name == "channel_type":
                assert read.channel_type == written.channel_type == "PI"
                continue
            np.testing.assert_allclose(getattr(read, field.name), getattr(written, field.name), rtol=1e-7)
    np.testing.assert_array_equal(read_rmf(tmp_path / "a.rmf").sparse.toarray(), DENSE)
    for name, extension in (("a.arf", "SPECRESP"), ("a.rmf", "MATRIX"), ("a.rmf", "EBOUNDS")):
        header = fits.getheader(tmp_path / name, extension)
        mandatory = {"TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "FILTER": "NONE", "HDUCLASS": "OGIP"}
        assert {key: header.get(key) for key in mandatory} == mandatory
        assert header["OBJECT"] == "A1"
    assert fits.getval(tmp_path / "a.rmf", "TLMIN4", "MATRIX") == first_number
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("layout", ["scalar", "vector", "variable"])
@pytest.mark.parametrize("extension", ["MATRIX", "SPECRESP MATRIX"])
def test_every_column_layout_is_read(tmp_path, layout, extension):
    rmf = read_rmf(ogip_file(tmp_path / "x.rmf", layout, extension=extension))
    np.testing.assert_array_equal(rmf.sparse.toarray(), expected_dense(layout))


@pytest.mark.parametrize(
    ("f_chan_tlmin", "channel_tlmin", "offset"),
    [(1, None, 1), (0, None, 0), (0, 1, 0), (1, 0, 1), (None, 0, 0), (None, 1, 1), (None, None, 1)],
)
def test_channels_count_from_tlmin(tmp_path, f_chan_tlmin, channel_tlmin, offset):
    path = ogip_file(
        tmp_path / "x.rmf", "vector", f_chan_tlmin=f_chan_tlmin, channel_tlmin=channel_tlmin, offset=offset
    )
    rmf = read_rmf(path)
    np.testing.assert_array_equal(rmf.sparse.toarray(), DENSE)
    assert rmf.first_channel_number == offset


def test_channel_column_does_not_matter(tmp_path):
    # 9774.rmf of the archive holds zeros and -16384 there
    path = ogip_file(tmp_path / "x.rmf", "variable", channel=np.array([0, 0, 0, 0, -16384, 0]))
    np.testing.assert_array_equal(read_rmf(path).sparse.toarray(), DENSE)


def test_groups_outside_the_channels_are_refused(tmp_path):
    # one channel too low, and one too high
    for number, tlmin in enumerate((2, 0)):
        path = ogip_file(tmp_path / f"{number}.rmf", "vector", f_chan_tlmin=tlmin, offset=1)
        with pytest.raises(DamagedFile, match="EBOUNDS has 6"):
            read_rmf(path)


@pytest.mark.parametrize("column", ["ENERG_LO", "SPECRESP"])
def test_missing_column_of_an_arf_is_named(tmp_path, column):
    write_arf(tmp_path / "a.arf", small_arf())
    with fits.open(tmp_path / "a.arf", mode="update") as hdus:
        hdus[1].columns[column].name = "OTHER"
    with pytest.raises(DamagedFile, match=f"a.arf.*{column}"):
        read_arf(tmp_path / "a.arf")


def test_missing_extension_of_an_rmf_is_named(tmp_path):
    write_arf(tmp_path / "a.arf", small_arf())
    with pytest.raises(DamagedFile, match=r"a.arf.*MATRIX.*found: SPECRESP"):
        read_rmf(tmp_path / "a.arf")


@pytest.mark.parametrize(("write", "read"), [(write_arf, read_arf), (write_rmf, read_rmf)])
def test_bad_files_are_one_line_errors(tmp_path, write, read):
    path = tmp_path / "x.fits"
    with pytest.raises(MissingInput, match=r"x\.fits"):
        read(path)
    write(path, small_arf() if write is write_arf else small_rmf())
    whole = path.read_bytes()
    for content in (b"", b"not FITS at all\n" * 300, whole[: len(whole) - 2880], whole[:3000]):
        path.write_bytes(content)
        with pytest.raises(DamagedFile, match=r"x\.fits") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [-1.0, np.nan])
def test_impossible_areas_are_refused(tmp_path, bad):
    write_arf(tmp_path / "a.arf", Arf(ENERGY[:-1], ENERGY[1:], np.array([1.0, bad, 1.0, 1.0])))
    with pytest.raises(DamagedFile, match="SPECRESP"):
        read_arf(tmp_path / "a.arf")


def test_unordered_energies_are_refused(tmp_path):
    write_arf(tmp_path / "a.arf", Arf(ENERGY[:-1][::-1], ENERGY[1:][::-1], AREA))
    with pytest.raises(DamagedFile, match="ENERG_LO"):
        read_arf(tmp_path / "a.arf")


def test_match_of_arf_and_rmf():
    arf, rmf = small_arf(), small_rmf()
    check_match(arf, rmf, "a.arf", "b.rmf")
    rounded = Arf(*(a.astype(np.float32).astype(np.float64) for a in (arf.energy_lo, arf.energy_hi)), AREA)
    check_match(rounded, rmf, "a.arf", "b.rmf")
    shifted = Arf(arf.energy_lo + 0.01, arf.energy_hi + 0.01, AREA)
    shorter = Arf(arf.energy_lo[1:], arf.energy_hi[1:], AREA[1:])
    for wrong in (shifted, shorter):
        with pytest.raises(ResponseMismatch, match=r"a\.arf.*b\.rmf"):
            check_match(wrong, rmf, "a.arf", "b.rmf")


@pytest.mark.parametrize("name", ["9774", "3c273"])
def test_real_responses_fold_as_in_sherpa(shared, tmp_path, name):
    sherpa = pytest.importorskip("sherpa.astro.io")
    arf, rmf = read_arf(shared / "chandra" / f"{name}.arf"), read_rmf(shared / "chandra" / f"{name}.rmf")
    check_match(arf, rmf, "arf", "rmf")
    flux = np.random.default_rng(9774).exponential(size=len(arf.area))
    ours = fold(flux, arf, rmf)
    write_arf(tmp_path / "copy.arf", arf)
    write_rmf(tmp_path / "copy.rmf", rmf)
    for arf_path, rmf_path in (
        (shared / "chandra" / f"{name}.arf", shared / "chandra" / f"{name}.rmf"),
        (tmp_path / "copy.arf", tmp_path / "copy.rmf"),
    ):
        theirs = sherpa.read_rmf(str(rmf_path)).apply_rmf(sherpa.read_arf(str(arf_path)).apply_arf(flux))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
