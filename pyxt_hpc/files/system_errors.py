"""What the system refuses becomes one line that names the file and says what to do."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyxt_hpc.errors import DamagedFile, DiskFull, PyxtError
from pyxt_hpc.files.quoting import one_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors by which the system says that there is no more room for a file."""

_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]|errno = (\d+)")  # HDF5 puts it nowhere else
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # all that numpy says


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Turn what the system refuses about an open file into one line that says what to do."""
    try:
        yield
    except OSError as error:
        raise as_pyxt_error(path, error) from None


def as_pyxt_error(path: Path, error: OSError, doing: str = "read or written") -> PyxtError:
    """The error that says what the system refused, and what to do about it.

    Returns
    -------
    PyxtError
        `DiskFull` if there is no room, also where a library hides that behind an error of its own; else
        `DamagedFile`.
    """
    if error_number(error) in FULL:
        return DiskFull(f"{path}: {no_room(error)}")
    return DamagedFile(
        f"{path}: cannot be {doing} ({reason_of(error)}): see that {path.parent} is a folder you may write "
        "to, and that its file system is in order"
    )


def no_room(error: OSError) -> str:
    """What went wrong and what to do where the error is one of `FULL`."""
    return (
        f"cannot be written ({reason_of(error)}): free disk space, or raise the quota or the limit of file "
        "sizes (`ulimit -f`), then go on; what was finished before is stored"
    )


def reason_of(error: OSError) -> str:
    """The system's words for an error, also where a library hides them behind its own."""
    number = error_number(error)
    return (number and os.strerror(number)) or error.strerror or one_line(str(error))


def error_number(error: BaseException) -> int | None:
    """The system's number of an error, or of the one that a library was handling when it raised it."""
    first = None
    for one in chain(error):
        if isinstance(one, OSError):
            number = one.errno
            if number is None and (match := _ERRNO_IN_TEXT.search(str(one))):
                number = int(match[1] or match[2])
            if number is None and _SHORT_WRITE.search(str(one)):
                number = errno.ENOSPC
            if number in FULL:
                return number
            first = number if first is None else first
    return first


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
