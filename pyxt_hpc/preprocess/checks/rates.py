"""Warnings of unusual ACIS rates, which indicate a wrong exposure, a filter without a trace, or a flare.

Sources of the numbers: data/SOURCES.md.
"""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.keywords import exposure_s
from pyxt_hpc.chandra.kinds import BACK_ILLUMINATED
from pyxt_hpc.chandra.sky.geometry import CHIP_PIXELS, rows_of
from pyxt_hpc.chandra.sky.tangent import SKY_PIXEL_ARCSEC
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.preprocess.background.blank_sky import PARTICLE_BAND_EV
from pyxt_hpc.preprocess.checks.coverage import counts_in_blocks, quiet_rate

_MAX_FACTOR = 1.5  # larger factors give a warning
_USUAL = {"front": (0.1, 0.3), "back": (0.1, 1.0)}  # count/s of a chip without a source, 0.5-7 keV
_CHIP_ARCSEC = SKY_PIXEL_ARCSEC * CHIP_PIXELS
_SKY_BAND_EV = (500.0, 7000.0)
_HARD_BAND_EV = (2000.0, 7000.0)  # where the sky background is faintest
_FAINT_QUANTILE = 0.1  # fraction of the field that has hardly any emission of the cluster
_MIN_OF_BLOCK = 25
_MIN_PARTICLES = 100


def unusual_rates(
    events: EventList,
    background: EventList | None,
    chips: tuple[int, ...],
    gti: Mapping[int, NDArray[np.float64]],
) -> Iterator[str]:
    """Warnings about the rates of an observation and its blank sky (or None).

    Both have good grade and status, and lie on the chips in use; the events lie in the good times ``gti`` of
    each chip.
    """
    if background is not None:
        yield from _particles(events, background, chips, gti)
    rows = rows_of(events.header)
    if events.chipx is None or events.chipy is None or rows is None:
        return
    yield from _faintest(events, chips, rows)
    if background is not None and background.chipx is not None and background.chipy is not None:
        yield from _hard(events, background, chips, rows)


def min_background_rate(pixel_arcsec: float) -> float:
    """Lowest usual 0.5-7 keV rate of sky and particles in ACIS [count s^-1 per square pixel]."""
    return min(low for low, _ in _USUAL.values()) * (pixel_arcsec / _CHIP_ARCSEC) ** 2


def _particles(
    events: EventList, background: EventList, chips: tuple[int, ...], gti: Mapping[int, NDArray[np.float64]]
) -> Iterator[str]:
    """Compare the quiet 9.5-12 keV rates of events and blank sky; this rate changes slowly."""
    assert events.time is not None
    high, blank = events.in_band(PARTICLE_BAND_EV), int(np.sum(background.in_band(PARTICLE_BAND_EV)))
    live, blank_live = (exposure_s(one.header) or 0.0 for one in (events, background))
    if not (live > 0 and blank_live > 0 and blank and high.any()):
        return
    together = gti_arithmetic.union(list(gti.values()))
    rate = quiet_rate(events.time[high], together) * gti_arithmetic.ontime(together) / live
    expected = blank / blank_live
    noise = 3.0 * np.sqrt(1.0 / min(high.sum(), 100) + 1.0 / blank)
    if abs(np.log(max(rate, 1e-9) / expected)) > np.log(_MAX_FACTOR) + noise:
        yield (
            f"{events.path.name}: {rate / len(chips):.3f} count/s a CCD of 9.5-12 keV, its blank sky has "
            f"{expected / len(chips):.3f}: a factor of {rate / expected:.2f}, although this rate changes "
            "slowly: check EXPOSURE, the filters and the epoch of both, and look for a long flare"
        )


def _faintest(events: EventList, chips: tuple[int, ...], rows: tuple[int, int]) -> Iterator[str]:
    """Compare the 0.5-7 keV rate of the faintest part of the field with that of ACIS without a source."""
    live = exposure_s(events.header) or 0.0
    of_frame = (rows[1] - rows[0] + 1) / CHIP_PIXELS
    back = set(chips) & set(BACK_ILLUMINATED)
    for kind, members in (("front", set(chips) - back), ("back", back)):
        if not members or live <= 0:
            continue
        blocks = np.concatenate([_blocks(events, _SKY_BAND_EV, chip, rows) for chip in sorted(members)])
        if np.median(blocks) < _MIN_OF_BLOCK:
            continue
        block_of_chip = len(members) / len(blocks) * of_frame
        rate = float(np.quantile(blocks, _FAINT_QUANTILE)) / block_of_chip / live
        low, high = _USUAL[kind]
        if not low / _MAX_FACTOR < rate < high * _MAX_FACTOR:
            yield (
                f"{events.path.name}: the faintest tenth of the field has {rate:.3f} count/s a "
                f"{kind}-illuminated CCD of 0.5-7 keV, but ACIS has {low:g} to {high:g} without a source: if "
                "the cluster does not fill the field, check EXPOSURE and the filters, and look for flares"
            )


def _hard(
    events: EventList, background: EventList, chips: tuple[int, ...], rows: tuple[int, int]
) -> Iterator[str]:
    """Compare the 2-7 keV counts of the faintest part of the field with the scaled blank sky."""
    n, blank = (int(np.sum(file.in_band(PARTICLE_BAND_EV))) for file in (events, background))
    if min(n, blank) < _MIN_PARTICLES:
        return
    data, model = (
        np.concatenate([_blocks(file, _HARD_BAND_EV, chip, rows) for chip in chips])
        for file in (events, background)
    )
    model = model * (n / blank)
    if np.median(model) < _MIN_OF_BLOCK:
        return
    ratio = float(np.quantile(data[model > 0] / model[model > 0], _FAINT_QUANTILE))
    if not 1 / _MAX_FACTOR < ratio < _MAX_FACTOR:
        yield (
            f"{events.path.name}: even the faintest tenth of the field has {ratio:.2f} times the blank sky's "
            "2-7 keV counts, scaled by 9.5-12 keV: events and blank sky were selected differently, or a "
            "bright source fills the field"
        )


def _blocks(
    file: EventList, band_eV: tuple[float, float], chip: int, rows: tuple[int, int]
) -> NDArray[np.float64]:
    assert file.chipx is not None
    assert file.chipy is not None
    on = (file.ccd_id == chip) & file.in_band(band_eV)
    return counts_in_blocks(file.chipx[on], file.chipy[on], rows)
