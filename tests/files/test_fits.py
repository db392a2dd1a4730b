import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from pyxt_hpc import errors
from pyxt_hpc.errors import DamagedFile, MissingInput, PyxtError
from pyxt_hpc.files.fits import check_whole, copy_fits, open_fits, write_fits


def image() -> fits.HDUList:
    return fits.HDUList([fits.PrimaryHDU(np.arange(5000.0))])


def read(path: Path) -> np.ndarray:
    with open_fits(path, "image", "draw it again") as hdus:
        return np.array(hdus[0].data)


def test_round_trip_also_compressed(tmp_path: Path) -> None:
    for name in ("a.fits", "b.fits.gz"):
        write_fits(tmp_path / "new" / name, image())
        np.testing.assert_array_equal(read(tmp_path / "new" / name), np.arange(5000.0))
    assert (tmp_path / "new" / "b.fits.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_the_compressed_file_stands_for_the_one_that_is_not_there(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits.gz", image())
    np.testing.assert_array_equal(read(tmp_path / "a.fits"), np.arange(5000.0))
    with pytest.raises(MissingInput, match=r"a\.fits: image not found"):  # products have their own names
        read_ours(tmp_path / "a.fits")
    (tmp_path / "a.fits").symlink_to(tmp_path / "gone.fits")
    with pytest.raises(DamagedFile, match=r"a\.fits: is a link to .*gone\.fits"):
        read(tmp_path / "a.fits")


def test_every_way_of_cutting_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    write_fits(path, image())
    content = path.read_bytes()
    for length in (0, 100, 2879, 2880, 10_000, 40_000):
        path.write_bytes(content[:length])
        with pytest.raises(DamagedFile, match=r"a\.fits: image is damaged or not FITS .* draw it again"):
            read(path)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_is_whole_or_not(packed: bool, tmp_path: Path) -> None:
    path = tmp_path / ("x.fits.gz" if packed else "x.fits")
    image().writeto(path)
    check_whole(path, "image", "make it again")
    content = path.read_bytes()
    # every missing byte damages a packed file
    cuts = range(1, len(content), 7) if packed else (100, 2000, 2880, len(content) - 2880)
    for cut in cuts:
        path.write_bytes(content[:cut])
        with pytest.raises(DamagedFile, match="make it again"):
            check_whole(path, "image", "make it again")
    path.unlink()
    with pytest.raises(MissingInput, match="make it again"):
        check_whole(path, "image", "make it again")


@pytest.mark.parametrize("content", [b"text", b"SIMPLE  =" + b" " * 2000, b""])
def test_a_packed_file_that_is_not_fits(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.fits.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(DamagedFile, match=f"{len(content)} bytes unpacked"):
        check_whole(path, "image", "make it again")


def read_ours(path: Path) -> np.ndarray:
    with open_fits(path, "image", "draw it again", ours=True) as hdus:
        return np.array(hdus[0].data)


def two_units() -> fits.HDUList:
    table = fits.BinTableHDU.from_columns([fits.Column("A", "1J", array=np.arange(77))], name="T")
    return fits.HDUList([fits.PrimaryHDU(np.arange(700, dtype=np.float32)), table])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"<!DOCTYPE HTML>\n<title>404</title>",
            r"begins with '<!DOCTYPE', as a web page does: the download",
        ),
        (b"\n <html>", r"begins with '\\n <html>', as a web page"),
        (b"%PDF-1.5 and more", r"begins with '%PDF-1.5 '\);"),
        (b"SIMPLE  ", "begins with 'SIMPLE  '"),
    ],
)
def test_what_is_no_fits_is_told_by_its_beginning(
    tmp_path: Path, content: bytes, words: str, packed: bool
) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DamagedFile, match=words), open_fits(path, "image", "fetch it again"):
        pass


def test_checksums_are_those_of_the_convention(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", two_units())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy's own calculation
        with fits.open(tmp_path / "a.fits", checksum=True) as hdus:
            assert all({"CHECKSUM", "DATASUM"} <= set(hdu.header) for hdu in hdus)
    np.testing.assert_array_equal(read_ours(tmp_path / "a.fits"), np.arange(700))


def test_no_flipped_bit_of_a_product_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    write_fits(path, two_units())
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(content), 300).tolist():
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(DamagedFile, match=r"a\.fits: image .*; draw it again"):
            read_ours(path)


def test_a_product_that_another_program_wrote_again_is_refused(tmp_path: Path) -> None:
    image().writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read(tmp_path / "a.fits"), np.arange(5000.0))
    with pytest.raises(DamagedFile, match="has no checksum: it was made by an earlier version"):
        read_ours(tmp_path / "a.fits")


def test_a_copy_has_the_same_bytes_of_data_and_a_checksum(tmp_path: Path) -> None:
    ragged = np.array([np.arange(n, dtype=np.int16) for n in range(1, 9)], dtype=object)
    table = fits.BinTableHDU.from_columns([fits.Column("A", "PI()", array=ragged)], name="T")
    theirs, ours = tmp_path / "theirs.fits.gz", tmp_path / "ours.fits"
    table.header["OLD"] = "card"
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    content = (tmp_path / "a.fits").read_bytes()
    broken = content.replace(b"'card    '", b"YES, more ")  # not a value of the standard, as in old files
    assert broken != content
    theirs.write_bytes(gzip.compress(broken))
    copy_fits(theirs, ours, "RMF", "make it again")
    with open_fits(ours, "RMF", "make it again", ours=True) as hdus:
        assert [cells.tolist() for cells in hdus["T"].data["A"]] == [list(range(n)) for n in range(1, 9)]
    assert content[-2880:] == ours.read_bytes()[-2880:]


def test_a_foreign_file_with_a_stale_checksum_is_read_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.fits"
    write_fits(path, image())
    for keyword in (b"CHECKSUM= ", b"XXXXXXXX= "):  # then only DATASUM is left
        content = bytearray(path.read_bytes().replace(b"CHECKSUM= ", keyword))
        content[5763] += 1  # in the data
        path.write_bytes(content)
        caplog.clear()
        assert read(path).shape == (5000,)
        assert "does not match its CHECKSUM" in caplog.text
        caplog.clear()
        with pytest.raises(DamagedFile, match="image is damaged"), open_fits(path, "image", "again") as hdus:
            hdus["EVENTS"]
        assert caplog.text == ""  # it is not used


@pytest.mark.parametrize("card", [b"NAXIS1  =                 50x0", b"BITPIX  =                  \xff64"])
def test_a_damaged_card_is_one_line(tmp_path: Path, card: bytes) -> None:
    path = tmp_path / "a.fits"
    write_fits(path, image())
    content = path.read_bytes()
    at = content.index(card[:9])
    path.write_bytes(content[:at] + card + content[at + len(card) :])
    with pytest.raises(DamagedFile, match=r"a\.fits: image is damaged or not FITS"):
        read(path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"a\.fits: image not found; draw it again"):
        read(tmp_path / "a.fits")


def test_errors_of_ours_pass_through(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", image())
    with pytest.raises(PyxtError, match="as it is"), open_fits(tmp_path / "a.fits", "image", "") as _:
        raise PyxtError("as it is")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", image())
    before = (tmp_path / "a.fits").read_bytes()
    broken = image()
    broken[0].header["SIMPLE"] = True
    broken.writeto = None  # type: ignore[method-assign]
    with pytest.raises(TypeError):
        write_fits(tmp_path / "a.fits", broken)
    assert (tmp_path / "a.fits").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_our_own_defect_is_no_damage(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", image())
    ours = compile("{}['made up']", str(Path(errors.__file__).with_name("made_up.py")), "eval")
    with pytest.raises(KeyError, match="made up"), open_fits(tmp_path / "a.fits", "image", ""):
        eval(ours)
    with pytest.raises(DamagedFile, match="NOTHERE"), open_fits(tmp_path / "a.fits", "image", "") as hdus:
        hdus["NOTHERE"]


def test_lack_of_memory_is_no_damage(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", image())
    with pytest.raises(MemoryError), open_fits(tmp_path / "a.fits", "image", ""):
        raise MemoryError


def test_more_rows_than_the_file_has_are_refused_before_they_are_allocated(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", image())
    content = (tmp_path / "a.fits").read_bytes()
    said = b"NAXIS1  =                 5000"
    assert said in content
    (tmp_path / "a.fits").write_bytes(content.replace(said, b"NAXIS1  =        4000000000000"))
    with pytest.raises(DamagedFile, match="truncated: 32000000000000 bytes of data announced"):
        read(tmp_path / "a.fits")
