"""Output and questions at the terminal."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO

from pyxt_hpc.cli.plain import plain
from pyxt_hpc.errors import ConfigError

_WARNING = "warning: "


@dataclass(frozen=True)
class Manner:
    """Form of the command's output by its options; `note` gets every line, for a log file."""

    quiet: bool = False
    json: bool = False
    note: Callable[[str], object] = lambda line: None


manner = Manner()


def echo(*lines: str) -> None:
    """Print requested results without delay."""
    for line in lines:
        print(line, flush=True)
        manner.note(line)


def tell(*lines: str) -> None:
    """Print progress without delay; with --quiet, only warnings.

    With --json, progress goes to standard error, and only the numbers to standard output.
    """
    for line in lines:
        is_warning = line.startswith(_WARNING)
        if is_warning or not manner.quiet:
            stream = sys.stderr if manner.json or manner.quiet else sys.stdout
            label = _WARNING if is_warning else ""
            print(painted(label, "33", stream) + line[len(label) :], file=stream, flush=True)
        manner.note(line)


def answer(numbers: object, lines: Iterable[str]) -> None:
    """Print numbers as JSON with --json, else lines."""
    if manner.json:
        echo(json.dumps(plain(numbers), indent=1, ensure_ascii=False))
    else:
        echo(*lines)


def complain(label: str, *lines: str) -> None:
    """Print the reason why the command ends; further reasons are indented."""
    first, *more = lines
    print(f"pyxt-hpc: {painted(label, '31', sys.stderr)}{first}", file=sys.stderr)
    for line in more:
        print(f"  {line}", file=sys.stderr)
    manner.note("\n  ".join([f"{label}{first}", *more]))


def painted(text: str, colour: str, stream: IO[str]) -> str:
    """Text in a colour (a number of ECMA-48) on a terminal, unless NO_COLOR is set."""
    shows = text and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{colour}m{text}\x1b[0m" if shows else text


def confirm(question: str, yes: bool) -> None:
    """Raise ConfigError unless `yes` is given or the user agrees."""
    if yes:
        return
    nobody = ConfigError(f"{question} There is no terminal for an answer: add --yes to agree")
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise nobody
    try:
        given = input(f"{question} [y/N] ")
    except (EOFError, OSError, UnicodeDecodeError):
        raise nobody from None
    if given.strip().lower() not in {"y", "yes"}:
        raise ConfigError("not agreed: nothing was changed")
