"""How files, chips and regions are written for CIAO's data model."""

from collections.abc import Iterable
from pathlib import Path


def on_chips(events: Path, chips: Iterable[int]) -> str:
    """The events of some CCDs, as ``evt2.fits[ccd_id=0:3]``."""
    return f"{events}[ccd_id={','.join(_ranges(sorted(chips)))}]"


def stack(files: Iterable[Path]) -> tuple[str, ...]:
    """Several files for one parameter."""
    return tuple(map(str, files))


def _ranges(numbers: list[int]) -> Iterable[str]:
    """Neighbours as a range, ``0:3``."""
    first = 0
    for i in range(1, len(numbers) + 1):
        if i == len(numbers) or numbers[i] != numbers[i - 1] + 1:
            low, high = numbers[first], numbers[i - 1]
            yield str(low) if low == high else f"{low}:{high}"
            first = i
