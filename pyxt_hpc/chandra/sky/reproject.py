"""Reproject events to another tangent plane, and blank-sky events to an observation."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from astropy.wcs import WCS

from pyxt_hpc.chandra.events import EventList
from pyxt_hpc.chandra.sky.geometry import CHIP_PIXELS, FieldGeometry, FloatArray
from pyxt_hpc.chandra.sky.tangent import pixel_to_pixel
from pyxt_hpc.chandra.times import gti as gti_arithmetic
from pyxt_hpc.errors import DamagedFile, EmptySelection

_MIN_EVENTS = 200  # on a chip; they give the positions of its corners to 2 sky pixels


def reproject(events: EventList, wcs: WCS) -> EventList:
    """Return the events with x, y in another tangent plane; NaN on the other half of the sky.

    RA_NOM, DEC_NOM in the header are set to the new tangent point.
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
    """Project blank-sky events into the plane ``wcs`` with the geometry of an observation.

    Each event is moved to a random position in its chip pixel and gets the dither of a random good time. The
    x, y of the file are not used. Events on chips and rows outside the geometry are removed. ``gti``: good
    times (m, 2) [s] of each chip of the geometry, sorted and disjoint.

    Raises DamagedFile if a column chipx or chipy is absent, and EmptySelection if a chip has no good time.
    """
    if background.chipx is None or background.chipy is None:
        raise DamagedFile(
            f"{background.path}: no columns chipx, chipy, from which the blank-sky events are placed; "
            "take the file from CALDB's blank-sky data set, or reproject it to the observation with CIAO's "
            "blanksky"
        )
    if not all(gti_arithmetic.ontime(gti[ccd]) > 0 for ccd in geometry.chips):
        raise EmptySelection(f"{background.path}: a chip of its observation has no good time")
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
        # Times are drawn in order and their dithers shuffled: interpolation at ordered times is much faster.
        elapsed = gti_arithmetic.ontime(gti[ccd]) * (np.arange(n) + rng.random(n)) / max(n, 1)
        dither = geometry.dither_at(gti_arithmetic.at_elapsed(gti[ccd], elapsed))[rng.permutation(n)].T
        sky[:, members] = dither + matrix[:, :1] + matrix[:, 1:] @ chip[:, members]
    return _placed(events, wcs, *pixel_to_pixel(geometry.wcs, wcs, *sky))


def misplaced_by(background: EventList, geometry: FieldGeometry) -> float | None:
    """Largest displacement [sky pixels] of a chip corner in blank-sky events relative to a geometry.

    It is large if the file was reprojected to another observation or with another roll. Since each event has
    its own dither, the corners come from an affine map from chip to sky, fitted to all events of the chip.
    Infinite if a position is on the other half of the sky; None without columns chipx, chipy or with too few
    events.
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
