"""A command: its name and help, its options, and what it does."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass

from pyxt_hpc.errors import LaunchError
from pyxt_hpc.files.writing import products_stay
from pyxt_hpc.parallel.launch import read_launch
from pyxt_hpc.parallel.signals import raise_when_interrupted

EXIT_CODES = """\
exit codes:
  0   done
  1   a defect of pyxt-hpc; the traceback is worth a bug report
  2   the input, the configuration or the way of launching must be changed, or a full disk be
      cleared; one line says how
  75  interrupted, out of time, or another process writes the same results; everything finished
      is stored: run the same again (create-bins and fit-spectra with --continue)
"""

_EXIT_CODES_IN_SHORT = """\
exit codes: 0 done; 1 a defect of pyxt-hpc; 2 change what the message names; 75 run again
(see pyxt-hpc --help)
"""

Commands = argparse._SubParsersAction  # what add_subparsers returns
Option = Callable[[argparse.ArgumentParser], object]
Run = Callable[[argparse.Namespace], None]


def refuse_ranks(command: str) -> None:
    """Raise LaunchError under mpirun, where every rank would do the same."""
    if read_launch(os.environ).is_parallel:
        raise LaunchError(f"{command} is serial: run it without mpirun, e.g. on the login node")
    raise_when_interrupted()  # this is no rank, which the program's start could not know


@dataclass(frozen=True)
class Command:
    """A command; to call it is to run it.

    Its name is in full, such as ``results export``; a serial one refuses to run under mpirun. The first page
    of help tells only of those that are listed.
    """

    name: str
    summary: str
    description: str
    options: tuple[Option, ...]
    serial: bool
    is_listed: bool
    run: Run

    def add_to(self, commands: Commands) -> None:
        """Add its parser to the tree of commands."""
        parser = _add_parser(commands, self)
        for add_option in self.options:
            add_option(parser)
        parser.set_defaults(run=self)

    def __call__(self, arguments: argparse.Namespace) -> None:
        if self.serial:
            refuse_ranks(self.name)
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
        own = _add_parser(commands, self).add_subparsers(metavar="COMMAND", required=True)
        for command in self.commands:
            command.add_to(own)


def command(
    name: str, summary: str, description: str, *options: Option, serial: bool = True, is_listed: bool = True
) -> Callable[[Run], Command]:
    """Make a `Command` of the function that does it."""
    return lambda run: Command(name, summary, description, options, serial, is_listed, run)


def _add_parser(commands: Commands, one: Command | Group) -> argparse.ArgumentParser:
    return commands.add_parser(
        one.name.rpartition(" ")[2],
        **({"help": one.summary} if one.is_listed else {}),
        description=one.description,
        epilog=_EXIT_CODES_IN_SHORT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
