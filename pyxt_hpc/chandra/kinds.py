"""The two kinds of ACIS chips, and the datasets of an observation.

Front- and back-illuminated CCDs have different responses and backgrounds. Therefore the chips of one kind
form a dataset, and all steps after the cleaning of the events treat a dataset as an observation. If responses
are made at several places on the chips, each place is a dataset, with the part of the sky that is nearest to
it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from pyxt_hpc.files.quoting import listed

BACK_ILLUMINATED = (5, 7)  # numbers of the CCDs, which belong to ACIS-S
KINDS = {"FI": "front-illuminated", "BI": "back-illuminated"}


@dataclass(frozen=True)
class Dataset:
    """The chips (CCDs, sorted) of one observation that are of the same kind (a key of `KINDS`).

    The name is the ObsID if all chips in use are of one kind; else the kind follows, as in ``9003-FI``. If
    there are several places, ``place`` counts them from 1 and ends the name, as in ``9003-FI-p2``.
    """

    obsid: str
    kind: str
    chips: tuple[int, ...]
    name: str
    place: int | None = None

    @property
    def is_part(self) -> bool:
        """Whether the observation has other datasets too."""
        return self.name != self.obsid

    @property
    def whole(self) -> "Dataset":
        """The dataset that contains all places."""
        return replace(self, name=name_of_whole(self.name), place=None)

    def places(self, n: int) -> "tuple[Dataset, ...]":
        """The datasets of the ``n`` places; with one place, the dataset itself."""
        if n == 1:
            return (self,)
        names = names_of_places(self.name, n)
        return tuple(replace(self, name=name, place=i) for i, name in enumerate(names, 1))

    def __str__(self) -> str:
        place = f", place {self.place}" if self.place else ""
        return f"ObsID {self.obsid}, {KINDS[self.kind]} CCD {listed(self.chips)}{place}"


def names_of_places(name: str, n: int) -> tuple[str, ...]:
    """Names of the datasets of ``n`` places; with one place, the name of the whole dataset."""
    return (name,) if n == 1 else tuple(f"{name}-p{i}" for i in range(1, n + 1))


def name_of_whole(name: str) -> str:
    """Name of the dataset that contains all places, from the name of a place or of that dataset itself."""
    return re.sub(r"-p\d+$", "", name)


def kind_of(chip: int) -> str:
    """Kind of a CCD: ``BI`` or ``FI``."""
    return "BI" if chip in BACK_ILLUMINATED else "FI"


def kind_of_all(chips: Iterable[int]) -> str | None:
    """Common kind of these chips; None if their kinds differ or there is no chip."""
    kinds = {kind_of(chip) for chip in chips}
    return kinds.pop() if len(kinds) == 1 else None


def datasets_of(obsid: str, chips: Iterable[int]) -> tuple[Dataset, ...]:
    """Datasets of an observation with these chips in use: one dataset, or one for FI and one for BI."""
    chips = sorted(chips)
    parts = {kind: tuple(c for c in chips if kind_of(c) == kind) for kind in KINDS}
    parts = {kind: own for kind, own in parts.items() if own}
    return tuple(
        Dataset(obsid, kind, own, obsid if len(parts) == 1 else f"{obsid}-{kind}")
        for kind, own in parts.items()
    )
