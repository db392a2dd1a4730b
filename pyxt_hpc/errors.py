"""The exceptions a user can meet, by what the user must do about them.

Every message names the file or key, what was found, what was expected and what to do. Libraries
raise; only the command line turns an error into one line and the exit code below.

===========  ==================================================================
exit code    meaning
===========  ==================================================================
0            done
1            a defect of pyxt_hpc (the only case that shows a traceback)
2            the input, the configuration or the way of launching must be changed, or disk
             space be freed; nothing helps until somebody did it
75           interrupted, out of time, or another process is writing the same results;
             what was finished is stored: run the same again (stages 5, 6 with --continue)
===========  ==================================================================
"""

from pathlib import Path

EXIT_DONE = 0
EXIT_DEFECT = 1
EXIT_INPUT = 2
EXIT_TRY_AGAIN = 75

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


class PyxtError(Exception):
    """Root of every error that pyxt_hpc raises on purpose."""

    exit_code = EXIT_INPUT


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
    """A signal or the time limit ended the run; everything finished is stored."""

    exit_code = EXIT_TRY_AGAIN
