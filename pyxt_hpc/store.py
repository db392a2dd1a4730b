"""The results store: one row per region in an HDF5 file that a kill at any instant leaves whole.

Every dataset is made at full size with contiguous layout, so nothing but numbers changes after
creation. A row is written first, then its checksum, then its status. `COLUMNS` is the layout.
"""

import contextlib
import itertools
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from pyxt_hpc.errors import DamagedFile, ForeignProduct, MissingInput
from pyxt_hpc.files import replacing

SCHEMA = "pyxt_hpc results"
SCHEMA_VERSION = 2
FLUSH_SECONDS = 2.0
"""A crash of the machine (not of the program) can cost this much work."""

# name: (dtype, unit, meaning)
COLUMNS: dict[str, tuple[str, str, str]] = {
    "region": ("i4", "", "number of the region, from 1 in row-major order of the scale map"),
    "row": ("i4", "pixel", "centre, from 0"),
    "col": ("i4", "pixel", "centre, from 0"),
    "radius": ("f4", "pixel", "of the circle"),
    "area": ("i4", "pixel", "pixels of the whole circle"),
    "counts": ("i4", "count", "in the circle and band, observations that take part"),
    "background_counts": ("f8", "count", "expected of the background among counts"),
    "observations": ("u8", "", "bit i: observation i of the bundle takes part"),
    "exposure": ("f8", "s", "live time x live fraction of the circle, observations that take part"),
    "kT": ("f8", "keV", "temperature"),
    "kT_lo": ("f8", "keV", "lower end of the 68% interval, NaN if open"),
    "kT_hi": ("f8", "keV", "upper end of the 68% interval, NaN if open"),
    "norm": ("f8", "1e-14 cm-5", "XSPEC's apec normalisation of the whole circle"),
    "norm_lo": ("f8", "1e-14 cm-5", "lower end of the 68% interval, NaN if open"),
    "norm_hi": ("f8", "1e-14 cm-5", "upper end of the 68% interval, NaN if open"),
    "abundance": ("f8", "solar", "metals, of the abundance table in the settings"),
    "abundance_lo": ("f8", "solar", "lower end of the 68% interval, NaN if open or frozen"),
    "abundance_hi": ("f8", "solar", "upper end of the 68% interval, NaN if open or frozen"),
    "nH": ("f8", "1e22 cm-2", "absorbing column"),
    "nH_lo": ("f8", "1e22 cm-2", "lower end of the 68% interval, NaN if open or frozen"),
    "nH_hi": ("f8", "1e22 cm-2", "upper end of the 68% interval, NaN if open or frozen"),
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
    DONE = 2
    BAD = 3


@dataclass(frozen=True)
class Results:
    """A store as it was at the moment of reading.

    Parameters
    ----------
    rows
        (n,) of ROW_DTYPE; meaningful where the region is done.
    status
        (n,) of `Status`.
    settings
        What decided the numbers.
    fingerprint
        Of settings and regions.
    """

    rows: np.ndarray
    status: np.ndarray
    settings: dict[str, Any]
    fingerprint: str


def _checksums(rows: np.ndarray) -> np.ndarray:
    """CRC-32 of every row, (n,) uint32; never 0, which a row that was not written has."""
    data = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
    sums = np.fromiter((zlib.crc32(row.data) for row in data), np.uint32, len(rows))
    return np.maximum(sums, 1)


class ResultsStore:
    """The one writer of a results store; made by `create` or `open_for_resume`.

    A context manager: leaving it writes everything to disk and closes the file.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self._file = file
        self._last_flush = time.monotonic()

    @classmethod
    def create(
        cls, path: Path, *, regions: np.ndarray, fingerprint: str, settings: Mapping[str, Any]
    ) -> "ResultsStore":
        """Make a store in which every region is pending, replacing any other of that name.

        Parameters
        ----------
        path
            The HDF5 file.
        regions
            (n,) of REGION_DTYPE.
        fingerprint
            Of everything that decides the numbers; resuming needs the same.
        settings
            The same in words, to say what differs.
        """
        rows = np.zeros(len(regions), ROW_DTYPE)
        for name in REGION_COLUMNS:
            rows[name] = regions[name]
        with replacing(path) as temporary, h5py.File(temporary, "w", libver="earliest") as file:
            # Fixed-length text: HDF5 can crash on damaged pointers to text of variable length.
            file.attrs["schema"] = np.bytes_(SCHEMA)
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["fingerprint"] = np.bytes_(fingerprint)
            file.attrs["settings"] = np.bytes_(json.dumps(dict(settings)))
            for name, (_, unit, meaning) in COLUMNS.items():
                file.attrs[f"column {name}"] = np.bytes_(f"{meaning}{unit and f' [{unit}]'}")
            for name, data in (
                ("rows", rows),
                ("crc", np.zeros(len(rows), np.uint32)),
                ("status", np.full(len(rows), Status.PENDING, np.uint8)),
            ):
                file.create_dataset(name, data=data, track_times=False)
        return cls(path, _open(path, "r+"))

    @classmethod
    def open_for_resume(cls, path: Path, *, fingerprint: str, settings: Mapping[str, Any]) -> "ResultsStore":
        """Open a store to go on with it; rows that do not match their checksum become pending again.

        Raises
        ------
        ForeignProduct
            If it was made with other settings, data or regions; the message names what differs.
        DamagedFile
            If it cannot be read.
        """
        found = read_results(path)
        if found.fingerprint != fingerprint:
            names = sorted({*settings, *found.settings})
            differing = [
                f"{name} was {found.settings.get(name)}, now {settings.get(name)}"
                for name in names
                if found.settings.get(name) != settings.get(name)
            ]
            raise ForeignProduct(
                f"{path}: holds fits of other data or settings ({'; '.join(differing) or 'other regions'}): "
                "set these back, or start anew without --continue"
            )
        store = cls(path, _open(path, "r+"))
        with _hdf5_errors(path):
            store._file["status"][...] = found.status
            store.flush()
        return store

    def status(self) -> np.ndarray:
        """(n,) of `Status`."""
        return self._file["status"][()]

    def rows(self) -> np.ndarray:
        """(n,) of ROW_DTYPE."""
        return self._file["rows"][()]

    def pending(self) -> np.ndarray:
        """Indices of the regions that are still to be fitted, ascending."""
        return np.flatnonzero(self.status() == Status.PENDING)

    def write(self, indices: np.ndarray, rows: np.ndarray, status: np.ndarray) -> None:
        """Store finished regions.

        Parameters
        ----------
        indices
            (n,) ascending positions in the store.
        rows
            (n,) of ROW_DTYPE.
        status
            (n,) of `Status`.
        """
        checksums = _checksums(rows)
        with _hdf5_errors(self.path):
            for start, stop in _runs(indices):
                at = slice(int(indices[start]), int(indices[stop - 1]) + 1)
                self._file["rows"][at] = rows[start:stop]
                self._file["crc"][at] = checksums[start:stop]
                self._file["status"][at] = status[start:stop]
            # Out of HDF5's buffers, so that a kill of this process cannot take it back.
            self._file.flush()
        if time.monotonic() - self._last_flush > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Force everything to the disk."""
        with _hdf5_errors(self.path):
            self._file.flush()
            os.fsync(self._file.id.get_vfd_handle())
        self._last_flush = time.monotonic()

    def close(self) -> None:
        """Write everything to disk and release the file."""
        if self._file:
            self.flush()
            self._file.close()

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
    if not path.exists():
        raise MissingInput(f"{path} is missing: `pyxt-hpc fit-spectra -c CONFIG` makes it")
    file = _open(path, "r")
    with _hdf5_errors(path), file:
        schema, version = file.attrs.get("schema"), file.attrs.get("schema_version")
        if schema != np.bytes_(SCHEMA) or version != SCHEMA_VERSION:
            raise ForeignProduct(
                f"{path}: is {schema!r} version {version}, expected {SCHEMA!r} version {SCHEMA_VERSION}: "
                "move it away and run `pyxt-hpc fit-spectra` again"
            )
        # Status first: a row that was completed after this is merely not yet counted.
        status, rows, crc = file["status"][()], file["rows"][()], file["crc"][()]
        fingerprint, settings = file.attrs["fingerprint"].decode(), json.loads(file.attrs["settings"])
    if rows.dtype != ROW_DTYPE or not len(rows) == len(status) == len(crc):
        raise DamagedFile(f"{path}: its columns are not those of this version: start anew without --continue")
    finished = np.flatnonzero(status != Status.PENDING)
    torn = finished[_checksums(rows[finished]) != crc[finished]]
    status[torn] = Status.PENDING
    return Results(rows, status, settings, fingerprint)


def _open(path: Path, mode: str) -> h5py.File:
    with _hdf5_errors(path):
        # A reader may look on while the one writer works.
        return h5py.File(path, mode, locking="best-effort" if mode != "r" else False)


@contextlib.contextmanager
def _hdf5_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if "lock file" in reason:
            raise DamagedFile(f"{path}: another process is writing it: wait for it or end it") from None
        raise DamagedFile(
            f"{path}: cannot be read or written as HDF5 ({reason}): free disk space if it is full; "
            "if it is damaged, start anew: `pyxt-hpc fit-spectra` without --continue"
        ) from None


def _runs(indices: np.ndarray) -> list[tuple[int, int]]:
    """Bounds of the runs of consecutive numbers: one write each."""
    breaks = np.flatnonzero(np.diff(indices) != 1) + 1
    bounds = [0, *breaks.tolist(), len(indices)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a]
