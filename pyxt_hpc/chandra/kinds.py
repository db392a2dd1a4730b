"""The two kinds of ACIS chips, and the datasets that they make of an observation.

Front- and back-illuminated CCDs have different responses and backgrounds, so the chips of one kind are a
dataset of their own: everything after the cleaning of the events treats a dataset as an observation.
Where responses are made at several places on the chips, each place is a dataset: the part of the sky that is
nearest to it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pyxt_hpc.files.quoting import listed

BACK_ILLUMINATED = (5, 7)  # CCDs, of ACIS-S
KINDS = {"FI": "front-illuminated", "BI": "back-illuminated"}


@dataclass(frozen=True)
class Dataset:
    """The chips (CCDs, sorted) of one kind, of `KINDS`, of one observation.

    Its name is the ObsID where all chips in use are of one kind, else with the kind, as ``9003-FI``. Of
    several places, ``place`` is the number from 1, and the end of the name: ``9003-FI-p2``.
    """

    obsid: str
    kind: str
    chips: tuple[int, ...]
    name: str
    place: int | None = None

    @property
    def is_part(self) -> bool:
        """Whether the observation has other datasets, too."""
        return self.name != self.obsid

    @property
    def whole(self) -> "Dataset":
        """The dataset of all places."""
        return replace(self, name=name_of_whole(self.name), place=None)

    def places(self, n: int) -> "tuple[Dataset, ...]":
        """Its ``n`` places; for one it is itself."""
        if n == 1:
            return (self,)
        names = names_of_places(self.name, n)
        return tuple(replace(self, name=name, place=i) for i, name in enumerate(names, 1))

    def __str__(self) -> str:
        place = f", place {self.place}" if self.place else ""
        return f"ObsID {self.obsid}, {KINDS[self.kind]} CCD {listed(self.chips)}{place}"


def names_of_places(name: str, n: int) -> tuple[str, ...]:
    """Names of the ``n`` places of a dataset; for one, its own."""
    return (name,) if n == 1 else tuple(f"{name}-p{i}" for i in range(1, n + 1))


def name_of_whole(name: str) -> str:
    """Name of the dataset of all places, from that of one of them, or its own."""
    return re.sub(r"-p\d+$", "", name)


def kind_of(chip: int) -> str:
    """``BI`` or ``FI``."""
    return "BI" if chip in BACK_ILLUMINATED else "FI"


def kind_of_all(chips: Iterable[int]) -> str | None:
    """The kind that all of these chips have; None if they differ or there is none."""
    kinds = {kind_of(chip) for chip in chips}
    return kinds.pop() if len(kinds) == 1 else None


def datasets_of(obsid: str, chips: Iterable[int]) -> tuple[Dataset, ...]:
    """The datasets of an observation with these chips in use: one, or FI and BI."""
    chips = sorted(chips)
    parts = {kind: tuple(c for c in chips if kind_of(c) == kind) for kind in KINDS}
    parts = {kind: own for kind, own in parts.items() if own}
    return tuple(
        Dataset(obsid, kind, own, obsid if len(parts) == 1 else f"{obsid}-{kind}")
        for kind, own in parts.items()
    )
