"""A command: its name and help, its options, and what it does."""

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
    """Raise LaunchError under mpirun, where every rank would do the same."""
    if read_launch(os.environ).is_parallel:
        raise LaunchError(f"{command} is serial: run it without mpirun, e.g. on the login node")
    raise_when_interrupted()  # this is no rank, which the program's start could not know


@dataclass(frozen=True)
class Command:
    """A command; to call it is to run it.

    Parameters
    ----------
    name
        In full, such as ``results export``.
    summary, description
        Its line in the list, and the beginning of its help.
    options
        Its own; those of `_say_options` every command has.
    example
        A whole command line, which its help shows.
    serial
        Whether it refuses to run under mpirun.
    is_listed
        Whether the first page of help has a line for it.
    run
        What it does.
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
                *YES, action="store_true", help="taken by every command; this one asks nothing"
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
    """Make a `Command` of the function that does it."""
    return lambda run: Command(name, summary, description, options, example, serial, is_listed, run)


def exit_code_lines() -> Iterator[str]:
    """The exit codes of all commands and what they mean."""
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
    """What is said, and where, of every command alike."""
    say = parser.add_argument_group("what is said")
    how_much = say.add_mutually_exclusive_group()
    how_much.add_argument(
        "-q", "--quiet", action="store_true", help="only warnings, errors and what was asked for"
    )
    how_much.add_argument(
        "-v", "--verbose", action="store_true", help="more, also where in the program an error came from"
    )
    say.add_argument(
        "--log-file", type=Path, metavar="FILE", help="add all that is said, with times, to this file, too"
    )
