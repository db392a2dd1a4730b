"""The four chips of ACIS-I in sky, detector and chip pixels.

All planes have pixels of 0.492 arcsec with integers at pixel centres. In the tiled detector plane (TDET), the
chips are within a pixel of their positions in ACIS-2.2, with gaps of 23 pixels (11"); the readout rows are
the outer edges on the left and right. The centre of DET, 4096.5, is at the optical axis, on I3 near its inner
corner. Sky is DET rotated by the roll angle about the optical axis, which is also the tangent point. The
dither, which moves DET over the sky, is in `pyxt_hpc.simulate.acis.plan`.
"""

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from pyxt_hpc.chandra.sky.tangent import tangent_plane

FloatArray = NDArray[np.float64]

CCDS = (0, 1, 2, 3)
CHIP_PIXELS = 1024
CENTRE = 4096.5
PIXEL_ARCSEC = 0.492
AIMPOINT_CCD = 3
AIMPOINT_TDET = (4123.0, 3991.0)  # chip I3, chipx 930, chipy 1009
_LOW = (3061.0, 4108.0)  # first TDET pixel of the two columns of chips, and of the two rows
_COLUMN = {0: 0, 1: 1, 2: 0, 3: 1}
_ROW = {0: 1, 1: 1, 2: 0, 3: 0}


def sky_frame(ra: float, dec: float) -> WCS:
    """WCS of the sky pixels (1-based) of an observation with its optical axis at RA, Dec [deg]."""
    return tangent_plane(ra, dec, PIXEL_ARCSEC, crpix=(CENTRE, CENTRE))


def sky_to_det(x: FloatArray, y: FloatArray, roll_deg: float) -> tuple[FloatArray, FloatArray]:
    """Detector pixels of sky pixels; a positive roll rotates the detector from north to east."""
    cosine, sine = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    u, v = x - CENTRE, y - CENTRE
    return CENTRE + cosine * u + sine * v, CENTRE - sine * u + cosine * v


def det_to_sky(detx: FloatArray, dety: FloatArray, roll_deg: float) -> tuple[FloatArray, FloatArray]:
    """Sky pixels of detector pixels."""
    return sky_to_det(detx, dety, -roll_deg)


def det_to_tdet(detx: FloatArray, dety: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Tiled detector pixels of detector pixels."""
    return detx - CENTRE + AIMPOINT_TDET[0], dety - CENTRE + AIMPOINT_TDET[1]


def chip_at(tdetx: FloatArray, tdety: FloatArray) -> NDArray[np.int8]:
    """CCD under tiled detector positions (n,); -1 in the gaps and outside."""
    ccd = np.full(np.shape(tdetx), -1, dtype=np.int8)
    for number in CCDS:
        column, row = _LOW[_COLUMN[number]], _LOW[_ROW[number]]
        on = (tdetx >= column - 0.5) & (tdetx < column + CHIP_PIXELS - 0.5)
        on &= (tdety >= row - 0.5) & (tdety < row + CHIP_PIXELS - 0.5)
        ccd[on] = number
    return ccd


def chip_pixels(
    ccd: NDArray[np.int8], tdetx: FloatArray, tdety: FloatArray
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Chip pixels, 1 to 1024, of positions on given CCDs."""
    left = np.isin(ccd, (0, 2))
    column = np.where(left, _LOW[0], _LOW[1])
    row = np.where(np.isin(ccd, (2, 3)), _LOW[0], _LOW[1])
    along = np.floor(tdetx - column + 0.5)
    up = np.floor(tdety - row + 0.5)
    chipx = np.where(left, CHIP_PIXELS - up, 1 + up)
    chipy = np.where(left, 1 + along, CHIP_PIXELS - along)
    return chipx.astype(np.int16), chipy.astype(np.int16)


def chip_to_sky(ccd: int, roll_deg: float) -> FloatArray:
    """Sky pixels as functions of chip pixels: x, y = (2, 3) matrix @ (1, chipx, chipy)."""
    chip = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    column, row = _LOW[_COLUMN[ccd]], _LOW[_ROW[ccd]]
    if _COLUMN[ccd] == 0:
        tdet = np.column_stack([column + chip[:, 1] - 1, row + CHIP_PIXELS - chip[:, 0]])
    else:
        tdet = np.column_stack([column + CHIP_PIXELS - chip[:, 1], row + chip[:, 0] - 1])
    det = tdet - np.array(AIMPOINT_TDET) + CENTRE
    origin, along_x, along_y = np.column_stack(det_to_sky(det[:, 0], det[:, 1], roll_deg))
    return np.column_stack([origin, along_x - origin, along_y - origin])


def uniform_on_chip(ccd: int, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Detector positions of n points distributed uniformly over a chip."""
    corner = np.array([[_LOW[_COLUMN[ccd]]], [_LOW[_ROW[ccd]]]]) - 0.5
    tdet = corner + CHIP_PIXELS * rng.random((2, n))
    return tdet[0] - AIMPOINT_TDET[0] + CENTRE, tdet[1] - AIMPOINT_TDET[1] + CENTRE


def chip_outline(ccd: int, roll_deg: float) -> FloatArray:
    """Corners (4, 2) of a chip in sky pixels."""
    low = np.array([_LOW[_COLUMN[ccd]], _LOW[_ROW[ccd]]]) - 0.5
    corners = low + CHIP_PIXELS * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    det = corners - np.array(AIMPOINT_TDET) + CENTRE
    return np.column_stack(det_to_sky(det[:, 0], det[:, 1], roll_deg))
