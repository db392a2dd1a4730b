"""The energies of events and blank sky: both are cut to common ones, so that their ratios are exact."""

from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.subspace import Subspace, energies_eV, parse_ranges
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.errors import SelectionMismatch
from pyxt_hpc.preprocess.background.blank_sky import PARTICLE_BAND_EV
from pyxt_hpc.preprocess.checks.coverage import energy_ranges

_MIN_PARTICLES = 100  # events of the particle band, which give the scale to 10%
_MIN_PARTICLE_BAND_EV = 250.0
_WHOLE_EV = (400.0, 11_900.0)  # a file that holds these is not cut: thresholds and few events blur its ends
_ALL_EV = (0.0, 1e6)
_TOLERANCE_EV = 50.0  # width of the band of the fits that may be missing
_KEYWORD = "ENERGIES"  # of the files that stage 1 writes


def selected_energies(file: EventList, chips: tuple[int, ...]) -> NDArray[np.float64]:
    """Energies (m, 2) [eV] that a file holds according to its data subspace and its events."""
    found = _bounded(energy_ranges(file.energy_eV))
    said = energies_eV(Subspace.of(file.header).of_chips(chips))
    return found if said is None else gti_arithmetic.intersection(found, _bounded(said))


def common_energies(
    events: EventList, background: EventList | None, chips: tuple[int, ...]
) -> tuple[EventList, EventList | None, NDArray[np.float64], list[str]]:
    """Cut both files to the energies that both hold, if one is cut within 0.3-12 keV.

    Returns the cut events and background (or None), the energies (m, 2) [eV] that both hold (all if neither
    was cut), and warnings. Raises SelectionMismatch if too little is left of 9.5-12 keV.
    """
    files = [file for file in (events, background) if file is not None]
    held = [selected_energies(file, chips) for file in files]
    common = gti_arithmetic.intersection(*held)
    if _is_whole(common):
        return events, background, np.array([_ALL_EV]), []
    said = [
        f"{file.path}: it holds only energies of {_keV(ranges)}"
        for file, ranges in zip(files, held, strict=True)
        if not _is_whole(ranges)
    ]
    cut = [file.select(gti_arithmetic.in_gti(common, file.energy_eV)) for file in files]
    band = gti_arithmetic.intersection(common, [PARTICLE_BAND_EV])
    left = [int(np.sum(file.in_band(PARTICLE_BAND_EV))) for file in cut]
    if gti_arithmetic.ontime(band) < _MIN_PARTICLE_BAND_EV or min(left) < _MIN_PARTICLES:
        raise SelectionMismatch(
            f"{'; '.join(said)}: of 9.5-12 keV, which is needed to find flares and to scale the background, "
            f"only {_keV(band)} with {min(left)} events is left; make it again without a filter in energy"
        )
    if background is None:
        return cut[0], None, common, said
    said[-1] += f": the background is scaled by the {_keV(band)} that both hold"
    return cut[0], cut[1], common, said


def _bounded(ranges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(ranges, *_ALL_EV)


def _is_whole(ranges: NDArray[np.float64]) -> bool:
    return len(ranges) == 1 and bool(ranges[0, 0] <= _WHOLE_EV[0] and ranges[0, 1] >= _WHOLE_EV[1])


def write_energies(header: fits.Header, energies: NDArray[np.float64]) -> None:
    """Write into a header the energies (m, 2) [eV] to which events and background were cut."""
    text = ",".join(f"{low:.0f}:{high:.0f}" for low, high in energies)
    header[_KEYWORD] = (text, "[eV] that events and background hold")


def check_band(header: fits.Header, path: Path, band_keV: tuple[float, float]) -> None:
    """Raise SelectionMismatch if events of stage 1 were cut within the band of the fits."""
    held = parse_ranges(str(header.get(_KEYWORD, "")))
    if held is None:
        return
    band = 1e3 * np.array([band_keV])
    if (
        gti_arithmetic.ontime(gti_arithmetic.intersection(held, band))
        < gti_arithmetic.ontime(band) - _TOLERANCE_EV
    ):
        raise SelectionMismatch(
            f"{path}: it and its background hold only {_keV(held)}, but the band is "
            f"{band_keV[0]:g}-{band_keV[1]:g} keV; change energy_min, energy_max, or give files without a "
            "filter in energy"
        )


def _keV(ranges: NDArray[np.float64]) -> str:
    return " and ".join(_one_range(low / 1e3, high / 1e3) for low, high in ranges) or "nothing"


def _one_range(low: float, high: float) -> str:
    if high >= _ALL_EV[1] / 1e3:
        return f"more than {low:.2f} keV"
    return f"{low:.2f}-{high:.2f} keV" if low > 0 else f"less than {high:.2f} keV"
