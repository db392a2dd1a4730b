"""Exceptions that users can meet; there is one class for each kind of remedy.

Every message names the file or key, the value found, the value expected and the remedy. Only the command line
converts an exception to one line and an exit code (`EXIT_MEANINGS`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

EXIT_DONE = 0
EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_TRY_AGAIN = 75

EXIT_MEANINGS = {
    EXIT_DONE: "done",
    EXIT_DEFECT: "a defect of pyxt-hpc (the only case that shows a traceback): please report it",
    EXIT_INPUT: "the input, the configuration or the launch must be changed, or disk space freed: the "
    "message says how; without a change, the command fails again",
    EXIT_TRY_AGAIN: "interrupted, out of time, or another process writes the same results; finished results "
    "are stored: give the same command again (create-bins and fit-spectra with --continue)",
}
"""Meanings of the exit codes of all commands, for the help."""

_PACKAGE = Path(__file__).parent


def is_own_defect(error: BaseException) -> bool:
    """Whether a KeyError or IndexError comes from a line of this package, and not from a library.

    Readers convert errors of libraries to DamagedFile, but must not convert defects of this package.
    """
    if not isinstance(error, KeyError | IndexError):
        return False
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and Path(last.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE)


MAX_PROBLEMS = 20
"""Largest number of problems in a message; a file of another kind, read as a configuration, can have
thousands."""


class PyxtError(Exception):
    """Base class of the errors of pyxt_hpc.

    If there are several problems, `heading` and `problems` are the parts of the message, to be shown on
    separate lines.
    """

    exit_code = EXIT_INPUT
    heading = ""
    problems: tuple[str, ...] = ()

    @classmethod
    def of_several(cls, heading: str, problems: Sequence[str]) -> Self:
        """One error for all problems, such as ``A.ini: redshift is missing; nH is missing``."""
        if len(problems) > MAX_PROBLEMS:
            more = len(problems) - MAX_PROBLEMS
            problems = [*problems[:MAX_PROBLEMS], f"and {more} more"]
        error = cls(f"{heading}: {'; '.join(problems)}")
        if len(problems) > 1:
            error.heading, error.problems = heading, tuple(problems)
        return error


class ConfigError(PyxtError):
    """The configuration file or an option must be corrected."""


class MissingInput(PyxtError):
    """A file is missing; the message names the command or person that provides it."""


class DamagedFile(PyxtError):
    """A file exists but is not valid (truncated, of another kind, not FITS or HDF5)."""


class FileUnreachable(DamagedFile):
    """A file system did not answer properly, which often passes: the file itself may be in order."""

    exit_code = EXIT_TRY_AGAIN


class SelectionMismatch(PyxtError):
    """Events, background and header have different selections without an exact common part."""


class ResponseMismatch(PyxtError):
    """ARF, RMF and spectra do not share an energy or a channel grid."""


class RegionSyntaxError(PyxtError):
    """A region file has a line that cannot be parsed."""


class EmptySelection(PyxtError):
    """Filters, crop or masks leave no data."""


class ForeignProduct(PyxtError):
    """A product belongs to another bundle, configuration or resolution: resuming would mix two runs."""


class LaunchError(PyxtError):
    """The parallel launch is wrong, for example N ranks that each find an MPI world of size 1."""


class BatchSystemBusy(LaunchError):
    """The batch system takes no commands at the moment; nothing was submitted or cancelled."""

    exit_code = EXIT_TRY_AGAIN


class WorkerFailed(PyxtError):
    """A worker raised an error or died; the message has the regions and the worker's error."""


class CiaoError(PyxtError):
    """CIAO could not be started, or one of its tools failed; the message has its output and its log."""


class DiskFull(PyxtError):
    """The disk or the quota is full; results finished before are stored."""


class StoreInUse(PyxtError):
    """Another process writes the results store, for example the previous attempt of a requeued job."""

    exit_code = EXIT_TRY_AGAIN


class Interrupted(PyxtError):
    """A signal or the time limit ended the run; finished results are stored."""

    exit_code = EXIT_TRY_AGAIN
