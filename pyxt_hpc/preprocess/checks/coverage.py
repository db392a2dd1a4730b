"""Signs of a selection in the events themselves.

These functions find ranges of energy, chip area and time without any event, where Poisson statistics of the
other events exclude this. A file that was filtered without CIAO (in Python, for example) keeps the header of
the whole file, so that only its events show the selection.
"""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.sky.geometry import CHIP_PIXELS
from pyxt_hpc.chandra.times import gti as gti_arithmetic

BAND_EV = (300.0, 12_000.0)  # every ACIS file has events there, at least of particles
_ENERGY_STEP_EV = 100.0
_NEIGHBOURS = 5  # number of steps on either side from which the expectation is estimated
_MIN_EXPECTED = 20.0  # with as many expected events, the probability of none is 2e-9
_SIGMAS = 4.0  # by which the neighbouring counts are lowered, as they may be high by chance
_MIN_MEDIAN = 40.0  # median events of a block, high enough to allow for vignetting and slow changes
_BLOCKS = (16, 8, 4, 2)  # number of blocks along a side of a chip, most first
_MAX_BINS = 1000  # largest number of time bins
_MIN_BINS = 8
_FAINT_QUANTILE = 0.2


def energy_ranges(energy_eV: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranges of energy (m, 2) [eV], half open, that a file holds; 0 to infinity if it was not cut.

    Consecutive 100 eV steps without any event are a cut if their neighbours predict 20 or more events.
    """
    energy = energy_eV[(energy_eV >= BAND_EV[0]) & (energy_eV < BAND_EV[1])].astype(np.float64)
    edges = np.arange(BAND_EV[0], BAND_EV[1] + 1.0, _ENERGY_STEP_EV)
    step = ((energy - BAND_EV[0]) / _ENERGY_STEP_EV).astype(np.int64)
    counts = np.bincount(step, minlength=len(edges) - 1)
    cuts = [(0.0, 0.0)]
    for first, end in _runs(counts == 0):
        beside = [
            max(side.sum() - _SIGMAS * np.sqrt(side.sum()), 0.0) / len(side)
            for side in (counts[max(first - _NEIGHBOURS, 0) : first], counts[end : end + _NEIGHBOURS])
            if len(side)
        ]
        if beside and (end - first) * min(beside) >= _MIN_EXPECTED:
            below, above = energy[energy < edges[first]], energy[energy >= edges[end]]
            low = np.nextafter(np.float32(below.max()), np.float32(np.inf)) if len(below) else 0.0
            cuts.append((float(low), float(above.min()) if len(above) else np.inf))
    stops = [start for start, _ in cuts[1:]] + [np.inf]
    ranges = np.array([(stop, start) for (_, stop), start in zip(cuts, stops, strict=True)])
    return ranges[ranges[:, 1] > ranges[:, 0]]


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and one after the last index (m, 2) of every run of true values."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return steps.reshape(-1, 2)


def empty_share_of_chip(
    chipx: NDArray[np.integer], chipy: NDArray[np.integer], rows: tuple[int, int]
) -> float | None:
    """Fraction of the area of a chip's rows (first and last, from 1) without events where some are expected.

    None if there are too few events even for four blocks of the chip.
    """
    for side in _BLOCKS:
        counts = counts_in_blocks(chipx, chipy, rows, side)
        filled = counts[counts > 0]
        if len(filled) and np.median(filled) >= _MIN_MEDIAN:
            return float(np.mean(counts == 0))
    return None


def empty_share_of_time(time: NDArray[np.float64], gti: NDArray[np.float64]) -> float | None:
    """Fraction of good time (m, 2) [s] without any event where some are expected; None: too few events.

    The events are those of one chip, or of chips with the same good time.
    """
    good = time[gti_arithmetic.in_gti(gti, time)]
    bins = min(len(good) // int(2 * _MIN_MEDIAN), _MAX_BINS)
    while bins >= _MIN_BINS:
        counts, _ = counts_in_good_time(good, gti, bins)
        filled = counts[counts > 0]
        # Bright bins are flares; the faint bins give the quiet rate.
        if np.quantile(filled, _FAINT_QUANTILE) >= _MIN_MEDIAN:
            return float(np.mean(counts == 0))
        bins //= 2
    return None


def counts_in_good_time(
    time: NDArray[np.float64], gti: NDArray[np.float64], bins: int
) -> tuple[NDArray[np.int64], float]:
    """Number of events in bins of equal good time, and the length [s] of a bin."""
    total = gti_arithmetic.ontime(gti)
    edges = gti_arithmetic.at_elapsed(gti, np.linspace(0.0, total, bins + 1))
    edges[-1] = gti[-1, 1]
    return np.histogram(time, edges)[0].astype(np.int64), total / bins


def quiet_rate(time: NDArray[np.float64], gti: NDArray[np.float64]) -> float:
    """Median rate [event/s] over bins of about 100 events, which a flare hardly changes."""
    inside = time[gti_arithmetic.in_gti(gti, time)]
    bins = max(1, min(len(inside) // 100, _MAX_BINS))
    if bins < _MIN_BINS:
        return len(inside) / gti_arithmetic.ontime(gti)
    counts, length = counts_in_good_time(inside, gti, bins)
    return float(np.median(counts)) / length


def counts_in_blocks(
    chipx: NDArray[np.integer], chipy: NDArray[np.integer], rows: tuple[int, int], side: int = 4
) -> NDArray[np.float64]:
    """Numbers of events in blocks of a chip's rows (first and last, from 1), ``side`` blocks along a row."""
    first, last = rows
    along_y = max(1, round(side * (last - first + 1) / CHIP_PIXELS))
    x, y = chipx.astype(np.int64) - 1, chipy.astype(np.int64) - first
    inside = (x >= 0) & (x < CHIP_PIXELS) & (y >= 0) & (y <= last - first)
    block = (x * side // CHIP_PIXELS) * along_y + y * along_y // (last - first + 1)
    return np.bincount(block[inside], minlength=side * along_y).astype(np.float64)
