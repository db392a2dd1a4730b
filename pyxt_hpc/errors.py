"""The exceptions a user can meet, by what the user must do about them.

Every message names the file or key, what was found, what was expected and what to do. Libraries
raise; only the command line turns an error into one line and the exit code that `EXIT_MEANINGS` explains.
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
"""What the exit codes of every command mean; help and the manual take them from here."""

_PACKAGE = Path(__file__).parent


def is_own_defect(error: BaseException) -> bool:
    """Whether a look-up failed in a line of this package, and not in a library that reads a file.

    Readers turn whatever a library raises over a file into DamagedFile; this must stay what it is.
    """
    if not isinstance(error, KeyError | IndexError):
        return False
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and Path(last.tb_frame.f_code.co_filename).is_relative_to(_PACKAGE)


MAX_PROBLEMS = 20
"""So many are told at once: a file of another kind, taken for a configuration, can have thousands."""


class PyxtError(Exception):
    """Root of every error that pyxt_hpc raises on purpose.

    Where several things are wrong, `heading` and `problems` are the parts of the message, for whoever shows
    them one a line.
    """

    exit_code = EXIT_INPUT
    heading = ""
    problems: tuple[str, ...] = ()

    @classmethod
    def of_several(cls, heading: str, problems: Sequence[str]) -> Self:
        """One error for all that is wrong, such as ``A.ini: redshift is missing; nH is missing``."""
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
    """A file is missing: the message says which command or person provides it."""


class DamagedFile(PyxtError):
    """A file is there but cannot be what it should be (truncated, foreign, not FITS or HDF5)."""


class SelectionMismatch(PyxtError):
    """Events, background and header were not selected in the same way, and no common part would be exact."""


class ResponseMismatch(PyxtError):
    """ARF, RMF and spectra do not share an energy or a channel grid."""


class RegionSyntaxError(PyxtError):
    """A region file has a line that cannot be understood."""


class EmptySelection(PyxtError):
    """Filters, crop or masks leave nothing to work on."""


class ForeignProduct(PyxtError):
    """A product belongs to another bundle, configuration or resolution: resuming would mix two runs."""


class LaunchError(PyxtError):
    """The parallel launch is not what it seems, such as N ranks that each find a world of one."""


class BatchSystemBusy(LaunchError):
    """The batch system takes no commands at the moment; nothing was submitted or cancelled."""

    exit_code = EXIT_TRY_AGAIN


class WorkerFailed(PyxtError):
    """A worker raised or died; the message holds the regions concerned and the worker's own words."""


class CiaoError(PyxtError):
    """CIAO could not be started, or one of its tools failed; the message has its own words and its log."""


class DiskFull(PyxtError):
    """The disk or the quota is full; what was finished before is stored."""


class StoreInUse(PyxtError):
    """Another process writes the results store; a requeued job can meet its predecessor for a while."""

    exit_code = EXIT_TRY_AGAIN


class Interrupted(PyxtError):
    """A signal or the time limit ended the run; finished results are stored."""

    exit_code = EXIT_TRY_AGAIN
