"""Part stores, which contain every Nth region, and exchange of rows with the store of all regions."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput, PyxtError, StoreInUse
from pyxt_hpc.files.lock import Owner, WriterLock, current_owner
from pyxt_hpc.files.tablefile import TableFile
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import BLOCK, open_store, read_messages, verified_blocks
from pyxt_hpc.store.rows import Status, is_final
from pyxt_hpc.store.writer import ResultsStore

log = logging.getLogger(__name__)

SLICE = "slice"
"""Setting ``I/N`` of a part store; its other settings are those of the whole, the store of all regions."""

Part = tuple[int, int]
"""(I, N) with 1 <= I <= N: every Nth region from the Ith on."""

WHOLE: Part = (1, 1)


class PartIdentity(NamedTuple):
    """Slice ``I/N`` of a part, with the settings (without it) and fingerprint of the whole."""

    slice: str
    settings: dict[str, Any]
    fingerprint: str

    def is_of(self, store: ResultsStore) -> bool:
        """Whether the part belongs to a store of all regions."""
        return (self.settings, self.fingerprint) == (store.settings, store.fingerprint)


class _Found(NamedTuple):
    """Finished regions of one store: positions in the target and (`origins`) in the source, with messages."""

    indices: np.ndarray
    rows: np.ndarray
    status: np.ndarray
    origins: np.ndarray
    messages: dict[int, str]


MAX_OPEN_PARTS = 256
"""Largest number of parts that are read together, since their rows are neighbours in the whole."""

MIN_BLOCK = 64
"""Smallest number of rows of a part that are read at once."""


@dataclass(frozen=True)
class PartState:
    """State of a part store when it was merged: `finished` of its `regions` need no more work."""

    path: Path
    finished: int
    regions: int
    writer: Owner | None


def slice_of(part: Part) -> slice:
    """Slice of all regions that belongs to the part."""
    number, n_parts = part
    return slice(number - 1, None, n_parts)


def identity_of(path: Path) -> PartIdentity:
    """Identity of a part store. Raises ForeignProduct if the file is not a part."""
    with open_store(path) as file:
        return _identity_in(file)


def _identity_in(file: TableFile) -> PartIdentity:
    settings = dict(file.description["settings"])
    if SLICE not in settings:
        raise ForeignProduct(
            f"{file.path}: is not a part, but the results store of all regions: restore its name"
        )
    return PartIdentity(str(settings.pop(SLICE)), settings, file.description["fingerprint"])


def add_parts(store: ResultsStore, numbers: np.ndarray, paths: Sequence[Path]) -> tuple[PartState, ...]:
    """Write every finished region of part stores into the store of the whole; the parts are not changed.

    A region's row in the store is kept, unless it is bad there and done in a part.

    Parameters
    ----------
    store
        Store of the whole, open for writing.
    numbers
        (n,) numbers of its regions, ascending.
    paths
        Part stores with the same fingerprint.

    Raises
    ------
    DamagedFile
        If a part cannot be read, or contains regions that the whole does not have.
    """
    writers = [current_owner(path) for path in paths]
    finished, regions = np.zeros(len(paths), int), np.zeros(len(paths), int)
    there = store.status()
    for first in range(0, len(paths), MAX_OPEN_PARTS):
        with ExitStack() as stack:
            files = [stack.enter_context(open_store(path)) for path in paths[first : first + MAX_OPEN_PARTS]]
            messages = [read_messages(file) for file in files]
            # One block of each part at a time: together they form few runs of neighbours, and need few
            # writes.
            block_size = max(BLOCK // len(files), MIN_BLOCK)
            for blocks in zip_longest(*(verified_blocks(file, block_size) for file in files)):
                found = []
                for i, block in enumerate(blocks):
                    if block is None:
                        continue
                    start, rows, status, _ = block
                    final = np.flatnonzero(is_final(status))
                    regions[first + i] += len(rows)
                    finished[first + i] += len(final)
                    indices = _positions(numbers, rows["region"][final])
                    if (indices < 0).any():
                        raise DamagedFile(
                            f"{files[i].path}: contains regions that do not exist: move it away and fit this "
                            "part again"
                        )
                    found.append(_Found(indices, rows[final], status[final], start + final, messages[i]))
                _write_better(store, there, found)
    return tuple(
        PartState(path, int(n), int(of), writer)
        for path, n, of, writer in zip(paths, finished, regions, writers, strict=True)
    )


def take_over(store: ResultsStore, numbers: np.ndarray, whole: Path) -> None:
    """Write into a part store the regions that are finished in the whole's store, if it exists.

    `numbers` (n,) are the numbers of the part's regions, ascending. A whole with another fingerprint is
    ignored.
    """
    try:
        file = open_store(whole)
    except MissingInput:
        return
    there = store.status()
    with file:
        if file.description["fingerprint"] != store.fingerprint or not is_final(file.read("status")).any():
            return
        messages = read_messages(file)
        for start, rows, status, _ in verified_blocks(file):
            indices = _positions(numbers, rows["region"])
            of_part = np.flatnonzero(is_final(status) & (indices >= 0))
            found = _Found(indices[of_part], rows[of_part], status[of_part], start + of_part, messages)
            _write_better(store, there, [found])


def absorb_parts(store: ResultsStore, numbers: np.ndarray, layout: Layout) -> None:
    """Add the regions of all parts to the whole, before it is continued.

    Raises StoreInUse if another process is writing a part; ForeignProduct if a part belongs to other data or
    settings; DamagedFile if one cannot be read.
    """
    paths = layout.all_part_results()
    refuse_parts_in_use(layout)
    for path in paths:
        if not identity_of(path).is_of(store):
            raise ForeignProduct(
                f"{path} and {store.path} do not belong together: move away the one that you do not want"
            )
    add_parts(store, numbers, paths)


def refuse_parts_in_use(layout: Layout) -> None:
    """Raise StoreInUse if another process is writing a part."""
    for path in layout.all_part_results():
        if writer := current_owner(path):
            raise StoreInUse(f"{path}: {writer} is writing it: wait for it or end it")


def discard_parts(layout: Layout) -> None:
    """Delete all part stores, for a new run that holds the lock of the whole.

    Raises StoreInUse if another process is writing one.
    """
    for path in layout.all_part_results():
        with WriterLock(path):
            path.unlink(missing_ok=True)


def remove_absorbed_parts(store: ResultsStore, numbers: np.ndarray, layout: Layout) -> None:
    """Delete the part stores whose finished regions are all in the whole, and warn of the others.

    Every row of the whole is read back first; if one differs from the data written, DamagedFile is raised and
    nothing is deleted. `numbers` (n,) are the numbers of its regions, ascending.
    """
    paths = layout.all_part_results()
    if not paths:
        return
    status = store.verified()
    same_numbers = np.array_equal(store.column("region"), numbers)
    for path in paths:
        try:
            with WriterLock(path):
                if same_numbers and _holds_all_of(store, numbers, status, path):
                    path.unlink()
                else:
                    log.warning("%s: is kept, because %s lacks its regions or settings", path, store.path)
        except PyxtError as error:
            log.warning("a part is kept: %s", error)


def _holds_all_of(store: ResultsStore, numbers: np.ndarray, status: np.ndarray, part: Path) -> bool:
    """Whether the whole, with a given status, has every finished region of a part, and none of them worse."""
    with open_store(part) as file:
        if not _identity_in(file).is_of(store):
            return False
        for _, rows, found, _ in verified_blocks(file):
            final = is_final(found)
            indices = _positions(numbers, rows["region"][final])
            if (indices < 0).any():
                return False
            there = status[indices]
            worse = (there != Status.DONE) & (found[final] == Status.DONE)
            if (~is_final(there) | worse).any():
                return False
    return True


def _positions(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions of wanted numbers among ascending ones; -1 for absent ones."""
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.where(numbers[at] == wanted, at, -1)


def _write_better(store: ResultsStore, there: np.ndarray, found: Sequence[_Found]) -> None:
    """Write rows of regions that the store lacks or has as bad; `there`, its status, is updated."""
    indices, rows, status = (
        np.concatenate([getattr(one, name) for one in found]) for name in ("indices", "rows", "status")
    )
    messages: dict[int, str] = {}
    for one in found:
        if one.messages:
            for index, origin in zip(one.indices.tolist(), one.origins.tolist(), strict=True):
                if origin in one.messages:
                    messages.setdefault(index, one.messages[origin])
    is_better = (status == Status.DONE) & (there[indices] != Status.DONE)
    wanted = np.flatnonzero(~is_final(there[indices]) | is_better)
    # Ascending; for the same region, a row that is done comes first.
    wanted = wanted[np.lexsort((status[wanted] != Status.DONE, indices[wanted]))]
    wanted = wanted[np.diff(indices[wanted], prepend=-1) > 0]
    if not len(wanted):
        return
    at, status = indices[wanted], status[wanted]
    not_done = at[status != Status.DONE].tolist()
    store.write(at, rows[wanted], status, {i: messages[i] for i in not_done if i in messages})
    there[at] = status
