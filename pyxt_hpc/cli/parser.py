"""The parser of all commands, which come from the modules of `commands`."""

import argparse
import logging
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from pyxt_hpc.cli.command import Command, Group, exit_code_lines
from pyxt_hpc.cli.commands import (
    calibration,
    cluster,
    demo,
    doctor,
    fitting,
    importing,
    jobs,
    manual,
    maps,
    mass,
    preprocessing,
    profiles,
    report,
    results,
    run,
    spectra,
)
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import MAX_WORD, quoted, shown, suggestion
from pyxt_hpc.version import __version__

HEADINGS = {
    "run": (cluster, importing, run, preprocessing, fitting, demo),
    "inspect": (report, results, spectra, calibration),
    "maps and profiles": (maps, profiles, mass),
    "supercomputer": (jobs,),
    "help": (manual, doctor),
}
"""Modules with commands, by their heading on the first page of help."""

FORMER = {
    "fit-spectrum": ("fit-pha",),
    "merge-results": ("results", "merge"),
    "pull-results": ("results", "pull"),
    "submit": ("make-job", "--submit"),
}
"""Former names of commands, and their present names."""

log = logging.getLogger(__name__)


class Parser(argparse.ArgumentParser):
    """Parser that raises ConfigError with one line, instead of exiting.

    For an unknown command, option or choice, it suggests the most similar one.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without this, argparse takes -1 as a number, but -1e-9 as an option.
        self._negative_number_matcher = re.compile(r"-(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises
        ------
        ConfigError
            Always.
        """
        self._refuse(" ".join(shown(word, MAX_WORD) for word in message.split(" ")))

    def _refuse(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}: see {self.prog} --help")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """Refuse unknown arguments here, where their command is known."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            option = unknown[0].partition("=")[0]
            if option.startswith("-"):
                known = [name for name in self._option_string_actions if name.startswith("--")]
                self._refuse(f"unknown option {quoted(option)}{suggestion(option, known)}")
            self._refuse(f"{quoted(unknown[0])} is one word too many")
        return parsed, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = {str(choice): str(choice) for choice in action.choices}
        if isinstance(action, argparse._SubParsersAction):
            present = known | {former: " ".join(words) for former, words in FORMER.items()}
            self._refuse(f"unknown command {quoted(str(value))}{suggestion(str(value), present)}")
        raise argparse.ArgumentError(
            action, f"{quoted(str(value))} is none of {', '.join(known)}{suggestion(str(value), known)}"
        )


def with_present_names(argv: Sequence[str]) -> list[str]:
    """The command line with the present name of a command, and a note if it has a former one."""
    if not argv or argv[0] not in FORMER:
        return list(argv)
    present = FORMER[argv[0]]
    log.info("%s is now called %s", argv[0], " ".join(present))
    return [*present, *argv[1:]]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse a command line into its command (``run``) and options.

    Raises
    ------
    ConfigError
        If it cannot be parsed.
    """
    if not argv:
        raise ConfigError(
            "a command is missing: pyxt-hpc --help lists all, "
            "pyxt-hpc demo runs all stages on a simulated cluster"
        )
    if argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version"):
        raise ConfigError(f"{quoted(argv[0])} is before the command, expected after it: see pyxt-hpc --help")
    return make_parser().parse_args(with_present_names(argv))


def make_parser() -> argparse.ArgumentParser:
    """Parser of all commands; its result has the command in ``run``."""
    parser = Parser(
        prog="pyxt-hpc",
        usage="%(prog)s COMMAND [options]",
        description="Temperature maps of galaxy clusters from Chandra ACIS observations.",
        epilog="\n".join((*_listing(), "", *exit_code_lines())),
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
    yield "pyxt-hpc COMMAND --help explains a command."
