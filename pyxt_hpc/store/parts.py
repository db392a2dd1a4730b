"""Part stores, which hold every Nth region of a whole: what moves between them and the whole's store."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.errors import DamagedFile, ForeignProduct, PyxtError, StoreInUse
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.lock import Owner, WriterLock, current_owner
from pyxt_hpc.store.reader import BLOCK, open_to_read, read_messages, verified_blocks
from pyxt_hpc.store.rows import Status, is_final
from pyxt_hpc.store.writer import ResultsStore

log = logging.getLogger(__name__)

SLICE = "slice"
"""Setting of a part store, ``I/N``; all else is as in the whole."""

Part = tuple[int, int]
"""(I, N) with 1 <= I <= N: every Nth region from the Ith on."""

WHOLE: Part = (1, 1)

AT_ONCE = 256
"""Parts that are read side by side, as their rows lie side by side in the whole."""

SMALLEST_BLOCK = 64
"""Rows of a part that are read at once if there are many parts."""


@dataclass(frozen=True)
class PartState:
    """A part store as it was merged.

    Parameters
    ----------
    path
        The file.
    finished, regions
        Regions that need no more work, and all of the part.
    writer
        Who is still writing it.
    """

    path: Path
    finished: int
    regions: int
    writer: Owner | None


def slice_of(part: Part) -> slice:
    """The part's regions among all."""
    number, n_parts = part
    return slice(number - 1, None, n_parts)


def identity_of(path: Path) -> tuple[dict[str, Any], str]:
    """Settings without the slice and fingerprint of a part store, by which it belongs to its whole.

    Raises
    ------
    ForeignProduct
        If it is no part.
    """
    settings, identity, _ = _described(path)
    return settings, identity


def slice_text(path: Path) -> str:
    """``I/N`` of a part store; raises as `identity_of`."""
    return _described(path)[2]


def _described(path: Path) -> tuple[dict[str, Any], str, str]:
    with open_to_read(path) as file:
        settings, identity = dict(file.description["settings"]), file.description["fingerprint"]
    if SLICE not in settings:
        raise ForeignProduct(f"{path}: is not a part, but a whole results store: give it its own name back")
    return settings, identity, str(settings.pop(SLICE))


def add_parts(store: ResultsStore, numbers: np.ndarray, paths: Sequence[Path]) -> tuple[PartState, ...]:
    """Write every finished region of part stores into the store of the whole; the parts stay as they are.

    What the store says of a region is kept, unless it is bad there and done in a part.

    Parameters
    ----------
    store
        Of the whole, open for writing.
    numbers
        (n,) its regions' numbers, ascending.
    paths
        Part stores of the same fingerprint.

    Raises
    ------
    DamagedFile
        If one cannot be read or holds regions that the whole has not.
    """
    writers = [current_owner(path) for path in paths]
    finished, regions = np.zeros(len(paths), int), np.zeros(len(paths), int)
    there = store.status()
    for batch in _batched(range(len(paths))):
        with ExitStack() as stack:
            files = [stack.enter_context(open_to_read(paths[i])) for i in batch]
            messages = [read_messages(file) for file in files]
            # A block of each at a time: together they are few runs of neighbours, and few writes.
            block_size = max(BLOCK // len(files), SMALLEST_BLOCK)
            for blocks in zip_longest(*(verified_blocks(file, block_size) for file in files)):
                found = []
                for i, words, block in zip(batch, messages, blocks, strict=True):
                    if block is None:
                        continue
                    start, rows, status, _ = block
                    final = np.flatnonzero(is_final(status))
                    regions[i] += len(rows)
                    finished[i] += len(final)
                    indices = _positions(numbers, rows["region"][final])
                    if (indices < 0).any():
                        raise DamagedFile(
                            f"{paths[i]}: holds regions that are none: move it away and fit this part again"
                        )
                    found.append((indices, rows[final], status[final], start + final, words))
                _write_better(store, there, found)
    return tuple(
        PartState(path, int(n), int(of), writer)
        for path, n, of, writer in zip(paths, finished, regions, writers, strict=True)
    )


def take_over(store: ResultsStore, numbers: np.ndarray, whole: Path) -> None:
    """Write into a part store what the whole's store has finished of its regions.

    Parameters
    ----------
    store
        Of the part, open for writing.
    numbers
        (n,) the part's regions' numbers, ascending.
    whole
        Store of the whole; one of another fingerprint has nothing to give.
    """
    there = store.status()
    with open_to_read(whole) as file:
        if file.description["fingerprint"] != store.fingerprint or not is_final(file.read("status")).any():
            return
        words = read_messages(file)
        for start, rows, status, _ in verified_blocks(file):
            indices = _positions(numbers, rows["region"])
            of_part = np.flatnonzero(is_final(status) & (indices >= 0))
            found = (indices[of_part], rows[of_part], status[of_part], start + of_part, words)
            _write_better(store, there, [found])


def absorb_parts(store: ResultsStore, numbers: np.ndarray, layout: Layout) -> None:
    """Before the whole goes on: add what all its parts have.

    Raises
    ------
    StoreInUse
        If somebody is writing a part.
    ForeignProduct
        If a part belongs to other data or settings.
    DamagedFile
        If one cannot be read.
    """
    paths = layout.all_part_results()
    refuse_parts_in_use(layout)
    for path in paths:
        if identity_of(path) != (store.settings, store.fingerprint):
            raise ForeignProduct(
                f"{path} and {store.path} do not belong together: move away what is not wanted"
            )
    add_parts(store, numbers, paths)


def refuse_parts_in_use(layout: Layout) -> None:
    """Raise StoreInUse if somebody is writing a part."""
    for path in layout.all_part_results():
        if writer := current_owner(path):
            raise StoreInUse(f"{path}: {writer} is writing it: wait for it or end it")


def discard_parts(layout: Layout) -> None:
    """Delete all part stores, as a run that begins anew does while it holds the lock of the whole.

    Raises
    ------
    StoreInUse
        If somebody is writing one.
    """
    for path in layout.all_part_results():
        lock = WriterLock(path)
        try:
            path.unlink(missing_ok=True)
        finally:
            lock.release()


def remove_absorbed_parts(store: ResultsStore, numbers: np.ndarray, layout: Layout) -> None:
    """Delete the part stores of which the whole has every finished region; others stay, and are named.

    Parameters
    ----------
    store
        Of the whole, open for writing; every row of it is read back first.
    numbers
        (n,) its regions' numbers, ascending.
    layout
        Where the parts are.

    Raises
    ------
    DamagedFile
        If a row of the whole is not as it was written; then nothing is deleted.
    """
    paths = layout.all_part_results()
    if not paths:
        return
    status = store.verified()
    for path in paths:
        try:
            lock = WriterLock(path)
            try:
                if _holds_all_of(store, numbers, status, path):
                    path.unlink()
                else:
                    log.warning("%s: stays: it has regions or settings that %s has not", path, store.path)
            finally:
                lock.release()
        except PyxtError as error:
            log.warning("part stays: %s", error)


def _holds_all_of(store: ResultsStore, numbers: np.ndarray, status: np.ndarray, part: Path) -> bool:
    """Whether the whole, of such a status, has every finished region of a part, and none worse."""
    if identity_of(part) != (store.settings, store.fingerprint):
        return False
    if not np.array_equal(store.column("region"), numbers):
        return False
    with open_to_read(part) as file:
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


def _batched(items: Sequence[int]) -> list[Sequence[int]]:
    return [items[at : at + AT_ONCE] for at in range(0, len(items), AT_ONCE)]


def _positions(numbers: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where wanted numbers are among ascending ones, -1 for those that are not."""
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    return np.where(numbers[at] == wanted, at, -1)


_Found = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[int, str]]
"""Positions where they go, rows, status, positions where they were, messages by the latter."""


def _write_better(store: ResultsStore, there: np.ndarray, found: Sequence[_Found]) -> None:
    """Write rows where the store has none, or only a bad one; `there` is its status and kept up to date."""
    if not found:
        return
    indices, rows, status = (np.concatenate([f[column] for f in found]) for column in range(3))
    texts: dict[int, str] = {}
    for f in found:
        for position, old in zip(f[0].tolist(), f[3].tolist(), strict=True) if f[4] else ():
            if old in f[4]:
                texts.setdefault(position, f[4][old])
    is_better = (status == Status.DONE) & (there[indices] != Status.DONE)
    wanted = np.flatnonzero(~is_final(there[indices]) | is_better)
    # Ascending, a done one before others of the same region.
    wanted = wanted[np.lexsort((status[wanted] != Status.DONE, indices[wanted]))]
    wanted = wanted[np.diff(indices[wanted], prepend=-1) > 0]
    if not len(wanted):
        return
    at = indices[wanted]
    keeps_words = {int(i): texts[i] for i in at[status[wanted] != Status.DONE].tolist() if i in texts}
    store.write(at, rows[wanted], status[wanted], keeps_words)
    there[at] = status[wanted]
