"""Conversion of an exception to a message for the user and an exit code.

Errors of this package have their message. Errors of the system (files, memory, limits, missing libraries) get
a message with a remedy; all others are defects of pyxt_hpc.
"""

import errno
import os
from dataclasses import dataclass

from pyxt_hpc.errors import EXIT_DEFECT, EXIT_INPUT, EXIT_TRY_AGAIN, PyxtError
from pyxt_hpc.files.quoting import one_line, shown
from pyxt_hpc.files.system_errors import FULL, PASSING, chain, error_number, no_room, reason_of


@dataclass(frozen=True)
class Ending:
    """Message and exit code at the end of a process.

    Parameters
    ----------
    line
        Message in one line; empty for a defect, which shows its traceback.
    more
        A line for each of several problems.
    exit_code
        Exit code as in `errors`.
    """

    line: str
    exit_code: int
    more: tuple[str, ...] = ()


_MEMORY = (
    "not enough memory: end other programs, raise the limit (`ulimit -v`, the job's memory), or use fewer "
    "processes on a node; finished results are stored"
)

_REMEDY = {
    errno.EACCES: "you are not allowed to do this: check the permissions of the file and its folders",
    errno.EPERM: "you are not allowed to do this: check the permissions of the file and its folders",
    errno.EROFS: "its file system is read-only: work in another folder",
    errno.EMFILE: "raise the limit of open files (`ulimit -n 1024`)",
    errno.ENFILE: "the limit is that of the whole machine: end other programs",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "the links form a circle: correct them",
    errno.ENOTDIR: "something in the path is not a folder: correct it",
    errno.EISDIR: "it is a folder, expected a file",
    errno.ENOENT: "it does not exist: check the path",
    errno.EIO: "the disk or its connection has failed: ask the administrator of the machine",
    errno.EAGAIN: "the system cannot give more processes or resources now: try again, or raise `ulimit -u`",
}

# The loader of shared libraries reports these causes only as text.
_LOADER = (
    ("Too many open files", _REMEDY[errno.EMFILE]),
    ("failed to map segment", _MEMORY),
    ("Cannot allocate memory", _MEMORY),
    ("cannot allocate memory", _MEMORY),
)


def ending_of(error: BaseException) -> Ending:
    """Line and exit code of an exception that ends a command."""
    if isinstance(error, PyxtError) and error.problems:
        more = tuple(one_line(problem) for problem in error.problems)
        return Ending(one_line(f"{error.heading}:"), error.exit_code, more)
    if isinstance(error, PyxtError):
        return Ending(one_line(str(error)), error.exit_code)
    if isinstance(error, KeyboardInterrupt) or (
        # A library that is being loaded can convert the interrupt to an ImportError.
        isinstance(error, ImportError) and any(isinstance(one, KeyboardInterrupt) for one in chain(error))
    ):
        return Ending("interrupted: finished results are stored", EXIT_TRY_AGAIN)
    if isinstance(error, MemoryError):
        return Ending(_MEMORY, EXIT_INPUT)
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, ImportError):
        return _of_library(error)
    if isinstance(error, UnicodeError):
        return Ending(
            f"a text or the name of a file has characters that cannot be used here ({shown(error, 300)}): "
            "set a UTF-8 locale, such as LC_ALL=C.UTF-8, or rename the file",
            EXIT_INPUT,
        )
    if isinstance(error, RecursionError):
        return Ending("an input is nested too deeply: correct it", EXIT_INPUT)
    if type(error).__module__.partition(".")[0] == "mpi4py":
        return Ending(
            f"MPI failed ({shown(error, 300)}): check the launch, the nodes and their network", EXIT_INPUT
        )
    return Ending("", EXIT_DEFECT)


def _of_system(error: OSError) -> Ending:
    number = error_number(error)
    if number is None and (ending := _of_loader(error)):
        return ending
    files = [
        os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))
    ]
    what = f"{shown(' -> '.join(files), 300)}: " if files else ""
    if number in FULL:
        return Ending(what + no_room(error), EXIT_INPUT)
    if number == errno.ENOMEM:
        return Ending(what + _MEMORY, EXIT_INPUT)
    remedy = _REMEDY.get(number or 0, "check the system, then run again; finished results are stored")
    return Ending(
        one_line(f"{what}{reason_of(error)}: {remedy}"), EXIT_TRY_AGAIN if number in PASSING else EXIT_INPUT
    )


def _of_loader(error: BaseException) -> Ending | None:
    for reason, remedy in _LOADER:
        if any(reason in str(one) for one in chain(error)):
            return Ending(f"a library cannot be loaded ({reason}): {remedy}", EXIT_INPUT)
    return None


def _of_library(error: ImportError) -> Ending:
    if ending := _of_loader(error):
        return ending
    if (error.name or "").partition(".")[0] == "pyxt_hpc":
        return Ending("", EXIT_DEFECT)
    *_, first = chain(error)
    reason = shown(one_line(str(first)), 300)
    return Ending(
        f"a library cannot be loaded ({reason}): install pyxt_hpc again, with what it needs, in an "
        "environment of its own",
        EXIT_INPUT,
    )
