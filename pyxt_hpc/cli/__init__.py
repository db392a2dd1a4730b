"""The command line: parse, call one library function, print, exit with a documented code.

A module of `commands` holds the commands of one purpose, each below the options it takes, and lists
them in ``COMMANDS``; `parser` puts these lists together. Whatever goes wrong comes to `main`, the one place
that turns it into a line and an exit code.

Everything heavy is imported by the command that needs it: ``--help`` and ``init-cluster`` stay quick.
"""

import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import ExitStack

from pyxt_hpc.cli.logs import as_asked, log_to_screen
from pyxt_hpc.cli.parser import make_parser, parse
from pyxt_hpc.cli.screen import complain
from pyxt_hpc.cli.streams import guard_streams
from pyxt_hpc.errors import EXIT_DEFECT, EXIT_DONE, ConfigError, LaunchError, PyxtError
from pyxt_hpc.exit_codes import ending_of
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.parallel.launch import read_launch
from pyxt_hpc.parallel.signals import was_interrupted
from pyxt_hpc.parallel.world import end_ranks

__all__ = ["main"]

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    guard_streams()
    launch = read_launch(os.environ)
    # A launcher that does not say how many it started leaves the first rank in the belief that it is alone.
    prints = launch.rank == 0 or (launch.size is None and launch.rank == 1)
    log_to_screen()
    if launch.rank:
        # What it warns of is the same on all.
        logging.getLogger("pyxt_hpc.arrays.compiled").setLevel(logging.ERROR)
    with ExitStack() as manner:
        try:
            argv = list(sys.argv[1:] if argv is None else argv)
            _refuse_nul(argv)
            _mend_environment()
            arguments = parse(argv)
            manner.enter_context(as_asked(arguments, argv, prints))
            arguments.run(arguments)
        except (Exception, KeyboardInterrupt) as error:
            return _end(error, prints)
        return EXIT_DONE


def _complete() -> None:
    """Tell the shell what may follow, and end."""
    try:
        import argcomplete
    except ImportError:  # a shell that was prepared by another environment; it shows no message
        sys.exit(1)
    argcomplete.autocomplete(make_parser())


def _refuse_nul(argv: Sequence[str]) -> None:
    """Refuse a NUL character, which no system passes on but a caller of `main` may."""
    for word in argv:
        if "\0" in word:
            raise ConfigError(f"{quoted(word)} has a NUL character: correct it")


def _mend_environment() -> None:
    """Set or check variables that would make libraries loaded later end with errors of their own."""
    os.environ["MPLBACKEND"] = "agg"  # pictures are files
    threads = os.environ.get("NUMBA_NUM_THREADS", "1")
    if not re.fullmatch("[0-9]{1,6}", threads) or not int(threads):
        raise ConfigError(f"NUMBA_NUM_THREADS is {quoted(threads)}, expected a number above 0: unset it")


def _end(error: BaseException, prints: bool) -> int:
    """Say what an exception means, once of all ranks, and see that all of them end."""
    if isinstance(error, ImportError) and was_interrupted():
        error = KeyboardInterrupt()
    ending = ending_of(error)
    # These are raised by all ranks alike; others on a rank that is not the master are its own.
    of_all = isinstance(error, (ConfigError, LaunchError, KeyboardInterrupt))
    if prints or not of_all:
        if ending.exit_code == EXIT_DEFECT:
            traceback.print_exception(error)
            log.debug("a defect:", exc_info=error)
            complain("", "this is a defect of pyxt_hpc: please report the lines above and the command")
        else:
            complain("" if isinstance(error, KeyboardInterrupt) else "error: ", ending.line, *ending.more)
            log.debug("where it came from:", exc_info=error)
    if not isinstance(error, PyxtError) or not (prints or of_all):
        end_ranks(error, ending.exit_code)
    return ending.exit_code
