"""The data subspace of a table: the record in its header of how CIAO's data model selected its rows.

Axis n has the name DSTYPn and the selection DSVALn: ranges as in ``0:0,2:2``, a region in ``sky(x,y)``, or
``TABLE``; for ``TABLE``, DSREFn names the block with the selection (``:GTI7``). The selection is the union of
its components, typically one for each CCD. Keywords of further components begin with the component's number
(``2DSVAL1``); keywords with the same value as in the first component are left out. (ASC FITS File Designers'
Guide; CIAO, ``ahelp dmsubspace``.)
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.times import gti as gti_arithmetic

LAST_CCD = 9
PI_EV = 14.6  # width of a PI channel [eV]: pi = floor(energy / 14.6) + 1
_MAX_EV = 1e6
_RANGE = re.compile(r"\s*([-+.\deE]*)\s*:\s*([-+.\deE]*)\s*")


@dataclass(frozen=True)
class Component:
    """One component: for each axis, by lower-case name, the text of the selection and the block's name."""

    selection: dict[str, str]
    block: dict[str, str]

    def ranges(self, axis: str) -> NDArray[np.float64] | None:
        """Closed ranges (m, 2) of an axis; None if it has no ranges (a region, a table or no selection)."""
        text = self.selection.get(axis)
        return None if text is None else parse_ranges(text)

    def ccds(self) -> frozenset[int]:
        """CCDs that the component selects; all CCDs if it has no ranges of ``ccd_id``."""
        ranges = self.ranges("ccd_id")
        every = range(LAST_CCD + 1)
        if ranges is None:
            return frozenset(every)
        return frozenset(ccd for ccd in every if ((ranges[:, 0] <= ccd) & (ccd <= ranges[:, 1])).any())


@dataclass(frozen=True)
class Subspace:
    """All components of a table's data subspace; an empty tuple if the table has no data subspace."""

    components: tuple[Component, ...]

    @classmethod
    def of(cls, header: fits.Header) -> "Subspace":
        """Read the data subspace from a table's header."""
        axes = {
            int(m.group(1)): str(header[key]).strip().lower()
            for key in header
            if (m := re.fullmatch(r"DSTYP(\d+)", key))
        }
        numbers = {
            int(m.group(1) or 1)
            for key in header
            if (m := re.fullmatch(r"(\d*)DS(?:VAL|REF)(\d+)", key)) and int(m.group(2)) in axes
        }
        if not numbers:
            return cls(())
        return cls(tuple(_component(header, axes, number) for number in sorted(numbers)))

    def of_chips(self, chips: Iterable[int]) -> "Subspace":
        """Subspace of the components that select any of these CCDs."""
        wanted = frozenset(chips)
        return Subspace(tuple(c for c in self.components if c.ccds() & wanted))

    def ccds(self) -> frozenset[int] | None:
        """CCDs that the components select; None if no component has ranges of ``ccd_id``."""
        if all(c.ranges("ccd_id") is None for c in self.components):
            return None
        return frozenset().union(*(c.ccds() for c in self.components))

    def gti_blocks(self) -> dict[int, str]:
        """Name, in upper case, of the block with the good times of each CCD."""
        return {
            ccd: component.block["time"]
            for component in self.components
            if "time" in component.block and component.ranges("ccd_id") is not None
            for ccd in component.ccds()
        }

    def ranges(self, axis: str) -> NDArray[np.float64] | None:
        """Ranges (m, 2) of an axis in all components; None unless every component restricts it by ranges."""
        found = [component.ranges(axis) for component in self.components]
        known = [ranges for ranges in found if ranges is not None]
        if not known or len(known) < len(found):
            return None
        return np.unique(np.concatenate(known), axis=0)

    def texts(self, axis: str) -> tuple[str, ...]:
        """All different selections on an axis as text, such as the regions of ``sky(x,y)``."""
        found = (c.selection.get(axis) for c in self.components)
        return tuple(dict.fromkeys(text for text in found if text is not None))

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of all axes, in lower case."""
        return tuple(dict.fromkeys(axis for c in self.components for axis in c.selection))


def energies_eV(subspace: Subspace) -> NDArray[np.float64] | None:
    """Ranges (m, 2) [eV] selected by ``energy``, ``pi`` or both; None if neither is restricted by ranges."""
    energy = subspace.ranges("energy")
    pi = subspace.ranges("pi")
    parts = [] if energy is None else [energy]
    if pi is not None:
        parts.append(PI_EV * (pi - [1.0, 0.0]))
    return gti_arithmetic.intersection(*(np.clip(p, 0.0, _MAX_EV) for p in parts)) if parts else None


def _component(header: fits.Header, axes: dict[int, str], number: int) -> Component:
    selection, block = {}, {}
    for axis, name in axes.items():
        for prefix in dict.fromkeys((str(number) if number > 1 else "", "")):
            value, reference = header.get(f"{prefix}DSVAL{axis}"), header.get(f"{prefix}DSREF{axis}")
            if name not in selection and value is not None:
                selection[name] = str(value).strip()
            if name not in block and reference is not None:
                block[name] = str(reference).split(":")[-1].strip().upper()
    return Component(selection, block)


def parse_ranges(text: str) -> NDArray[np.float64] | None:
    """Closed ranges (m, 2) in a text such as ``0:0,2:4,7:``; None if the text is anything else."""
    found = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        try:
            if match:
                ends = [
                    float(end) if end else side * math.inf
                    for end, side in zip(match.groups(), (-1, 1), strict=True)
                ]
            else:
                ends = [float(part)] * 2
        except ValueError:
            return None
        found.append(ends)
    return np.array(found, dtype=np.float64).reshape(-1, 2)
