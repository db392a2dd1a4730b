"""What one look at the machine gives."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How usable a part is."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    """Not there, and can be done without."""
    BROKEN = "broken"
    """Nothing works without it."""


@dataclass(frozen=True)
class Finding:
    """A part of the machine, and how it is.

    Parameters
    ----------
    verdict
        How usable it is.
    found
        Which version or how much there is; or why it is not usable.
    prevents
        What does not work because of that, or how it is mended; empty if all is well.
    part
        Such as ``MPI``.
    """

    verdict: Verdict
    found: str
    prevents: str = ""
    part: str = ""
