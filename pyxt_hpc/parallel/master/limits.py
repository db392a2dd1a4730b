"""Limits at which a run stops by itself."""

import re
import time
from dataclasses import dataclass

from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted


@dataclass(frozen=True)
class Limits:
    """When to stop handing out work.

    Parameters
    ----------
    deadline
        Time of the monotonic clock [s] by which all chunks must be back. None: no limit.
    items
        Largest number of items to hand out. None: no limit.
    """

    deadline: float | None = None
    items: int | None = None

    @classmethod
    def of(cls, seconds: float | None = None, items: int | None = None) -> "Limits":
        """Limits of a run that begins now."""
        return cls(None if seconds is None else time.monotonic() + seconds, items)


def parse_time_limit(text: str) -> float:
    """Seconds of a time limit in seconds or as HH:MM:SS. Raises ConfigError if it is neither, or is 0."""
    match = re.fullmatch(r"(?:([0-9]{1,6}):([0-5]?[0-9]):)?([0-9]{1,9}(?:\.[0-9]{0,9})?)", text.strip())
    if match:
        hours, minutes, seconds = match.groups(default="0")
        total = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        if total > 0:
            return total
    raise ConfigError(f"time limit {quoted(text)}: expected seconds or HH:MM:SS, above 0")
