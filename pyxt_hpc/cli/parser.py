"""The tree of commands, put together from the modules that have them."""

import argparse
from typing import NoReturn

from pyxt_hpc import __version__
from pyxt_hpc.cli import (
    cluster,
    demo,
    fitting,
    importing,
    jobs,
    manual,
    maps,
    mass,
    preprocessing,
    profiles,
    results,
    run,
    spectra,
)
from pyxt_hpc.cli.command import EXIT_CODES
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import shown

MODULES = (
    cluster,
    importing,
    preprocessing,
    run,
    fitting,
    results,
    spectra,
    jobs,
    maps,
    profiles,
    mass,
    demo,
    manual,
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line of short parts, and leaves the exit to `main`."""

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises
        ------
        ConfigError
            Always.
        """
        words = " ".join(shown(word) for word in message.split(" "))
        raise ConfigError(f"{words}: see {self.prog} --help")


def make_parser() -> argparse.ArgumentParser:
    """Parser of all commands; what it parses has the command in ``run``."""
    parser = Parser(
        prog="pyxt-hpc",
        description="Temperature maps of galaxy clusters from Chandra ACIS observations.",
        epilog="A cluster is done by init-cluster and run, or stage by stage: process-data,\n"
        "propose-regions, remove-sources, generate-responses, crop-data, create-bins, fit-spectra,\n"
        "make-maps; `status` tells how far the fits are. `demo` does it on a simulated cluster;\n"
        "`help` shows the manual.\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyxt_hpc {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in MODULES:
        for command in module.COMMANDS:
            command.add_to(commands)
    return parser
