"""Opening and replacing FITS files, with every failure as an error of pyxt_hpc.

astropy reads a truncated file with a warning and zeros, or raises many kinds of exceptions for damaged bytes;
both become DamagedFile here. Products of this package have CHECKSUM and DATASUM (the convention of Seaman et
al. 2012), and are read only if these are correct. Files of other programs with a wrong checksum are read with
a warning, since programs that edit a header often keep the old checksum.
"""

import gzip
import io
import logging
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, FITSFixedWarning

from pyxt_hpc.errors import DamagedFile, MissingInput, is_own_defect
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.files.system_errors import as_pyxt_error, error_number, system_errors
from pyxt_hpc.files.writing import check_regular, replacing, with_gz

log = logging.getLogger(__name__)

_DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, zlib.error,
    fits.VerifyError,
)  # fmt: skip
_MAX_AXES = 999  # axes or columns, by the FITS standard
_ONES = 0xFFFFFFFF
_BLOCK = 1 << 22
_BEGINNING = b"SIMPLE  ="


@contextmanager
def open_fits(
    path: Path, what: str, hint: str, *, ours: bool = False, first: bool = True
) -> Iterator[fits.HDUList]:
    """Open a FITS file for reading; a file of another program may be compressed (``.gz``).

    Parameters
    ----------
    path : Path
        If this file does not exist, the compressed file ``path.gz`` is read, as CFITSIO does.
    what : str
        Kind of the file, for messages ("event file").
    hint : str
        Remedy if it is missing or damaged ("download ObsID 1838 again").
    ours : bool, optional
        True for a product of this package, which must have a checksum; False for a file that other programs
        may have made or edited.
    first : bool, optional
        False if a file of another program is read only for its headers, or again: its checksum is checked
        only at the first reading of its data, so that there is one warning.

    Raises
    ------
    MissingInput
        No such file.
    DamagedFile
        The file is not FITS, is truncated, cannot be read, or is ours and does not match its checksum; also
        for any reading error raised inside the ``with`` block, so read the data there.
    """
    path = Path(path) if ours else with_gz(Path(path))
    if not check_regular(path):
        raise MissingInput(f"{path}: {what} not found; {hint}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstropyWarning)
            with _uncompressed(path) as stream:
                without, wrong = _checked(stream, sums=ours or first)
                if ours:
                    _refuse_unchecked(without, wrong, path, what, hint)
                stream.seek(0)
                # Without memmap, and with all headers read now, so that damage does not appear later as a bus
                # error.
                with fits.open(stream, mode="readonly", memmap=False, lazy_load_hdus=False) as hdus:
                    _refuse_damage(caught)
                    yield hdus
                    _refuse_damage(caught)
        if wrong:
            log.warning(
                "%s: %s does not match its CHECKSUM, but is used, since programs that edit a header (fv, "
                "DS9) may keep the old one; if the file was not edited, it is damaged: %s",
                path,
                what,
                hint,
            )
    except PermissionError as error:
        raise DamagedFile(
            f"{path}: {what} cannot be read ({error.strerror}); change its permissions"
        ) from error
    except _DAMAGE as error:
        if is_own_defect(error):
            raise
        if isinstance(error, OSError) and error_number(error):  # an error of the system, not of astropy
            raise as_pyxt_error(path, error, "read") from error
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DamagedFile(f"{path}: {what} is damaged or not FITS ({reason}); {hint}") from error


def check_whole(path: Path, what: str, hint: str) -> None:
    """Check that a FITS file is complete, also if its unpacked size exceeds the memory.

    Raises MissingInput or DamagedFile as `open_fits` does.
    """
    if not check_regular(path) or not _is_packed(path):
        with open_fits(path, what, hint, first=False):
            return
    try:
        with gzip.open(path) as stream:  # gzip has its own checksum
            beginning = stream.read(len(_BEGINNING))
            n_bytes = len(beginning) + sum(map(len, iter(partial(stream.read, _BLOCK), b"")))
    except (OSError, EOFError, zlib.error) as error:
        raise DamagedFile(f"{path}: {what} is damaged ({error}); {hint}") from None
    if beginning != _BEGINNING or n_bytes % 2880:
        raise DamagedFile(f"{path}: {what} is not FITS, or is truncated ({n_bytes} bytes unpacked); {hint}")


def _is_packed(path: Path) -> bool:
    with system_errors(path), path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def _refuse_damage(caught: list[warnings.WarningMessage]) -> None:
    # A warnings filter that raises errors would leave astropy's file open.
    for warning in caught:
        text = str(warning.message)
        if "truncated" in text or "Error validating header" in text:
            raise OSError(text)


def _uncompressed(path: Path) -> BinaryIO:
    """The file, or its unpacked content if it is gzipped, since astropy would unpack it at every seek."""
    stream = path.open("rb")
    if stream.read(2) != b"\x1f\x8b":
        stream.seek(0)
        return stream
    stream.close()
    content = io.BytesIO()
    with gzip.open(path) as packed:
        shutil.copyfileobj(packed, content, 1 << 20)
    content.seek(0)
    return content


def _checked(stream: BinaryIO, *, sums: bool) -> tuple[int, int]:
    """Check sizes, before astropy allocates memory by a damaged number, and sum up every HDU.

    Returns the numbers of HDUs without a checksum and with a wrong checksum.
    """
    without = wrong = 0
    beginning = stream.read(len(_BEGINNING))
    if beginning and beginning != _BEGINNING:
        kind = ", as a web page does: the download failed" if beginning.lstrip().startswith(b"<") else ""
        raise OSError(f"it begins with {quoted(beginning.decode('ascii', 'replace'))}{kind}")
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    while True:
        start = stream.tell()
        try:
            header = fits.Header.fromfile(stream)
        except (EOFError, OSError):
            return without, wrong  # end of the file, or damage that astropy reports
        for keyword in ("NAXIS", "TFIELDS"):
            if not 0 <= int(header.get(keyword, 0)) <= _MAX_AXES:
                raise OSError(f"{keyword} is {header[keyword]}, expected 0 to {_MAX_AXES}")
        axes = [int(header[f"NAXIS{n}"]) for n in range(1, int(header["NAXIS"]) + 1)]
        values = int(header.get("PCOUNT", 0)) + (math.prod(axes) if axes else 0)
        size = abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * values
        if stream.tell() + size > length:
            raise OSError(f"truncated: {size} bytes of data announced, {length - stream.tell()} are there")
        data, end = stream.tell(), stream.tell() + -(-size // 2880) * 2880
        if sums and str(header.get("CHECKSUM", "")).strip():
            # CHECKSUM makes all bits of the sum 1, which is impossible for a file of zeros.
            wrong += _sum(stream, start, end) != _ONES
        elif sums:
            without += 1
            datasum = str(header.get("DATASUM", "")).strip()
            wrong += bool(datasum) and datasum != str(_sum(stream, data, end))
        stream.seek(end)


def _sum(stream: BinaryIO, start: int, end: int) -> int:
    """Ones' complement sum of the 32-bit words of some bytes."""
    stream.seek(start)
    total = 0
    while start < end and (block := stream.read(min(_BLOCK, end - start))):
        start += len(block)
        words = np.frombuffer(block.ljust(-(-len(block) // 4) * 4, b"\0"), ">u4")
        total += int(words.sum(dtype=np.uint64))
    while total > _ONES:
        total = (total & _ONES) + (total >> 32)
    return total


def _refuse_unchecked(without: int, wrong: int, path: Path, what: str, hint: str) -> None:
    if wrong:
        raise DamagedFile(
            f"{path}: {what} does not match its checksum: it is damaged, or was changed by another program; "
            f"{hint}"
        )
    if without:
        raise DamagedFile(
            f"{path}: {what} has no checksum: it was made by an earlier version, or changed by another "
            f"program; {hint}"
        )


def table_with(hdus: fits.HDUList, *columns: str) -> fits.BinTableHDU | None:
    """The first table with these columns (given in lower case; the file may have upper case), or None."""
    for hdu in hdus[1:]:
        if isinstance(hdu, fits.BinTableHDU) and set(columns) <= {name.lower() for name in hdu.columns.names}:
            return hdu
    return None


def wcs_of(header: fits.Header) -> WCS:
    """WCS of another program's header, without astropy's remarks on RADECSYS and dates, which CIAO writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


def write_fits(path: Path, hdus: fits.HDUList) -> None:
    """Write a FITS file with checksums atomically; missing folders are created."""
    with replacing(Path(path)) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        hdus.writeto(temporary, overwrite=True, checksum=True)


def copy_fits(path: Path, to: Path, what: str, hint: str) -> None:
    """Make a product from a file of another program that was read before: the same HDUs, with checksums."""
    with open_fits(path, what, hint, first=False) as hdus, replacing(to) as temporary:
        # Unchanged data are copied byte by byte; cards that violate the standard are kept.
        hdus.writeto(temporary, overwrite=True, checksum=True, output_verify="silentfix+ignore")
