"""Events in another tangent plane: those of an observation, and those of blank-sky files on its sky."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.sky.geometry import CHIP_PIXELS, FieldGeometry, FloatArray
from pyxt_hpc.chandra.sky.tangent import pixel_to_pixel
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.errors import DamagedFile, EmptySelection

_MIN_EVENTS = 200  # of a chip: its corners are known to 2 sky pixels


def reproject(events: EventList, wcs: WCS) -> EventList:
    """The events with x, y in another tangent plane; NaN on the other half of the sky.

    The header gets the new tangent point as RA_NOM, DEC_NOM.
    """
    x, y = pixel_to_pixel(events.wcs, wcs, events.x, events.y)
    return _placed(events, wcs, x, y)


def project_background(
    background: EventList,
    geometry: FieldGeometry,
    wcs: WCS,
    gti: Mapping[int, FloatArray],
    rng: np.random.Generator,
) -> EventList:
    """Blank-sky events in the plane ``wcs`` of an observation's sky, from their own chip coordinates.

    Each event goes to a random place in its chip pixel and gets the dither of a random good time. The x, y of
    the file, for whatever pointing, are not used. Events on other chips and rows than the observation's are
    dropped. ``gti``: good times (m, 2) [s] of each chip of the geometry, sorted and disjoint.

    Raises DamagedFile without columns chipx, chipy; EmptySelection for a chip without good time.
    """
    if background.chipx is None or background.chipy is None:
        raise DamagedFile(
            f"{background.path}: no columns chipx, chipy to place the blank-sky events by; "
            "take the file from CALDB's blank-sky data set, or reproject it to the observation with CIAO's "
            "blanksky"
        )
    if not all(gti_arithmetic.ontime(gti[ccd]) > 0 for ccd in geometry.chips):
        raise EmptySelection(f"{background.path}: a chip of the observation that it is for has no good time")
    first, last = geometry.rows
    on = np.isin(background.ccd_id, geometry.chips)
    on &= (background.chipy >= first) & (background.chipy <= last)
    events = background.select(on)
    assert events.chipx is not None
    assert events.chipy is not None
    chip = np.stack([events.chipx, events.chipy]) + rng.random((2, len(events))) - 0.5
    sky = np.zeros((2, len(events)))
    for ccd, matrix in zip(geometry.chips, geometry.to_sky, strict=True):
        members = np.flatnonzero(events.ccd_id == ccd)
        n = len(members)
        # drawn in order and shuffled then: looking up ordered times is several times faster
        elapsed = gti_arithmetic.ontime(gti[ccd]) * (np.arange(n) + rng.random(n)) / max(n, 1)
        dither = geometry.dither_at(gti_arithmetic.at_elapsed(gti[ccd], elapsed))[rng.permutation(n)].T
        sky[:, members] = dither + matrix[:, :1] + matrix[:, 1:] @ chip[:, members]
    return _placed(events, wcs, *pixel_to_pixel(geometry.wcs, wcs, *sky))


def misplaced_by(background: EventList, geometry: FieldGeometry) -> float | None:
    """How far [sky pixels] blank-sky events are from where an observation sees their chips, at worst.

    Of a file that was put on the sky of another observation, or with another roll. Each event has a dither of
    its own: what counts is a linear map from each chip to the sky, fitted to all of the chip's events.
    Infinite if a position is on the other half of the sky; None if nothing tells: no columns chipx, chipy, or
    too few events.
    """
    if background.chipx is None or background.chipy is None:
        return None
    sky = np.stack(pixel_to_pixel(background.wcs, geometry.wcs, background.x, background.y))
    corners = np.array([(1.0, x, y) for x in (1, CHIP_PIXELS) for y in geometry.rows]).T
    farthest = None
    for ccd, matrix in zip(geometry.chips, geometry.to_sky, strict=True):
        on = background.ccd_id == ccd
        if np.count_nonzero(on) < _MIN_EVENTS:
            continue
        chip = np.stack([np.ones(np.count_nonzero(on)), background.chipx[on], background.chipy[on]])
        if not np.isfinite(sky[:, on]).all():
            return float("inf")
        away = np.linalg.lstsq(chip.T, (sky[:, on] - matrix @ chip).T, rcond=None)[0].T @ corners
        farthest = max(farthest or 0.0, float(np.hypot(*away).max()))
    return farthest


def _placed(events: EventList, wcs: WCS, x: FloatArray, y: FloatArray) -> EventList:
    header = events.header.copy()
    header["RA_NOM"], header["DEC_NOM"] = (float(degrees) for degrees in wcs.wcs.crval)
    return replace(events, header=header, wcs=wcs, x=x, y=y)
