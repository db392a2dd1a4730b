"""ClusterPyXT's tables of fits, ``<name>_best_spectral_fits.csv`` and ``<name>_worst_spectral_fits.csv``."""

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.errors import DamagedFile
from pyxt_hpc.files.quoting import one_line
from pyxt_hpc.files.text import read_text
from pyxt_hpc.files.writing import check_regular
from pyxt_hpc.stages.export import CSV_COLUMNS

FIT_DTYPE = np.dtype([("region", "i8"), *((name, "f8") for name in CSV_COLUMNS[1:8]), ("obs_id", "U1300")])
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class ClusterpyxtFits:
    """Fits (n,) of FIT_DTYPE, one for each region, in ascending order.

    Errors are offsets from the best fit, and NaN if Sherpa's conf found none. ``unreadable`` is the number of
    lines without a valid fit, for example because the process was killed; ``repeated`` is the number of fits
    that are replaced by a later line of the same region.
    """

    rows: NDArray[np.void]
    files: tuple[Path, ...]
    unreadable: int
    repeated: int


def read_fits(paths: Iterable[Path]) -> ClusterpyxtFits:
    """Read the existing files; if several lines have the same region, the last is used.

    Raises DamagedFile if a file cannot be read or does not have ClusterPyXT's columns.
    """
    found: list[tuple[object, ...]] = []
    files, unreadable = [], 0
    for path in paths:
        if not check_regular(path):
            continue
        text = read_text(path, "", max_bytes=_MAX_BYTES)
        try:
            lines = list(csv.reader(text.splitlines()))
        except csv.Error as error:
            raise DamagedFile(f"{path}: is not a CSV file ({one_line(str(error))})") from None
        if not lines or tuple(lines[0]) != CSV_COLUMNS:
            raise DamagedFile(
                f"{path}: is not a table of ClusterPyXT, which begins with {','.join(CSV_COLUMNS)}"
            )
        files.append(path)
        for line in filter(None, lines[1:]):
            row = _row(line)
            if row is None:
                unreadable += 1
            else:
                found.append(row)
    rows = np.array(found, FIT_DTYPE)
    # The order is reversed, since np.unique finds the first row of each region, but the last is needed.
    _, last = np.unique(rows["region"][::-1], return_index=True)
    chosen = rows[::-1][last]
    return ClusterpyxtFits(chosen, tuple(files), unreadable, len(rows) - len(chosen))


def _row(line: list[str]) -> tuple[object, ...] | None:
    if len(line) != len(CSV_COLUMNS):
        return None
    try:
        region = int(float(line[0]))
        numbers = [float(text) if text not in ("", "None") else math.nan for text in line[1:8]]
    except ValueError:
        return None
    T, norm = numbers[0], numbers[3]
    if region < 1 or not (0 < T < math.inf and 0 <= norm < math.inf):
        return None
    return (region, *numbers, line[8])
