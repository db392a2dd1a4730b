"""Opening and replacing FITS files so that every failure is one of pyxt_hpc's errors.

astropy reads a truncated file with a warning and zeros, or fails with whatever exception the
damaged byte leads to; both become DamagedFile here.
"""

import gzip
import io
import math
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from pyxt_hpc.errors import DamagedFile, MissingInput, is_own_defect
from pyxt_hpc.files import check_regular, error_number, in_words, replacing

_DAMAGE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, OverflowError, zlib.error,
    fits.VerifyError,
)  # fmt: skip
_MOST = 999  # axes or columns, by the FITS standard


@contextmanager
def open_fits(path: Path, what: str, hint: str) -> Iterator[fits.HDUList]:
    """Open a FITS file (also ``.gz``) for reading.

    Parameters
    ----------
    path : Path
    what : str
        What the file is, for messages ("event file").
    hint : str
        What to do when it is missing or damaged ("download ObsID 1838 again").

    Raises
    ------
    MissingInput
        No such file.
    DamagedFile
        The file is not FITS, is truncated or cannot be read; also for any reading error raised inside
        the ``with`` block, so read the data there.
    """
    path = Path(path)
    if not check_regular(path):
        raise MissingInput(f"{path}: {what} not found; {hint}")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", AstropyWarning)
            with _uncompressed(path) as stream:
                _refuse_counts(stream)
                stream.seek(0)
                # without memmap and with every header read now: damage must not show late, as a bus error
                with fits.open(stream, mode="readonly", memmap=False, lazy_load_hdus=False) as hdus:
                    _refuse_damage(caught)
                    yield hdus
                    _refuse_damage(caught)
    except PermissionError as error:
        raise DamagedFile(
            f"{path}: {what} cannot be read ({error.strerror}); change its permissions"
        ) from error
    except _DAMAGE as error:
        if is_own_defect(error):
            raise
        if isinstance(error, OSError) and error_number(error):  # the system's, not astropy's
            raise in_words(path, error, "read") from error
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise DamagedFile(f"{path}: {what} is damaged or not FITS ({reason}); {hint}") from error


def _refuse_damage(caught: list[warnings.WarningMessage]) -> None:
    # raising from the warnings filter instead would leave astropy's file open
    for warning in caught:
        text = str(warning.message)
        if "truncated" in text or "Error validating header" in text:
            raise OSError(text)


def _uncompressed(path: Path) -> BinaryIO:
    """The file, or what is in it if it is gzipped: unpacked once, for astropy would do so at every seek."""
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


def _refuse_counts(stream: BinaryIO) -> None:
    """Check numbers of axes, columns and rows before astropy makes lists as long as a damaged number says."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    while True:
        try:
            header = fits.Header.fromfile(stream)
        except (EOFError, OSError):
            return  # the end, or for astropy to judge
        for keyword in ("NAXIS", "TFIELDS"):
            if not 0 <= int(header.get(keyword, 0)) <= _MOST:
                raise OSError(f"{keyword} is {header[keyword]}, expected 0 to {_MOST}")
        axes = [int(header[f"NAXIS{n}"]) for n in range(1, int(header["NAXIS"]) + 1)]
        values = int(header.get("PCOUNT", 0)) + (math.prod(axes) if axes else 0)
        size = abs(int(header["BITPIX"])) // 8 * int(header.get("GCOUNT", 1)) * values
        if stream.tell() + size > length:
            raise OSError(f"truncated: {size} bytes of data announced, {length - stream.tell()} are there")
        stream.seek(-(-size // 2880) * 2880, os.SEEK_CUR)


def write_fits(path: Path, hdus: fits.HDUList) -> None:
    """Write to a temporary name in the same directory, then rename; the directory is made if absent."""
    with replacing(Path(path)) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        hdus.writeto(temporary, overwrite=True)
