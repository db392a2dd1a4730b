"""The tree of commands, put together from the modules that have them."""

import argparse
import logging
import textwrap
from collections.abc import Iterator, Sequence
from typing import NoReturn

from pyxt_hpc import __version__
from pyxt_hpc.cli import (
    cluster,
    demo,
    fitting,
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
from pyxt_hpc.cli.command import EXIT_CODES, Command, Group
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import shown

HEADINGS = {
    "run": (cluster, run, preprocessing, fitting, demo),
    "inspect": (results, spectra),
    "maps and profiles": (maps, profiles, mass),
    "supercomputer": (jobs,),
    "help": (manual,),
}
"""Modules with commands, by their heading on the first page of help."""

FORMER = {
    "fit-spectrum": ("fit-pha",),
    "merge-results": ("results", "merge"),
    "pull-results": ("results", "pull"),
    "submit": ("make-job", "--submit"),
}
"""Names that commands had, and what they are called now."""

log = logging.getLogger(__name__)


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


def with_present_names(argv: Sequence[str]) -> list[str]:
    """The command line with the present name of a command, and a note if it has a former one."""
    if not argv or argv[0] not in FORMER:
        return list(argv)
    present = FORMER[argv[0]]
    log.info("%s is now called %s", argv[0], " ".join(present))
    return [*present, *argv[1:]]


def make_parser() -> argparse.ArgumentParser:
    """Parser of all commands; what it parses has the command in ``run``."""
    parser = Parser(
        prog="pyxt-hpc",
        usage="%(prog)s COMMAND [options]",
        description="Temperature maps of galaxy clusters from Chandra ACIS observations.",
        epilog="\n".join((*_listing(), "", EXIT_CODES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pyxt_hpc {__version__}")
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, prog="pyxt-hpc", help=argparse.SUPPRESS
    )
    for command in all_commands():
        command.add_to(commands)
    return parser


def all_commands() -> list[Command | Group]:
    """Every command and group, in the order of the first page of help."""
    return [command for modules in HEADINGS.values() for module in modules for command in module.COMMANDS]


def _listing() -> Iterator[str]:
    """Every command with its summary, under headings."""
    for heading, modules in HEADINGS.items():
        yield f"{heading}:"
        commands = [command for module in modules for command in module.COMMANDS]
        yield from (f"  {one.name:<19} {one.summary}" for one in commands if one.is_listed)
        if others := [one.name for one in commands if not one.is_listed]:
            yield from textwrap.wrap(
                f"also {', '.join(others)}", 98, initial_indent="  ", subsequent_indent="  ",
                break_on_hyphens=False,
            )  # fmt: skip
        yield ""
    yield "pyxt-hpc COMMAND --help tells of one of them."
