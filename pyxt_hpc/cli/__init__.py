"""The command line: parse, call one library function, print, exit with a documented code.

A module of this package holds the commands of one purpose, each below the options it takes, and lists
them in ``COMMANDS``; `parser` puts these lists together.

Everything heavy is imported by the command that needs it: ``--help`` and ``init-cluster`` stay quick.
"""

import logging
import sys
from collections.abc import Sequence

from pyxt_hpc.cli.parser import make_parser
from pyxt_hpc.errors import EXIT_DONE, EXIT_TRY_AGAIN, PyxtError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO, stream=sys.stderr)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        arguments = make_parser().parse_args(argv)
        arguments.run(arguments)
    except PyxtError as error:
        print(f"pyxt-hpc: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("pyxt-hpc: interrupted: what is finished is stored", file=sys.stderr)
        return EXIT_TRY_AGAIN
    return EXIT_DONE
