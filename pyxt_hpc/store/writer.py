"""Writing of a results store: a file with one row per region, which stays valid if a kill comes at any time.

Every table is created at full size, so that only numbers change afterwards. The row is written first, then
its checksum, then its status; a row that does not match its checksum is pending.
"""

import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyxt_hpc.errors import DamagedFile, EmptySelection, ForeignProduct, PyxtError, StoreInUse
from pyxt_hpc.files.lock import WriterLock
from pyxt_hpc.files.tablefile import TableFile, create_tables
from pyxt_hpc.files.writing import note_product, replacing
from pyxt_hpc.store.checksum import checksums, with_crc
from pyxt_hpc.store.reader import BLOCK, open_store, read_column, seed_of, verified_status
from pyxt_hpc.store.rows import (
    COLUMNS,
    MESSAGE_DTYPE,
    ROW_DTYPE,
    RUN_DTYPE,
    SCHEMA,
    SCHEMA_VERSION,
    TABLES,
    Status,
    blank_rows,
    is_final,
)

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
"""Shortest time between flushes to disk [s]: a crash of the machine (not of the program) loses this work."""

FLUSH_SHARE = 0.05
"""Largest fraction of time for flushes; if the disk is slow, they become less frequent."""

MAX_MESSAGES = 1000


class ResultsStore(contextlib.AbstractContextManager["ResultsStore", None]):
    """The only writer of a results store; made by `create` or `open_for_resume`.

    At its exit, this context manager writes all data to disk, closes the file and releases the lock. It needs
    two bytes of memory per region.
    """

    def __init__(self, file: TableFile, lock: WriterLock, status: np.ndarray, crashes: np.ndarray) -> None:
        self.path = file.path
        self.settings: dict[str, Any] = file.description["settings"]
        self.fingerprint: str = file.description["fingerprint"]
        self._file, self._lock = file, lock
        self._status, self._crashes = status, crashes
        self.seed = seed_of(file)
        self._n_messages = int(np.count_nonzero(file.read("messages")["crc"]))
        self._finished = int(is_final(status).sum())
        self._run = np.zeros(1, RUN_DTYPE)
        self._run["started"], self._run["pid"], self._run["host"] = (
            time.time(),
            os.getpid(),
            socket.gethostname(),
        )
        self._has_first = False
        self._next_flush = 0.0
        self.flush()

    @classmethod
    def create(
        cls, path: Path, *, regions: np.ndarray, fingerprint: str, settings: Mapping[str, Any]
    ) -> "ResultsStore":
        """Create a store in which every region is pending; it replaces an existing one.

        Parameters
        ----------
        path
            The file.
        regions
            (n,) regions of REGION_DTYPE, or of any dtype with these columns.
        fingerprint
            Fingerprint of all data and settings that decide the results; resuming needs the same.
        settings
            The settings as JSON values, with which messages explain differences.

        Raises
        ------
        EmptySelection
            If there is no region.
        StoreInUse
            If another process is writing this store.
        DiskFull, DamagedFile
            If it cannot be written; `path` is then unchanged.
        """
        n = len(regions)
        if not n:
            raise EmptySelection(f"{path}: is not created: there is no region to fit")
        sizes = {**dict.fromkeys(TABLES, n), "messages": min(n, MAX_MESSAGES), "run": 1}
        columns = {
            f"column {name}": f"{meaning}{unit and f' [{unit}]'}"
            for name, (_, unit, meaning) in COLUMNS.items()
        }
        tables = {f"table {name}": meaning for name, (_, meaning) in TABLES.items()}
        identity = {"fingerprint": fingerprint, "settings": dict(settings)}
        with _locked(path) as lock:
            for garbage in path.parent.glob(f".tmp-*-{path.name}"):
                garbage.unlink(missing_ok=True)
            with replacing(path) as temporary:
                create_tables(
                    temporary,
                    {name: (dtype, sizes[name]) for name, (dtype, _) in TABLES.items()},
                    schema=SCHEMA,
                    version=SCHEMA_VERSION,
                    description=identity,
                    notes={"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "fingerprint": fingerprint}
                    | {"settings": json.dumps(identity["settings"])}
                    | columns
                    | tables,
                )
                with open_store(temporary, writable=True) as file:
                    for start in range(0, n, BLOCK):
                        file.write("rows", start, blank_rows(regions[start : start + BLOCK]))
                        lock.touch()
                    file.sync()
                lock.check(now=True)
            file = open_store(path, writable=True)
            return cls(file, lock, np.zeros(n, np.uint8), np.zeros(n, np.uint8))

    @classmethod
    def open_for_resume(cls, path: Path, *, fingerprint: str, settings: Mapping[str, Any]) -> "ResultsStore":
        """Open a store to continue it.

        Rows that do not match their checksum become pending, and so do regions that were in flight, whose
        number of crashes increases by one.

        Raises MissingInput if there is none; StoreInUse if another process is writing it; ForeignProduct with
        the differences if it was made with other settings, data or regions; DamagedFile if it cannot be read.
        """
        with _locked(path) as lock:
            lock.leave_to_sleeper()
            file = open_store(path, writable=True)
            found = file.description
            wanted = json.loads(json.dumps(dict(settings)))
            if (found["fingerprint"], found["settings"]) != (fingerprint, wanted):
                file.close()
                raise ForeignProduct(_difference(path, found["settings"], wanted))
            status, torn = verified_status(file)
            if len(torn):
                log.warning("%s: %d rows do not match their checksum and are fitted again", path, len(torn))
            crashes = file.read("crashes")
            in_flight = np.flatnonzero(status == Status.IN_FLIGHT)
            crashes[in_flight] += crashes[in_flight] < 255
            status[in_flight] = Status.PENDING
            lock.check(now=True)
            # Crashes first: a kill between the two writes must not lose them.
            file.write("crashes", 0, crashes)
            file.write("status", 0, status)
            return cls(file, lock, status, crashes)

    def __len__(self) -> int:
        return len(self._status)

    def status(self) -> np.ndarray:
        """`Status` (n,) of each region."""
        return self._status.copy()

    def crashes(self) -> np.ndarray:
        """Number of times (n,) that a run ended while the region was in flight."""
        return self._crashes.copy()

    def column(self, name: str) -> np.ndarray:
        """One column (n,) of the rows."""
        return read_column(self._file, name)

    def pending(self) -> np.ndarray:
        """Positions of the pending regions, ascending."""
        return np.flatnonzero(self._status == Status.PENDING)

    def start(self, indices: np.ndarray) -> None:
        """Mark regions as in flight: if the run ends from now on, it counts as a crash of them."""
        self._set_status(indices, Status.IN_FLIGHT)

    def give_back(self, indices: np.ndarray) -> None:
        """Mark regions as pending that were in flight and are not responsible for the failure."""
        self._set_status(indices, Status.PENDING)

    def _set_status(self, indices: np.ndarray, status: Status) -> None:
        values = np.full(len(indices), status, np.uint8)
        for at, part in _runs(indices):
            self._put("status", at, values[part])
        self._status[indices] = status

    def write(
        self,
        indices: np.ndarray,
        rows: np.ndarray,
        status: np.ndarray,
        messages: Mapping[int, str] | None = None,
    ) -> None:
        """Store finished regions.

        Parameters
        ----------
        indices
            (n,) positions in the store.
        rows
            (n,) rows of ROW_DTYPE.
        status
            (n,) `Status` of each region.
        messages
            Reasons why regions are bad or quarantined, by position.

        Raises
        ------
        DiskFull, DamagedFile
            If the system refuses the write; regions that were not stored are unchanged.
        StoreInUse
            If another process took over the store.
        """
        rows, status = np.ascontiguousarray(rows, ROW_DTYPE), np.ascontiguousarray(status, np.uint8)
        crc = checksums(rows, status, indices, self.seed)
        if messages:
            self._add_messages(messages)
        parts = list(_runs(indices))
        for name, values in (("rows", rows), ("crc", crc), ("status", status)):
            for at, part in parts:
                self._put(name, at, values[part])
        before, after = is_final(self._status[indices]), is_final(status)
        self._finished += int(np.count_nonzero(after)) - int(np.count_nonzero(before))
        self._status[indices] = status
        if not self._has_first:
            self._has_first = True
            self._run["first"], self._run["finished_at_first"] = time.time(), self._finished
        self.heartbeat()

    def _put(self, table: str, at: int, values: np.ndarray) -> None:
        """Write neighbouring rows of a table; all writes of this process come here."""
        self._assert_own()
        try:
            self._file.write(table, at, values)
        except PyxtError:
            # If the file was removed, the system's error does not explain the cause.
            self._assert_own(now=True)
            self._assert_there()
            raise

    def _assert_own(self, *, now: bool = False) -> None:
        try:
            self._lock.check(now=now)
        except StoreInUse:
            if not self.path.exists():  # for example if the folder was removed
                self._assert_there()
            raise

    def _assert_there(self) -> None:
        if not self._file.is_at_its_path():
            if self.path.exists():  # possibly replaced by a process that took it over
                self._lock.check(now=True)
            raise DamagedFile(
                f"{self.path}: was removed or replaced by another file while it was being written: the "
                "results of this run are lost, unless it was moved; put it back or leave it in its place, "
                "and run again with --continue"
            )

    def _add_messages(self, messages: Mapping[int, str]) -> None:
        room = self._file.length("messages") - self._n_messages
        if room < len(messages):
            log.warning(
                "%s: has space for %d messages; lost: %s", self.path, self._file.length("messages"),
                "; ".join(list(messages.values())[room:]),
            )  # fmt: skip
        for index, text in list(messages.items())[:room]:
            message = np.zeros(1, MESSAGE_DTYPE)
            message["region"] = index
            message["text"] = " ".join(text.split()).encode(errors="replace")[
                : MESSAGE_DTYPE["text"].itemsize
            ]
            self._put("messages", self._n_messages, with_crc(message, self.seed))
            self._n_messages += 1

    def heartbeat(self) -> None:
        """Flush if it is due, and renew the lock; must be called regularly.

        Raises StoreInUse if another process took over the store.
        """
        self._lock.touch()
        if time.monotonic() >= self._next_flush:
            self.flush()

    def flush(self) -> None:
        """Flush all data to disk.

        Raises StoreInUse if another process took over the store, DamagedFile if it was removed or replaced.
        """
        start = time.monotonic()
        self._run["flushed"], self._run["finished"] = time.time(), self._finished
        self._assert_own(now=True)
        self._put("run", 0, with_crc(self._run, self.seed))
        self._file.sync()
        self._assert_there()
        now = time.monotonic()
        self._next_flush = now + max(FLUSH_SECONDS, (now - start) / FLUSH_SHARE)

    def verified(self) -> np.ndarray:
        """Status (n,) of every region, after a flush, and a check of all rows by their checksums.

        Raises DamagedFile if the file differs from the data written.
        """
        self.flush()
        status, torn = verified_status(self._file)
        wrong = np.union1d(torn, np.flatnonzero(status != self._status))
        if len(wrong):
            numbers = ", ".join(map(str, self.column("region")[wrong[:10]]))
            raise DamagedFile(
                f"{self.path}: {len(wrong)} rows differ from the data written (regions {numbers}"
                f"{' ...' if len(wrong) > 10 else ''}): another program writes this file, or the disk is "
                "failing; run again with --continue"
            )
        return status

    def close(self) -> None:
        """Flush all data to disk, close the file and release the lock."""
        try:
            if not self._file.closed:
                self.flush()
                note_product(self.path)
        finally:
            self._file.close()
            self._lock.release()

    def __exit__(self, *_: object) -> None:
        self.close()


def _runs(indices: np.ndarray) -> Iterator[tuple[int, slice]]:
    """First position and slice of every run of consecutive numbers, which needs one write."""
    n = len(indices)
    # Must be fast: nearly every chunk is one run, and this is most of the master's work for it.
    stops = np.flatnonzero(indices[1:] - indices[:-1] != 1).tolist() if n > 1 else []
    start = 0
    for stop in [*(last + 1 for last in stops), n] if n else []:
        yield int(indices[start]), slice(start, stop)
        start = stop


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[WriterLock]:
    """Lock of the writer, which is released if the store cannot be opened."""
    lock = WriterLock(path)
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _difference(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    differing = [
        f"{name} was {found.get(name)}, now {wanted.get(name)}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    return (
        f"{path}: contains fits of other data or settings ({'; '.join(differing) or 'other regions'}): "
        "restore these, or replace the fits, by fit-spectra without --continue or by run --yes"
    )
