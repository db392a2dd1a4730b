"""The command line: parse, call one library function, print, exit with a documented code.

A module of `commands` has the commands for one purpose, each below its options, and lists them in
``COMMANDS``; `parser` combines these lists. All errors reach `main`, which converts them to a message and an
exit code.

Commands import large modules only when they need them, to keep ``--help`` and ``init-cluster`` fast.
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
    # If the launcher does not give the number of ranks, the first rank cannot know that it is not alone.
    prints = launch.rank == 0 or (launch.size is None and launch.rank == 1)
    log_to_screen()
    if launch.rank:
        # Its warnings are the same on all ranks.
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
    """Give the shell the possible completions, and exit."""
    try:
        import argcomplete
    except ImportError:  # another environment prepared the shell, which shows no message
        sys.exit(1)
    argcomplete.autocomplete(make_parser())


def _refuse_nul(argv: Sequence[str]) -> None:
    """Refuse a NUL character, which a direct caller of `main` can pass."""
    for word in argv:
        if "\0" in word:
            raise ConfigError(f"{quoted(word)} has a NUL character: correct it")


def _mend_environment() -> None:
    """Set or check variables that would cause errors in libraries that are loaded later."""
    os.environ["MPLBACKEND"] = "agg"  # pictures are files
    threads = os.environ.get("NUMBA_NUM_THREADS", "1")
    if not re.fullmatch("[0-9]{1,6}", threads) or not int(threads):
        raise ConfigError(f"NUMBA_NUM_THREADS is {quoted(threads)}, expected a number above 0: unset it")


def _end(error: BaseException, prints: bool) -> int:
    """Print the message of an exception, once for all ranks, and make sure that all ranks end."""
    if isinstance(error, ImportError) and was_interrupted():
        error = KeyboardInterrupt()
    ending = ending_of(error)
    # All ranks raise these; other errors on a rank that is not the master are specific to it.
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
