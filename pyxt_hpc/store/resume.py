"""Opening of the store of a run: an existing or a new one, of all regions or of a part."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.errors import MissingInput
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.parts import (
    SLICE,
    Part,
    absorb_parts,
    discard_parts,
    refuse_parts_in_use,
    slice_of,
    take_over,
)
from pyxt_hpc.store.writer import ResultsStore


@dataclass(frozen=True)
class StoreContents:
    """Regions and settings of a store.

    Parameters
    ----------
    regions
        (n,) regions of REGION_DTYPE.
    settings
        All settings that decide the results, as JSON values.
    fingerprint
        Fingerprint of all regions and settings, which is the same for parts of a whole.
    """

    regions: np.ndarray
    settings: dict[str, Any]
    fingerprint: str

    def of_part(self, part: Part) -> "StoreContents":
        """Contents of a part."""
        settings = {**self.settings, SLICE: f"{part[0]}/{part[1]}"}
        return StoreContents(self.regions[slice_of(part)], settings, self.fingerprint)


def open_results(layout: Layout, contents: StoreContents, part: Part | None, *, resume: bool) -> ResultsStore:
    """Open or create the store of all regions or of a part; an existing one gets the rows of other stores.

    A new store of all regions also replaces the parts.
    """
    path = layout.results if part is None else layout.part_results(*part)
    numbers = contents.regions["region"]
    if part is None and not resume:
        refuse_parts_in_use(layout)
    store = resume_or_create(path, contents, resume=resume)
    try:
        if resume and part is None:
            absorb_parts(store, numbers, layout)
        elif resume:
            take_over(store, numbers, layout.results)
        elif part is None:
            discard_parts(layout)
    except BaseException:
        store.close()
        raise
    return store


def resume_or_create(path: Path, contents: StoreContents, *, resume: bool = True) -> ResultsStore:
    """Open an existing store, or create a new one."""
    identity: dict[str, Any] = {"fingerprint": contents.fingerprint, "settings": contents.settings}
    if resume:
        with suppress(MissingInput):
            return ResultsStore.open_for_resume(path, **identity)
    return ResultsStore.create(path, regions=contents.regions, **identity)
