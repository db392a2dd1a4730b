"""A call of a CIAO tool as a value: what is asked, what is read, what must be there afterwards.

Below it, how files and chips are written for CIAO's data model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OUT = "{out}"
"""Stands in parameters for the folder that a tool writes to.

The runner puts a temporary folder in its place, and moves what is promised to ``Call.folder`` when it has
been checked; in a printed plan it is ``Call.folder`` itself.
"""

Value = str | int | float | bool | tuple[str, ...]
"""Of a parameter; a tuple is a stack, which runtool joins with commas."""


@dataclass(frozen=True)
class Call:
    """One call of a CIAO tool.

    Attributes
    ----------
    tool
        Its name in ``ciao_contrib.runtool``, or ``download_chandra_obsid``.
    parameters
        By their full names. A path that is written begins with `OUT`.
    reads
        Files that must be there before; a change of one makes the call due again.
    writes
        Patterns of file names in `folder`; each must match a readable file that is not empty afterwards.
    folder
        Where these files are in the end.
    obsid
        Of the observation; empty for a call for all of them.
    in_place
        True if the tool goes on with what is there already (a download): it writes to `folder` itself.
    """

    tool: str
    parameters: Mapping[str, Value]
    reads: tuple[Path, ...]
    writes: tuple[str, ...]
    folder: Path
    obsid: str = ""
    in_place: bool = False


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
