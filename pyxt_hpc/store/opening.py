"""The store that a run fits into: an existing one, or a new one; of all regions, or of a part of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.layout import Layout
from pyxt_hpc.provenance import fingerprint
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
class Contents:
    """What a store is made for.

    Parameters
    ----------
    regions
        (n,) of REGION_DTYPE.
    settings
        Everything else that decides the numbers; whatever JSON can hold.
    fingerprint
        Of all regions and settings: parts of one whole have the same, by which they find together.
    """

    regions: np.ndarray
    settings: dict[str, Any]
    fingerprint: str

    @classmethod
    def of(cls, regions: np.ndarray, settings: dict[str, Any]) -> "Contents":
        """Of all regions."""
        return cls(regions, settings, fingerprint({**settings, "regions": regions}))

    def of_part(self, part: Part) -> "Contents":
        """Of a part's own regions."""
        settings = {**self.settings, SLICE: f"{part[0]}/{part[1]}"}
        return Contents(self.regions[slice_of(part)], settings, self.fingerprint)


def open_whole(layout: Layout, contents: Contents, *, resume: bool) -> ResultsStore:
    """Store of all regions with what its parts have, or a new one that replaces it and them."""
    if not resume:
        refuse_parts_in_use(layout)
    store = resume_or_create(layout.results, contents, resume=resume)
    with _closed_after_error(store):
        if resume:
            absorb_parts(store, contents.regions["region"], layout)
        else:
            discard_parts(layout)
    return store


def open_part(layout: Layout, part: Part, contents: Contents, *, resume: bool) -> ResultsStore:
    """Store of a part with what the store of all regions has of it, or a new one that replaces it."""
    store = resume_or_create(layout.part_results(*part), contents, resume=resume)
    if resume and check_regular(layout.results):
        with _closed_after_error(store):
            take_over(store, contents.regions["region"], layout.results)
    return store


def resume_or_create(path: Path, contents: Contents, *, resume: bool = True) -> ResultsStore:
    """The store of that name if there is one to go on with, or a new one."""
    identity: dict[str, Any] = {"fingerprint": contents.fingerprint, "settings": contents.settings}
    if resume and check_regular(path):
        return ResultsStore.open_for_resume(path, **identity)
    return ResultsStore.create(path, regions=contents.regions, **identity)


@contextmanager
def _closed_after_error(store: ResultsStore) -> Iterator[None]:
    try:
        yield
    except BaseException:
        store.close()
        raise
