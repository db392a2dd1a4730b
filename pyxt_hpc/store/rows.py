"""Layout of a results store: columns of a region's row, statuses of regions, tables of the file."""

from enum import IntEnum

import numpy as np

SCHEMA = "pyxt_hpc results"
SCHEMA_VERSION = 4

MAX_OBSERVATIONS = 256
"""Largest number of observations of a cluster; a row has a bit for each."""

NORM_UNIT = "10**14 cm-5"
"""Unit of XSPEC's apec norm, 1e-14/(4 pi (D_A (1 + z))^2) int n_e n_H dV: norm 1 is 1e14 cm^-5."""

# name: (dtype, FITS unit string, meaning)
COLUMNS: dict[str, tuple[str, str, str]] = {
    "region": ("i4", "", "number of the region, from 1 in row-major order of the scale map"),
    "row": ("i4", "pixel", "row of the centre, from 0"),
    "col": ("i4", "pixel", "column of the centre, from 0"),
    "radius": ("f4", "pixel", "radius of the circle; for a bin, of the circle with its area"),
    "area": ("i4", "pixel", "pixels of the whole region"),
    "counts": ("i4", "count", "counts in the region and band, of the observations that take part"),
    "background_counts": ("f8", "count", "expected background among counts"),
    "observations": (
        f"({MAX_OBSERVATIONS // 8},)u1",
        "",
        "bit i mod 8 of byte i div 8: observation i of the bundle takes part",
    ),
    "exposure": ("f8", "s", "sum over observations of live time x fraction of the region's brightness seen"),
    "live_fraction": (
        "f8",
        "",
        "fraction of the region's brightness seen by the observations that take part, mean by live time",
    ),
    "kT": ("f8", "keV", "temperature"),
    "kT_lo": ("f8", "keV", "lower end of the 68% interval, NaN if open"),
    "kT_hi": ("f8", "keV", "upper end of the 68% interval, NaN if open"),
    "norm": ("f8", NORM_UNIT, "XSPEC's apec normalisation of the whole region"),
    "norm_lo": ("f8", NORM_UNIT, "lower end of the 68% interval, NaN if open"),
    "norm_hi": ("f8", NORM_UNIT, "upper end of the 68% interval, NaN if open"),
    "abundance": ("f8", "", "[solar] of metals, relative to the abundance table in the settings"),
    "abundance_lo": ("f8", "", "[solar] lower end of the 68% interval, NaN if open or frozen"),
    "abundance_hi": ("f8", "", "[solar] upper end of the 68% interval, NaN if open or frozen"),
    "nH": ("f8", "10**22 cm-2", "absorbing column"),
    "nH_lo": ("f8", "10**22 cm-2", "lower end of the 68% interval, NaN if open or frozen"),
    "nH_hi": ("f8", "10**22 cm-2", "upper end of the 68% interval, NaN if open or frozen"),
    "statistic": ("f8", "", "statistic at the best fit"),
    "dof": ("i4", "", "bins minus free parameters"),
    "bins": ("i4", "", "spectral bins of all observations that take part"),
    "goodness": ("f8", "", "statistic minus its expectation, in standard deviations (Kaastra 2017)"),
    "flags": ("i4", "", "bits, see pyxt_hpc.fit.flags.FitFlag"),
    "attempts": ("i4", "", "number of times that the region was tried"),
    "seconds": ("f4", "s", "time of the fit, averaged over its chunk"),
}
ROW_DTYPE = np.dtype([(name, dtype) for name, (dtype, _, _) in COLUMNS.items()])
REGION_COLUMNS = ("region", "row", "col", "radius")
REGION_DTYPE = np.dtype([(name, ROW_DTYPE[name]) for name in REGION_COLUMNS])


class Status(IntEnum):
    """State of a region."""

    PENDING = 0
    IN_FLIGHT = 1
    """A worker is fitting the region, or was fitting it when the run ended."""
    DONE = 2
    BAD = 3
    QUARANTINED = 4
    """Runs ended repeatedly while the region was being fitted, so that it is not tried again."""


def is_final(status: np.ndarray) -> np.ndarray:
    """Whether a region needs no more work: it is done, bad or quarantined."""
    return status >= int(Status.DONE)


MESSAGE_DTYPE = np.dtype([("region", "<i4"), ("text", "S244"), ("crc", "<u4")])
RUN_DTYPE = np.dtype(
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
# name: (dtype, meaning); a row for each region except in the last two
TABLES: dict[str, tuple[np.dtype, str]] = {
    "rows": (ROW_DTYPE, "see the attributes of the columns"),
    "crc": (np.dtype("<u4"), "CRC-32 of position, status and row, from that of the fingerprint; 0: none yet"),
    "status": (np.dtype("u1"), ", ".join(f"{status.value} {status.name.lower()}" for status in Status)),
    "crashes": (np.dtype("u1"), "times that a run ended while the region was in flight"),
    "messages": (MESSAGE_DTYPE, "reasons why regions are bad or quarantined, while there is space"),
    "run": (RUN_DTYPE, "the latest run: times in s since 1970, and numbers of regions finished then"),
}


def packed_observations(takes_part: np.ndarray) -> np.ndarray:
    """Column ``observations`` (n, MAX_OBSERVATIONS / 8) of bits, from booleans (n, n_obs)."""
    bits = np.zeros((len(takes_part), MAX_OBSERVATIONS // 8), np.uint8)
    packed = np.packbits(takes_part, axis=1, bitorder="little")
    bits[:, : packed.shape[1]] = packed
    return bits


def unpacked_observations(bits: np.ndarray, n_observations: int) -> np.ndarray:
    """Whether each observation takes part (n, n_obs), from the column ``observations``."""
    return np.unpackbits(bits, axis=1, count=n_observations, bitorder="little").astype(bool)


def blank_rows(regions: np.ndarray) -> np.ndarray:
    """Rows (n,) of regions without a fit: except `REGION_COLUMNS`, floats are NaN and integers 0."""
    rows = np.zeros(len(regions), ROW_DTYPE)
    for name in ROW_DTYPE.names or ():
        if name in REGION_COLUMNS:
            rows[name] = regions[name]
        elif ROW_DTYPE[name].kind == "f":
            rows[name] = np.nan
    return rows
