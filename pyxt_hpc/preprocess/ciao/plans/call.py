"""A call of a CIAO tool as a value: its parameters, the files that it reads, and those that it must write.

The functions write files and chips in the syntax of CIAO's data model.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OUT = "{out}"
"""Placeholder in parameters for the folder that a tool writes to.

The runner replaces it by a temporary folder, checks the products there, and moves them to ``Call.folder``. In
a printed plan it is ``Call.folder`` itself.
"""

Value = str | int | float | bool | tuple[str, ...]
"""Value of a parameter; a tuple is a stack, which runtool joins with commas."""


@dataclass(frozen=True)
class Call:
    """One call of a CIAO tool.

    Attributes
    ----------
    tool
        Its name in ``ciao_contrib.runtool``, or ``download_chandra_obsid``.
    parameters
        Values by full names of parameters. Paths of products begin with `OUT`.
    reads
        Files that must exist before the call; if one changes, the call is outdated.
    writes
        Patterns of file names in `folder`; each must match a readable, non-empty file after the call.
    folder
        Final folder of these files.
    obsid
        ObsID of the observation; empty for a call for all observations.
    in_place
        Whether the tool continues with existing files (a download), and so writes to `folder` itself.
    """

    tool: str
    parameters: Mapping[str, Value]
    reads: tuple[Path, ...]
    writes: tuple[str, ...]
    folder: Path
    obsid: str = ""
    in_place: bool = False


def on_array(events: Path, chips: Iterable[int]) -> str:
    """Filter for the chips of an array that were on, such as ``evt2.fits[ccd_id=0:3]``.

    It is a range because stacks of files are split at commas; chips within the range were either on or have
    no events.
    """
    chips = tuple(chips)
    return f"{events}[ccd_id={min(chips)}:{max(chips)}]"


def on_chips(events: Path, chips: Iterable[int]) -> str:
    """Filter for the events of some CCDs, for tools that take one file."""
    return f"{events}[ccd_id={','.join(map(str, chips))}]"


def stack(files: Iterable[Path]) -> tuple[str, ...]:
    """Stack of several files for one parameter."""
    return tuple(map(str, files))
