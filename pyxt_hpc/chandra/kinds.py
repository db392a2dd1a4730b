"""The two kinds of ACIS chips, and the datasets that they make of an observation.

Front- and back-illuminated CCDs have different responses and backgrounds, so the chips of one kind are a
dataset of their own: everything after the cleaning of the events treats a dataset as an observation.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pyxt_hpc.files.quoting import listed

BACK_ILLUMINATED = (5, 7)  # CCDs, of ACIS-S
KINDS = {"FI": "front-illuminated", "BI": "back-illuminated"}


@dataclass(frozen=True)
class Dataset:
    """The chips (CCDs, sorted) of one kind, of `KINDS`, of one observation.

    Its name is the ObsID where all chips in use are of one kind, else with the kind, as ``9003-FI``.
    """

    obsid: str
    kind: str
    chips: tuple[int, ...]
    name: str

    @property
    def is_part(self) -> bool:
        """Whether the observation has chips of the other kind, too."""
        return self.name != self.obsid

    def __str__(self) -> str:
        return f"ObsID {self.obsid}, {KINDS[self.kind]} CCD {listed(self.chips)}"


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
