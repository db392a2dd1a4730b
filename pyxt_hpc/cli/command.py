"""A command: its name, help, options and function."""

import argparse
import os
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyxt_hpc.errors import EXIT_MEANINGS, LaunchError
from pyxt_hpc.files.writing import products_stay
from pyxt_hpc.parallel.launch import read_launch
from pyxt_hpc.parallel.signals import raise_when_interrupted

Commands = argparse._SubParsersAction  # what add_subparsers returns
Option = Callable[[argparse.ArgumentParser], object]
Run = Callable[[argparse.Namespace], None]

YES = "-y", "--yes"
"""Every command takes it, so that scripts can give it to all of them."""


def refuse_ranks(command: str) -> None:
    """Raise LaunchError under mpirun, where every rank would repeat the command."""
    if read_launch(os.environ).is_parallel:
        raise LaunchError(f"{command} is serial: run it without mpirun, e.g. on the login node")
    raise_when_interrupted()  # at its start, the program could not know that this is not a rank


@dataclass(frozen=True)
class Command:
    """A command; calling it runs it.

    Parameters
    ----------
    name
        Full name, such as ``results export``.
    summary, description
        Line in the list of commands, and beginning of the help.
    options
        Options of the command; `_say_options` adds those of all commands.
    example
        Complete command line for the help.
    serial
        Whether it refuses to run under mpirun.
    is_listed
        Whether the first page of help has a line for it.
    run
        Function of the command.
    """

    name: str
    summary: str
    description: str
    options: tuple[Option, ...]
    example: str
    serial: bool
    is_listed: bool
    run: Run

    def add_to(self, commands: Commands) -> None:
        """Add its parser to the tree of commands."""
        example = f"example:\n  {self.example}\n\n" if self.example else ""
        parser = _add_parser(commands, self, example)
        for add_option in self.options:
            add_option(parser)
        if parser.get_default("yes") is None:
            parser.add_argument(
                *YES, action="store_true", help="accepted by every command; this one asks no question"
            )
        _say_options(parser)
        parser.set_defaults(run=self)

    def __call__(self, arguments: argparse.Namespace) -> None:
        if self.serial:
            refuse_ranks(self.name)
        if getattr(arguments, "output", None) is not None:
            arguments.check_output(arguments.output)
        with products_stay():
            self.run(arguments)


@dataclass(frozen=True)
class Group:
    """Commands that share their first word."""

    name: str
    summary: str
    description: str
    commands: tuple[Command, ...]
    is_listed: bool = True

    def add_to(self, commands: Commands) -> None:
        """Add its parser, and those of its commands, to the tree of commands."""
        own = _add_parser(commands, self, "").add_subparsers(metavar="COMMAND", required=True)
        for command in self.commands:
            command.add_to(own)


def command(
    name: str,
    summary: str,
    description: str,
    *options: Option,
    example: str = "",
    serial: bool = True,
    is_listed: bool = True,
) -> Callable[[Run], Command]:
    """Make a `Command` from its function."""
    return lambda run: Command(name, summary, description, options, example, serial, is_listed, run)


def exit_code_lines() -> Iterator[str]:
    """The exit codes of all commands, and their meanings."""
    yield "exit codes:"
    for code, meaning in EXIT_MEANINGS.items():
        yield from textwrap.wrap(
            meaning, 96, initial_indent=f"  {code:<4}", subsequent_indent=" " * 6, break_on_hyphens=False
        )


def _add_parser(commands: Commands, one: Command | Group, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        one.name.rpartition(" ")[2],
        help=one.summary,
        description=one.description,
        epilog=f"{example}Exit codes and all commands: pyxt-hpc --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _say_options(parser: argparse.ArgumentParser) -> None:
    """Options for the messages of every command."""
    say = parser.add_argument_group("messages")
    how_much = say.add_mutually_exclusive_group()
    how_much.add_argument(
        "-q", "--quiet", action="store_true", help="print only warnings, errors and the requested results"
    )
    how_much.add_argument(
        "-v", "--verbose", action="store_true", help="print more, with the origin of errors in the program"
    )
    say.add_argument(
        "--log-file", type=Path, metavar="FILE", help="also append all messages, with times, to this file"
    )
