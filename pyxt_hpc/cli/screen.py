"""What is said to, and asked of, the person at the screen."""

import sys

from pyxt_hpc.errors import ConfigError


def echo(*lines: str) -> None:
    """Print lines at once."""
    for line in lines:
        print(line, flush=True)


def confirm(question: str, yes: bool) -> None:
    """Raise ConfigError unless `yes` or an answer agrees."""
    if yes:
        return
    nobody = ConfigError(f"{question} There is nobody to ask: add --yes to agree")
    if sys.stdin is None or sys.stdin.closed or not sys.stdin.isatty():
        raise nobody
    try:
        answer = input(f"{question} [y/N] ")
    except (EOFError, OSError, UnicodeDecodeError):
        raise nobody from None
    if answer.strip().lower() not in {"y", "yes"}:
        raise ConfigError("not agreed: nothing was changed")


def duration(seconds: float) -> str:
    """Such as ``1 h 02 min``, ``2 min 03 s`` or ``3 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
