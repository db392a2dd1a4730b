"""Results of the checks."""

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """Usability of a part."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    """The part is absent, but not required."""
    BROKEN = "broken"
    """The part is required and does not work."""


@dataclass(frozen=True)
class Finding:
    """Result of the check of one part.

    Parameters
    ----------
    verdict
        Usability of the part.
    found
        Version or amount; or the reason why the part is not usable.
    prevents
        Consequence of the finding, or its remedy; empty if there is none.
    part
        Name of the part, such as ``MPI``.
    """

    verdict: Verdict
    found: str
    prevents: str = ""
    part: str = ""
