"""Conversion of errors of the system to messages with the file and a remedy."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxt_hpc.errors import DamagedFile, DiskFull, FileUnreachable, PyxtError
from pyxt_hpc.files.quoting import one_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of the system that mean that there is no space for a file."""

PASSING = (
    *(errno.EAGAIN, errno.EBUSY, errno.ETXTBSY, errno.EINTR, errno.ENOLCK),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO, errno.ECOMM, errno.ENOTCONN, errno.ESHUTDOWN),
)
"""Errors of the system that may disappear within a minute, such as those of a network file system."""

OF_HDF5 = (KeyError, RuntimeError)
"""Other classes of errors that h5py raises if the system does not let it read what is there."""

_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]|errno = (\d+)")  # HDF5 gives the number only in its text
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # numpy's only information


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Convert errors of the system during work on a file to PyxtError."""
    try:
        yield
    except OSError as error:
        raise as_pyxt_error(path, error) from None


def as_pyxt_error(path: Path, error: Exception, doing: str = "read or written") -> PyxtError:
    """PyxtError with the system's reason and a remedy.

    Returns
    -------
    PyxtError
        `DiskFull` if there is no space, also if a library has replaced the error by its own;
        `FileUnreachable` if the error may pass; else `DamagedFile`.
    """
    if error_number(error) in FULL:
        return DiskFull(f"{path}: {no_room(error)}")
    if error_number(error) in PASSING:
        return FileUnreachable(
            f"{path}: cannot be {doing} now ({reason_of(error)}): such errors of a file system often "
            "pass, so give the same command again; if the error stays, ask the administrator of the machine"
        )
    return DamagedFile(
        f"{path}: cannot be {doing} ({reason_of(error)}): check that {path.parent} is a folder, that you may "
        "read and write in it, and that its file system works"
    )


def no_room(error: Exception) -> str:
    """Reason and remedy for an error in `FULL`."""
    return (
        f"cannot be written ({reason_of(error)}): free disk space, or raise the quota or the limit of file "
        "sizes (`ulimit -f`), then continue; results finished before are stored"
    )


def reason_of(error: Exception) -> str:
    """The system's text for an error, also if a library has replaced it by its own."""
    number = error_number(error)
    return (number and os.strerror(number)) or getattr(error, "strerror", None) or one_line(str(error))


def error_number(error: BaseException) -> int | None:
    """The system's number of an error, or of the error from which a library raised it."""
    first = None
    for one in chain(error):
        if isinstance(one, (OSError, *OF_HDF5)):
            number = one.errno if isinstance(one, OSError) else None
            if number is None and (match := _ERRNO_IN_TEXT.search(str(one))):
                number = int(match[1] or match[2])
            if number is None and _SHORT_WRITE.search(str(one)):
                number = errno.ENOSPC
            if number in FULL:
                return number
            first = number if first is None else first
    return first


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
