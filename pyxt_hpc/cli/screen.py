"""What is said to, and asked of, the person at the screen."""

import os
import sys

from pyxt_hpc.errors import ConfigError


def say(*lines: str) -> None:
    """Print lines at once, also when a reader such as `head` has left."""
    for line in lines:
        try:
            print(line, flush=True)
        except BrokenPipeError:  # the reader has seen enough; the work goes on
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def confirm(question: str, yes: bool) -> None:
    """Raise ConfigError unless `yes` or an answer agrees."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} There is nobody to ask: add --yes to agree")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise ConfigError("not agreed: nothing was changed")


def duration(seconds: float) -> str:
    """Such as ``1:02:03``, ``2:03`` or ``3 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}" if minutes else f"{rest} s"
    )
