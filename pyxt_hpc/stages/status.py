"""Progress of the fits, read from the results stores, also while runs write them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pyxt_hpc.errors import MissingInput
from pyxt_hpc.files.lock import Owner, current_owner
from pyxt_hpc.files.tablefile import TableFile
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.fit.flags import FlagCounts, flag_names
from pyxt_hpc.layout import Layout
from pyxt_hpc.store.reader import BLOCK, open_store, read_messages, read_run, verified_status
from pyxt_hpc.store.rows import ROW_DTYPE, Status, is_final

MAX_NAMED_REGIONS = 10
"""Largest number of regions that are listed for each reason."""


@dataclass(frozen=True)
class Reason:
    """Reason why regions have no fit (a message or their flags in words); `regions` are the first of them."""

    status: Status
    text: str
    n_regions: int
    regions: tuple[int, ...]


@dataclass(frozen=True)
class StoreStatus:
    """State of a results store at one time.

    Parameters
    ----------
    path
        The store.
    counts
        Number of regions with each status, without a check of checksums.
    writer
        Process that is writing it now.
    rate
        Regions finished per second in the current run; None if there is no run or it has no rate yet.
    seconds_left
        Remaining time at that rate [s].
    checkpoint
        Time of the last flush to disk [s since 1970], if known.
    reasons
        Reasons of bad and quarantined regions, the most frequent first.
    flags
        Flags of the regions that are done.
    """

    path: Path
    counts: dict[Status, int]
    writer: Owner | None
    rate: float | None
    seconds_left: float | None
    checkpoint: float | None
    reasons: tuple[Reason, ...]
    flags: FlagCounts

    @property
    def total(self) -> int:
        """Number of all regions."""
        return sum(self.counts.values())

    @property
    def finished(self) -> int:
        """Number of regions that need no more work."""
        return sum(n for status, n in self.counts.items() if status >= Status.DONE)


def read_statuses(layout: Layout) -> list[StoreStatus]:
    """Status of the store and of every part store of a cluster.

    Raises MissingInput if there is none; DamagedFile or ForeignProduct if one cannot be read.
    """
    return [read_status(path) for path in _stores(layout)]


def read_status(path: Path) -> StoreStatus:
    """Status of one store; raises as `pyxt_hpc.store.reader.read_store`."""
    writer = current_owner(path)
    with open_store(path) as file:
        status = file.read("status")
        status[status > max(Status)] = Status.PENDING
        run = read_run(file)
        reasons = _reasons(file, status)
        done = np.flatnonzero(status == Status.DONE)
        flags = FlagCounts.of(*_columns_at(file, done, "flags"))
    counts = {kind: int(np.count_nonzero(status == kind)) for kind in Status}
    rate = seconds_left = None
    if writer and run and run.flushed > run.first > 0 and run.finished > run.finished_at_first:
        rate = (run.finished - run.finished_at_first) / (run.flushed - run.first)
        left = int(np.count_nonzero(~is_final(status)))
        seconds_left = max(left / rate - (time.time() - run.flushed), 0.0)
    checkpoint = run.flushed if run else None
    return StoreStatus(path, counts, writer, rate, seconds_left, checkpoint, reasons, flags)


@dataclass(frozen=True)
class Verification:
    """Result of checking a store: damaged rows count as pending; `problem` is empty if there is none."""

    path: Path
    counts: dict[Status, int]
    problem: str


def verify(layout: Layout) -> Iterator[Verification]:
    """Check every row of the store and of every part store of a cluster.

    Raises MissingInput if there is none; DamagedFile or ForeignProduct if one cannot be read at all.
    """
    for path in _stores(layout):
        with open_store(path) as file:
            status, torn = verified_status(file)
            first = _columns_at(file, torn[:MAX_NAMED_REGIONS], "region")[0].tolist()
        problem = ""
        if len(torn):
            more = " ..." if len(torn) > len(first) else ""
            problem = (
                f"{len(torn)} rows do not match their checksum (regions {', '.join(map(str, first))}{more})"
            )
        counts = {kind: int(np.count_nonzero(status == kind)) for kind in Status}
        yield Verification(path, counts, problem)


def has_stores(layout: Layout) -> bool:
    """Whether there is a store or a part of one."""
    return layout.results.exists() or bool(layout.all_part_results())


def _stores(layout: Layout) -> list[Path]:
    paths = [path for path in (layout.results, *layout.all_part_results()) if check_regular(path)]
    if not paths:
        raise MissingInput(f"{layout.results} is missing: `pyxt-hpc fit-spectra -c CONFIG` makes it")
    return paths


def _reasons(file: TableFile, status: np.ndarray) -> tuple[Reason, ...]:
    messages = read_messages(file)
    found: dict[tuple[Status, str], list[int]] = {}
    without_fit = np.flatnonzero((status == Status.BAD) | (status == Status.QUARANTINED))
    regions, flags = _columns_at(file, without_fit, "region", "flags")
    for index, region, flag in zip(without_fit.tolist(), regions.tolist(), flags.tolist(), strict=True):
        text = messages.get(index) or _flag_names(flag)
        found.setdefault((Status(status[index]), text), []).append(region)
    reasons = [
        Reason(kind, text, len(numbers), tuple(numbers[:MAX_NAMED_REGIONS]))
        for (kind, text), numbers in found.items()
    ]
    return tuple(sorted(reasons, key=lambda reason: (reason.status, -reason.n_regions)))


def _columns_at(file: TableFile, indices: np.ndarray, *names: str) -> list[np.ndarray]:
    """Columns of some rows, read in blocks to need fewer reads."""
    columns = [np.zeros(len(indices), ROW_DTYPE[name]) for name in names]
    for number in np.unique(indices // BLOCK).tolist():
        here = indices // BLOCK == number
        start = number * BLOCK
        block = file.read("rows", start, min(start + BLOCK, file.length("rows")))
        for name, column in zip(names, columns, strict=True):
            column[here] = block[name][indices[here] - start]
    return columns


def _flag_names(flags: int) -> str:
    return (flag_names(flags) or f"flags {flags}").lower().replace("_", " ")
