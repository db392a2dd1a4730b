"""How files and chips are written for CIAO's data model."""

from collections.abc import Iterable
from pathlib import Path


def on_array(events: Path, chips: Iterable[int]) -> str:
    """The events of the chips of an array that were on, as ``evt2.fits[ccd_id=0:3]``.

    A range and no list, as stacks of files may split at commas: the chips in between were not on.
    """
    chips = tuple(chips)
    return f"{events}[ccd_id={min(chips)}:{max(chips)}]"


def on_chips(events: Path, chips: Iterable[int]) -> str:
    """The events of some CCDs, for tools that take one file."""
    return f"{events}[ccd_id={','.join(map(str, chips))}]"


def stack(files: Iterable[Path]) -> tuple[str, ...]:
    """Several files for one parameter."""
    return tuple(map(str, files))
