"""The data subspace of a table: how its rows were selected, as CIAO's data model writes it into the header.

Axis n has the name DSTYPn and the selection DSVALn: ranges as in ``0:0,2:2``, a region in ``sky(x,y)``, or
``TABLE``, when DSREFn names the block that has it (``:GTI7``). A selection can have several components, which
are united, typically one for each CCD; those after the first have their number in front (``2DSVAL1``) and
leave out what is the same as in the first. (ASC FITS File Designers' Guide; CIAO, ``ahelp dmsubspace``.)
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
PI_EV = 14.6  # of a channel: pi = floor(energy / 14.6) + 1
_MAX_EV = 1e6
_RANGE = re.compile(r"\s*([-+.\deE]*)\s*:\s*([-+.\deE]*)\s*")


@dataclass(frozen=True)
class Component:
    """One component: the text of each axis' selection by its lower-case name, and the blocks referred to."""

    selection: dict[str, str]
    block: dict[str, str]

    def ranges(self, axis: str) -> NDArray[np.float64] | None:
        """Ranges (m, 2) of an axis, both ends within; None if it has none (a region, a table, nothing)."""
        text = self.selection.get(axis)
        return None if text is None else parse_ranges(text)

    def ccds(self) -> frozenset[int]:
        """CCDs that it selects; all, if it does not say."""
        ranges = self.ranges("ccd_id")
        every = range(LAST_CCD + 1)
        if ranges is None:
            return frozenset(every)
        return frozenset(ccd for ccd in every if ((ranges[:, 0] <= ccd) & (ccd <= ranges[:, 1])).any())


@dataclass(frozen=True)
class Subspace:
    """All components; none if the table has no data subspace."""

    components: tuple[Component, ...]

    @classmethod
    def of(cls, header: fits.Header) -> "Subspace":
        """Read the cards of a table's header."""
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
        """The components that select any of these CCDs."""
        wanted = frozenset(chips)
        return Subspace(tuple(c for c in self.components if c.ccds() & wanted))

    def ccds(self) -> frozenset[int] | None:
        """CCDs of all components; None if no component says."""
        if all(c.ranges("ccd_id") is None for c in self.components):
            return None
        return frozenset().union(*(c.ccds() for c in self.components))

    def gti_blocks(self) -> dict[int, str]:
        """Name of the block with the good times of each CCD, in upper case."""
        return {
            ccd: component.block["time"]
            for component in self.components
            if "time" in component.block and component.ranges("ccd_id") is not None
            for ccd in component.ccds()
        }

    def ranges(self, axis: str) -> NDArray[np.float64] | None:
        """United ranges (m, 2) of an axis; None if some component does not restrict it, or not by ranges."""
        found = [component.ranges(axis) for component in self.components]
        known = [ranges for ranges in found if ranges is not None]
        if not known or len(known) < len(found):
            return None
        return np.unique(np.concatenate(known), axis=0)

    def texts(self, axis: str) -> tuple[str, ...]:
        """Every different text that selects in an axis, such as the regions of ``sky(x,y)``."""
        found = (c.selection.get(axis) for c in self.components)
        return tuple(dict.fromkeys(text for text in found if text is not None))

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of all axes, in lower case."""
        return tuple(dict.fromkeys(axis for c in self.components for axis in c.selection))


def energies_eV(subspace: Subspace) -> NDArray[np.float64] | None:
    """Energies (m, 2) [eV] that were selected, by ``energy`` or ``pi``; None if neither is restricted."""
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
    """Ranges (m, 2) of a text such as ``0:0,2:4,7:``, both ends within; None if it is anything else."""
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
