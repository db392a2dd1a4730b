"""What is said to, and asked of, the person at the screen."""

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
    """How the command that runs speaks, as its options have it; `note` gets every line, for a log file."""

    quiet: bool = False
    json: bool = False
    note: Callable[[str], object] = lambda line: None


manner = Manner()


def echo(*lines: str) -> None:
    """Print at once what the person has asked for."""
    for line in lines:
        print(line, flush=True)
        manner.note(line)


def tell(*lines: str) -> None:
    """Print at once what is done on the way; --quiet leaves only warnings of it.

    With --json it goes to standard error: standard output is for the numbers alone.
    """
    for line in lines:
        is_warning = line.startswith(_WARNING)
        if is_warning or not manner.quiet:
            stream = sys.stderr if manner.json or manner.quiet else sys.stdout
            label = _WARNING if is_warning else ""
            print(painted(label, "33", stream) + line[len(label) :], file=stream, flush=True)
        manner.note(line)


def answer(numbers: object, lines: Iterable[str]) -> None:
    """Print numbers as JSON if that is asked for, else lines."""
    if manner.json:
        echo(json.dumps(plain(numbers), indent=1, ensure_ascii=False))
    else:
        echo(*lines)


def complain(label: str, *lines: str) -> None:
    """Print why the command ends; what is wrong besides is indented."""
    first, *more = lines
    print(f"pyxt-hpc: {painted(label, '31', sys.stderr)}{first}", file=sys.stderr)
    for line in more:
        print(f"  {line}", file=sys.stderr)
    manner.note("\n  ".join([f"{label}{first}", *more]))


def painted(text: str, colour: str, stream: IO[str]) -> str:
    """Text in a colour (a number of ECMA-48) where that is shown: on a terminal, unless NO_COLOR is set."""
    shows = text and stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\x1b[{colour}m{text}\x1b[0m" if shows else text


def confirm(question: str, yes: bool) -> None:
    """Raise ConfigError unless `yes` or an answer agrees."""
    if yes:
        return
    nobody = ConfigError(f"{question} There is nobody to ask: add --yes to agree")
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise nobody
    try:
        given = input(f"{question} [y/N] ")
    except (EOFError, OSError, UnicodeDecodeError):
        raise nobody from None
    if given.strip().lower() not in {"y", "yes"}:
        raise ConfigError("not agreed: nothing was changed")
