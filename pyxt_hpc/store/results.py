"""The results store: one row per region in a file that a kill at any instant leaves whole.

Every table is made at full size, so nothing but numbers changes after creation. A row is written first,
then its checksum, then its status; a row that does not match its checksum is pending. `COLUMNS` is the
layout of a row, `TABLES` that of the file, which is HDF5 to other programs.
"""

import contextlib
import json
import logging
import os
import shutil
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from pyxt_hpc.errors import (
    DamagedFile,
    EmptySelection,
    ForeignProduct,
    MissingInput,
    PyxtError,
    StoreInUse,
)
from pyxt_hpc.files.writing import check_regular, note_product, replacing
from pyxt_hpc.store.checksum import row_checksums
from pyxt_hpc.store.lock import WriterLock
from pyxt_hpc.store.tablefile import TableFile, create_tables

log = logging.getLogger(__name__)

SCHEMA = "pyxt_hpc results"
SCHEMA_VERSION = 4
FLUSH_SECONDS = 2.0
"""A crash of the machine (not of the program) can cost this much work, or `FLUSH_SHARE` of the time."""

FLUSH_SHARE = 0.05
"""Where forcing data to the disk is slow it is done less often: it takes at most this part of the time."""

REMEDY = "move it away and start anew: `pyxt-hpc fit-spectra` without --continue"
MOST_MESSAGES = 1000
MOST_OBSERVATIONS = 256
"""Of a cluster: a row has a bit for each."""

BLOCK = 1 << 14
"""Rows that are read and checked at a time."""

NORM_UNIT = "10**14 cm-5"
"""Of XSPEC's apec norm, 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV: norm 1 is 1e14 cm^-5."""

# name: (dtype, FITS unit string, meaning)
COLUMNS: dict[str, tuple[str, str, str]] = {
    "region": ("i4", "", "number of the region, from 1 in row-major order of the scale map"),
    "row": ("i4", "pixel", "centre, from 0"),
    "col": ("i4", "pixel", "centre, from 0"),
    "radius": ("f4", "pixel", "of the circle"),
    "area": ("i4", "pixel", "pixels of the whole circle"),
    "counts": ("i4", "count", "in the circle and band, observations that take part"),
    "background_counts": ("f8", "count", "expected of the background among counts"),
    "observations": (
        f"({MOST_OBSERVATIONS // 8},)u1",
        "",
        "bit i mod 8 of byte i div 8: observation i of the bundle takes part",
    ),
    "exposure": ("f8", "s", "sum over observations of live time x share of the circle's brightness seen"),
    "live_fraction": (
        "f8",
        "",
        "share of the circle's brightness that the observations taking part saw, mean by their live time",
    ),
    "kT": ("f8", "keV", "temperature"),
    "kT_lo": ("f8", "keV", "lower end of the 68% interval, NaN if open"),
    "kT_hi": ("f8", "keV", "upper end of the 68% interval, NaN if open"),
    "norm": ("f8", NORM_UNIT, "XSPEC's apec normalisation of the whole circle"),
    "norm_lo": ("f8", NORM_UNIT, "lower end of the 68% interval, NaN if open"),
    "norm_hi": ("f8", NORM_UNIT, "upper end of the 68% interval, NaN if open"),
    "abundance": ("f8", "", "[solar] metals, of the abundance table in the settings"),
    "abundance_lo": ("f8", "", "[solar] lower end of the 68% interval, NaN if open or frozen"),
    "abundance_hi": ("f8", "", "[solar] upper end of the 68% interval, NaN if open or frozen"),
    "nH": ("f8", "10**22 cm-2", "absorbing column"),
    "nH_lo": ("f8", "10**22 cm-2", "lower end of the 68% interval, NaN if open or frozen"),
    "nH_hi": ("f8", "10**22 cm-2", "upper end of the 68% interval, NaN if open or frozen"),
    "statistic": ("f8", "", "at the best fit"),
    "dof": ("i4", "", "bins less free parameters"),
    "bins": ("i4", "", "spectral bins of all observations that take part"),
    "goodness": ("f8", "", "statistic less its expectation, in standard deviations (Kaastra 2017)"),
    "flags": ("i4", "", "bits, see pyxt_hpc.spectra.fit.FitFlag"),
    "attempts": ("i4", "", "times the region was tried"),
    "seconds": ("f4", "s", "time of the fit, mean of its chunk"),
}
ROW_DTYPE = np.dtype([(name, dtype) for name, (dtype, _, _) in COLUMNS.items()])
REGION_COLUMNS = ("region", "row", "col", "radius")
REGION_DTYPE = np.dtype([(name, ROW_DTYPE[name]) for name in REGION_COLUMNS])


class Status(IntEnum):
    """What became of a region."""

    PENDING = 0
    IN_FLIGHT = 1
    """Handed out; after the end of a run: it was being fitted when the run ended."""
    DONE = 2
    BAD = 3
    QUARANTINED = 4
    """Given up, because runs ended while it was being fitted."""


_FIRST_FINAL = int(Status.DONE)


def is_final(status: np.ndarray) -> np.ndarray:
    """Where a region needs no more work: it is done, bad or in quarantine."""
    return status >= _FIRST_FINAL


_MESSAGE_DTYPE = np.dtype([("region", "<i4"), ("text", "S244"), ("crc", "<u4")])
_RUN_DTYPE = np.dtype(
    [
        ("started", "<f8"),
        ("first", "<f8"),
        ("flushed", "<f8"),
        ("finished_at_first", "<i8"),
        ("finished", "<i8"),
        ("pid", "<i4"),
        ("host", "S64"),
        ("crc", "<u4"),
    ]
)
# name: (dtype, meaning); a row per region but for the last two
TABLES: dict[str, tuple[np.dtype, str]] = {
    "rows": (ROW_DTYPE, "see the attributes of the columns"),
    "crc": (np.dtype("<u4"), "CRC-32 of position, status and row, from that of the fingerprint; 0: none yet"),
    "status": (np.dtype("u1"), ", ".join(f"{status.value} {status.name.lower()}" for status in Status)),
    "crashes": (np.dtype("u1"), "times that a run ended while the region was in flight"),
    "messages": (_MESSAGE_DTYPE, "why regions are bad or in quarantine, as far as there is room"),
    "run": (_RUN_DTYPE, "the latest run: times in s since 1970, regions finished then"),
}


@dataclass(frozen=True)
class Run:
    """The latest run of a store: what rate and time left follow from.

    Parameters
    ----------
    started, flushed
        Its start and the last time when everything was forced to the disk [s since 1970].
    first
        The first results [s since 1970]: before them kernels may have been compiled; 0 if none came.
    finished_at_first, finished
        Regions with a final status at `first` and at `flushed`.
    host, pid
        Where it runs or ran.
    """

    started: float
    first: float
    flushed: float
    finished_at_first: int
    finished: int
    host: str
    pid: int


@dataclass(frozen=True)
class Results:
    """A store as it was at the moment of reading.

    Parameters
    ----------
    rows
        (n,) of ROW_DTYPE; meaningful where `is_final`.
    status
        (n,) of `Status`.
    settings
        What decided the numbers.
    fingerprint
        Of settings and regions.
    messages
        Text by position in the store, of bad and quarantined regions whose flags do not say it all.
    torn
        Positions of rows that have a final status in the file, but do not match their checksum; here
        their status is pending.
    """

    rows: np.ndarray
    status: np.ndarray
    settings: dict[str, Any]
    fingerprint: str
    messages: dict[int, str] = field(default_factory=dict)
    torn: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


def packed_observations(takes_part: np.ndarray) -> np.ndarray:
    """Bits of the column ``observations`` (n, MOST_OBSERVATIONS / 8) of flags (n, n_obs)."""
    bits = np.zeros((len(takes_part), MOST_OBSERVATIONS // 8), np.uint8)
    packed = np.packbits(takes_part, axis=1, bitorder="little")
    bits[:, : packed.shape[1]] = packed
    return bits


def unpacked_observations(bits: np.ndarray, n_observations: int) -> np.ndarray:
    """Whether each observation takes part (n, n_obs), from the column ``observations``."""
    return np.unpackbits(bits, axis=1, count=n_observations, bitorder="little").astype(bool)


def blank_rows(regions: np.ndarray) -> np.ndarray:
    """Rows of regions without a fit: NaN in every column of floats, 0 in the others.

    Parameters
    ----------
    regions
        (n,) with `REGION_COLUMNS` among its columns.

    Returns
    -------
    numpy.ndarray
        (n,) of ROW_DTYPE.
    """
    rows = np.zeros(len(regions), ROW_DTYPE)
    for name in ROW_DTYPE.names or ():
        if name in REGION_COLUMNS:
            rows[name] = regions[name]
        elif ROW_DTYPE[name].kind == "f":
            rows[name] = np.nan
    return rows


def checksums(rows: np.ndarray, status: np.ndarray, indices: np.ndarray, seed: int) -> np.ndarray:
    """What `ResultsStore.write` puts beside the rows.

    Parameters
    ----------
    rows
        (n,) of ROW_DTYPE.
    status
        (n,) of `Status`, uint8.
    indices
        (n,) positions in the store.
    seed
        `ResultsStore.seed`.

    Returns
    -------
    numpy.ndarray
        (n,) uint32.
    """
    data = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), ROW_DTYPE.itemsize)
    return row_checksums(data, status, np.asarray(indices, np.int64), seed)


class ResultsStore:
    """The one writer of a results store; made by `create` or `open_for_resume`.

    A context manager: leaving it writes everything to disk, closes the file and lets others write.
    In memory it keeps two bytes per region.
    """

    def __init__(self, file: TableFile, lock: WriterLock, status: np.ndarray, crashes: np.ndarray) -> None:
        self.path = file.path
        self._file, self._lock = file, lock
        self._status, self._crashes = status, crashes
        self.seed = _seed(file)
        self._n_messages = int(np.count_nonzero(file.read("messages")["crc"]))
        self._finished = int(is_final(status).sum())
        self._run = np.zeros(1, _RUN_DTYPE)
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
        """Make a store in which every region is pending, replacing any other of that name.

        Parameters
        ----------
        path
            The file.
        regions
            (n,) of REGION_DTYPE, or of any dtype with these columns.
        fingerprint
            Of everything that decides the numbers; resuming needs the same.
        settings
            The same in words, to say what differs; whatever JSON can hold.

        Raises
        ------
        EmptySelection
            If there is no region.
        StoreInUse
            If another process is writing a store of that name.
        DiskFull, DamagedFile
            If it cannot be written; then `path` is as it was.
        """
        n = len(regions)
        if not n:
            raise EmptySelection(f"{path}: not made: there is no region to fit")
        sizes = {**dict.fromkeys(TABLES, n), "messages": min(n, MOST_MESSAGES), "run": 1}
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
                with _open(temporary, writable=True) as file:
                    for start in range(0, n, BLOCK):
                        file.write("rows", start, blank_rows(regions[start : start + BLOCK]))
                        lock.touch()
                    file.sync()
                lock.check(now=True)
            file = _open(path, writable=True)
            return cls(file, lock, np.zeros(n, np.uint8), np.zeros(n, np.uint8))

    @classmethod
    def open_for_resume(cls, path: Path, *, fingerprint: str, settings: Mapping[str, Any]) -> "ResultsStore":
        """Open a store to go on with it.

        Rows that do not match their checksum become pending again, as do regions that were in flight:
        each of these has one crash more.

        Raises
        ------
        StoreInUse
            If another process is writing it.
        ForeignProduct
            If it was made with other settings, data or regions; the message names what differs.
        DamagedFile
            If it cannot be read.
        """
        if not check_regular(path):
            raise MissingInput(f"{path} is missing: `pyxt-hpc fit-spectra -c CONFIG` makes it")
        with _locked(path) as lock:
            if lock.contested:
                _leave_to_sleeper(path)
            file = _open(path, writable=True)
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
            # Crashes first: a kill between the two must not forget them.
            file.write("crashes", 0, crashes)
            file.write("status", 0, status)
            return cls(file, lock, status, crashes)

    def __len__(self) -> int:
        return len(self._status)

    @property
    def settings(self) -> dict[str, Any]:
        """What decided the numbers."""
        return self._file.description["settings"]

    @property
    def fingerprint(self) -> str:
        """Of everything that decided the numbers."""
        return self._file.description["fingerprint"]

    def status(self) -> np.ndarray:
        """(n,) of `Status`."""
        return self._status.copy()

    def crashes(self) -> np.ndarray:
        """(n,) times that a run ended while the region was in flight."""
        return self._crashes.copy()

    def rows(self) -> np.ndarray:
        """(n,) of ROW_DTYPE; `column` takes less memory."""
        return self._file.read("rows")

    def column(self, name: str) -> np.ndarray:
        """(n,) one column of the rows."""
        return read_column(self._file, name)

    def pending(self) -> np.ndarray:
        """Positions of the regions that are still to be handed out, ascending."""
        return np.flatnonzero(self._status == Status.PENDING)

    def start(self, indices: np.ndarray) -> None:
        """Regions are about to be handed out: from here on the end of the run counts as a crash of theirs."""
        self._set_status(indices, Status.IN_FLIGHT)

    def give_back(self, indices: np.ndarray) -> None:
        """Regions that were handed out and did not come back, by no fault of theirs."""
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
            (n,) of ROW_DTYPE.
        status
            (n,) of `Status`.
        messages
            Why a region is bad or in quarantine, by its position.

        Raises
        ------
        DiskFull, DamagedFile
            If the system does not let it be written; regions that were not stored are as they were.
        StoreInUse
            If another process took the store away.
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
        """Write neighbouring rows of a table: all that this process writes, it writes here."""
        self._assert_own()
        try:
            self._file.write(table, at, values)
        except PyxtError:
            # Where the file was taken away, what the system says about it explains nothing.
            self._assert_own(now=True)
            self._assert_there()
            raise

    def _assert_own(self, *, now: bool = False) -> None:
        try:
            self._lock.check(now=now)
        except StoreInUse:
            if not self.path.exists():  # the folder is gone, say
                self._assert_there()
            raise

    def _assert_there(self) -> None:
        if not self._file.is_at_its_path():
            if self.path.exists():  # perhaps by one who took it over
                self._lock.check(now=True)
            raise DamagedFile(
                f"{self.path}: was removed, or another file put in its place, while it was being written: "
                "what was finished in this run is lost; keep the file, and run again with --continue"
            )

    def _add_messages(self, messages: Mapping[int, str]) -> None:
        room = self._file.length("messages") - self._n_messages
        if room < len(messages):
            log.warning(
                "%s: has room for %d messages; lost: %s", self.path, self._file.length("messages"),
                "; ".join(list(messages.values())[room:]),
            )  # fmt: skip
        for index, text in list(messages.items())[:room]:
            message = np.zeros(1, _MESSAGE_DTYPE)
            message["region"] = index
            message["text"] = " ".join(text.split()).encode(errors="replace")[
                : _MESSAGE_DTYPE["text"].itemsize
            ]
            self._put("messages", self._n_messages, _with_crc(message, self.seed))
            self._n_messages += 1

    def heartbeat(self) -> None:
        """Flush if it is time to, and show others that this process lives; to be called all the time.

        Raises
        ------
        StoreInUse
            If another process took the store away.
        """
        self._lock.touch()
        if time.monotonic() >= self._next_flush:
            self.flush()

    def flush(self) -> None:
        """Force everything to the disk.

        Raises
        ------
        StoreInUse
            If another process took the store away.
        DamagedFile
            If somebody removed it, or put another file in its place.
        """
        start = time.monotonic()
        self._run["flushed"], self._run["finished"] = time.time(), self._finished
        self._assert_own(now=True)
        self._put("run", 0, _with_crc(self._run, self.seed))
        self._file.sync()
        self._assert_there()
        now = time.monotonic()
        self._next_flush = now + max(FLUSH_SECONDS, (now - start) / FLUSH_SHARE)

    def verified(self) -> np.ndarray:
        """Status of every region, after everything was written, read back and compared with its checksum.

        Returns
        -------
        numpy.ndarray
            (n,) of `Status`.

        Raises
        ------
        DamagedFile
            If anything is not as it was written.
        """
        self.flush()
        status, torn = verified_status(self._file)
        wrong = np.union1d(torn, np.flatnonzero(status != self._status))
        if len(wrong):
            numbers = ", ".join(map(str, self.column("region")[wrong[:10]]))
            raise DamagedFile(
                f"{self.path}: {len(wrong)} rows are not as they were written (regions {numbers}"
                f"{' ...' if len(wrong) > 10 else ''}): something else writes this file, or the disk is "
                "failing; run again with --continue"
            )
        return status

    def close(self) -> None:
        """Write everything to disk, release the file and let others write."""
        try:
            if not self._file.closed:
                self.flush()
                note_product(self.path)
        finally:
            self._file.close()
            self._lock.release()

    def __enter__(self) -> "ResultsStore":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_results(path: Path) -> Results:
    """Read a store, also while another process writes it; a row that fails its checksum is pending.

    Raises
    ------
    MissingInput
        If there is none.
    DamagedFile, ForeignProduct
        If it is truncated or not HDF5; if it is HDF5 of another kind.
    """
    with open_to_read(path) as file:
        rows, status, torn = (
            np.zeros(file.length("rows"), dtype) for dtype in (ROW_DTYPE, np.uint8, np.bool_)
        )
        for start, *values in verified_blocks(file):
            stop = start + len(values[0])
            rows[start:stop], status[start:stop], torn[start:stop] = values
        return Results(
            rows=rows,
            status=status,
            settings=file.description["settings"],
            fingerprint=file.description["fingerprint"],
            messages=read_messages(file),
            torn=np.flatnonzero(torn),
        )


def open_to_read(path: Path) -> TableFile:
    """Open a store to read parts of it; raises as `read_results`."""
    if not check_regular(path):
        raise MissingInput(f"{path} is missing: `pyxt-hpc fit-spectra -c CONFIG` makes it")
    return _open(path, writable=False)


def read_column(file: TableFile, name: str) -> np.ndarray:
    """(n,) one column of the rows."""
    n = file.length("rows")
    values = np.empty(n, ROW_DTYPE[name])
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        values[start:stop] = file.read("rows", start, stop)[name]
    return values


def read_messages(file: TableFile) -> dict[int, str]:
    """Texts by position of the region; a later one replaces an earlier one, damaged ones are left out."""
    return {
        index: text.decode(errors="replace")
        for index, text, _ in (message.item() for message in _matching(file.read("messages"), _seed(file)))
    }


def read_run(file: TableFile) -> Run | None:
    """The latest run, or None if what is known of it is damaged or just being written."""
    for run in _matching(file.read("run"), _seed(file)):
        values: dict[str, Any] = dict(zip(_RUN_DTYPE.names or (), run.item(), strict=True))
        del values["crc"]
        return Run(**values | {"host": values["host"].decode(errors="replace")})
    return None


def verified_blocks(
    file: TableFile, block: int = BLOCK
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """All rows in blocks: position of the first, rows, status, which are torn (and pending)."""
    n = file.length("rows")
    # Status first: a row that was completed after this is merely not yet counted.
    status = file.read("status")
    for start in range(0, n, block):
        stop = min(start + block, n)
        yield start, *_verified(file, start, status[start:stop])


def _verified(file: TableFile, start: int, status: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of such status, their status, which are torn (and pending)."""
    stop = start + len(status)
    rows = file.read("rows", start, stop)
    expected = checksums(rows, status, np.arange(start, stop), _seed(file))
    torn = is_final(status) & (expected != file.read("crc", start, stop))
    torn |= status > max(Status)
    status[torn] = Status.PENDING
    return rows, status, torn


def verified_status(file: TableFile) -> tuple[np.ndarray, np.ndarray]:
    """Status of every region, pending where a row is torn, and the positions of these."""
    status = np.zeros(file.length("rows"), np.uint8)
    torn_at = []
    for start, rows, part, torn in verified_blocks(file):
        status[start : start + len(rows)] = part
        torn_at.append(start + np.flatnonzero(torn))
    return status, np.concatenate(torn_at)


def _with_crc(row: np.ndarray, seed: int) -> np.ndarray:
    """One row with the checksum of its other columns, which `crc` follows."""
    row["crc"] = max(zlib.crc32(row.tobytes()[:-4], seed), 1)
    return row


def _matching(rows: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Rows of a small table that were written and match their checksum."""
    for row in rows[rows["crc"] != 0]:
        if max(zlib.crc32(row.tobytes()[:-4], seed), 1) == row["crc"]:
            yield row


def _seed(file: TableFile) -> int:
    """A row of another store does not match."""
    return zlib.crc32(file.description["fingerprint"].encode())


def _runs(indices: np.ndarray) -> Iterator[tuple[int, slice]]:
    """First position and part of every run of consecutive numbers: one write each."""
    n = len(indices)
    # Nearly every chunk is one run, and this is most of what the master does for it.
    stops = np.flatnonzero(indices[1:] - indices[:-1] != 1).tolist() if n > 1 else []
    start = 0
    for stop in [*(last + 1 for last in stops), n] if n else []:
        yield int(indices[start]), slice(start, stop)
        start = stop


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[WriterLock]:
    """The writer's lock, released again if the store does not come to be."""
    lock = WriterLock(path)
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _leave_to_sleeper(path: Path) -> None:
    """Put a copy in the file's place: an owner that only slept has the old one open, which nobody reads."""
    with replacing(path) as temporary:
        shutil.copyfile(path, temporary)


def _open(path: Path, *, writable: bool) -> TableFile:
    tables = {name: dtype for name, (dtype, _) in TABLES.items()}
    return TableFile(
        path, schema=SCHEMA, version=SCHEMA_VERSION, tables=tables, remedy=REMEDY, writable=writable
    )


def _difference(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    differing = [
        f"{name} was {found.get(name)}, now {wanted.get(name)}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    return (
        f"{path}: holds fits of other data or settings ({'; '.join(differing) or 'other regions'}): set "
        "these back, or start anew without --continue"
    )
