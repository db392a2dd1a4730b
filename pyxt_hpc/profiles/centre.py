"""The centre of a profile, and its ellipses or sector."""

import logging
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.ellipse import Ellipse
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.chandra.sky.position import parse_position
from pyxt_hpc.errors import ConfigError, EmptySelection
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.fit.brightness.beta_model import fit_beta_model, image_for_peak

log = logging.getLogger(__name__)

CENTRES = ("peak", "centroid")
"""Methods that find a centre; any other text is a position on the sky."""

_FINE_SMOOTHING = 3.0
"""Standard deviation of the Gaussian that smooths the image for the position of the peak [pixels]."""

_NEAR_PEAK = 16.0
"""Largest distance [pixels] of the peak from that of a wider Gaussian, which noise hardly affects."""

_LIVE_ABOUT_PEAK = 0.8
"""Smallest fraction of live pixels around a peak; a peak with fewer may be beside a hole."""

_CENTROID_PART = 0.5
"""Radius of the circle of the centroid, over the distance to the nearest border."""

_MAX_STEPS = 50

_COUNTED = 128.0
"""Radius [pixels] up to which areas of circles are counted in pixels, since both differ noticeably."""


@dataclass(frozen=True)
class Frame(Ellipse):
    """Coordinates of a profile on the images: similar ellipses, optionally within a sector.

    Parameters
    ----------
    sector
        First and last angle [deg], counterclockwise from the axis of columns (to the right in DS9); None:
        all angles.
    """

    sector: tuple[float, float] | None = field(default=None, kw_only=True)

    @property
    def turn(self) -> float:
        """Fraction of the full circle that the sector covers."""
        if self.sector is None:
            return 1.0
        return ((self.sector[1] - self.sector[0]) % 360.0 or 360.0) / 360.0

    def area_radii(self, limits: NDArray) -> NDArray[np.float64]:
        """Radius of the circle with the area of all pixels nearer than each limit [pixels].

        A set of pixels has its effective edge there: for example, a single pixel within the limit 1 has the
        area of a circle of radius 0.56.
        """
        near = limits[limits <= _COUNTED]
        half = int(np.ceil(2.0 * _COUNTED))
        local = replace(self, row=half + self.row % 1.0, col=half + self.col % 1.0)
        radius = np.sort(local.radius((2 * half + 2, 2 * half + 2)).ravel())
        counted = np.sqrt(np.searchsorted(radius, near, side="left") / np.pi)
        return np.concatenate([counted, limits[len(near) :].astype(float)])

    def inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Mask (ny, nx) of pixels in the sector."""
        if self.sector is None:
            return np.ones(shape, bool)
        y, x = np.ogrid[: shape[0], : shape[1]]
        angle = np.degrees(np.arctan2(y - self.row, x - self.col))
        inside: NDArray[np.bool_] = (angle - self.sector[0]) % 360.0 < 360.0 * self.turn
        return inside


def find_frame(bundle: Bundle, centre: str, *, elliptical: bool, sector: tuple[float, float] | None) -> Frame:
    """Place a profile on the images.

    Parameters
    ----------
    bundle
        The cluster.
    centre
        One of `CENTRES`, or right ascension and declination (ICRS) in degrees or as ``10:00:00 +20:00:00``.
    elliptical
        Whether to use the ellipses of the best elliptical beta model instead of circles.
    sector
        As in `Frame`.

    Raises
    ------
    ConfigError
        If the centre cannot be read or is outside of the images.
    EmptySelection
        If there are too few counts to find a centre or an ellipse.
    """
    smooth = image_for_peak(bundle)
    if not np.isfinite(smooth).any():
        raise EmptySelection(f"{bundle.name}: no pixel of the bundle is live, so a profile has no centre")
    if centre == "peak":
        row, col = _peak(bundle, smooth)
    elif centre == "centroid":
        row, col = _centroid(bundle, *_peak(bundle, smooth))
    else:
        row, col = _given(bundle, centre)
    stretch = (0.0, 0.0)
    if elliptical:
        stretch = fit_beta_model(bundle, smooth, elliptical=True, otherwise="leave --elliptical out").stretch
    return Frame(row, col, stretch=stretch, sector=sector)


def _peak(bundle: Bundle, smooth: NDArray) -> tuple[float, float]:
    """Peak of the narrowly smoothed image, near that of the widely smoothed image."""
    row, col = np.unravel_index(np.nanargmax(smooth), smooth.shape)
    fine = image_for_peak(bundle, _FINE_SMOOTHING)
    y, x = np.ogrid[: smooth.shape[0], : smooth.shape[1]]
    fine[np.hypot(y - row, x - col) > _NEAR_PEAK] = np.nan
    row, col = np.unravel_index(np.nanargmax(fine), fine.shape)
    beside = np.hypot(y - row, x - col) <= 2.0 * _FINE_SMOOTHING
    if np.mean(bundle.mask[beside] > 0) < _LIVE_ABOUT_PEAK:
        log.warning(
            "%s: the peak at row %d, column %d is beside pixels that are not live, where the true peak may "
            "be: look there, and give the centre as 'RA DEC' if so",
            bundle.name, row, col,
        )  # fmt: skip
    return float(row), float(col)


def _centroid(bundle: Bundle, row: float, col: float) -> tuple[float, float]:
    """Centroid of the brightness in a circle, iterated with the circle centred on it.

    A pixel counts only if the opposite pixel is also live, since holes would shift the centroid.
    """
    brightness = bundle.brightness
    live = np.isfinite(brightness)
    ny, nx = live.shape
    reach = _CENTROID_PART * min(row + 1, col + 1, ny - row, nx - col)
    y, x = np.mgrid[:ny, :nx]
    for _ in range(_MAX_STEPS):
        near = live & (np.hypot(y - row, x - col) <= reach)
        rows: NDArray[np.int64] = y[near]
        cols: NDArray[np.int64] = x[near]
        other_row, other_col = np.rint(2 * row - rows).astype(int), np.rint(2 * col - cols).astype(int)
        seen = (other_row >= 0) & (other_row < ny) & (other_col >= 0) & (other_col < nx)
        seen[seen] = live[other_row[seen], other_col[seen]]
        weight = brightness[near][seen].astype(float)
        total = weight.sum()
        if not total > 0:
            raise EmptySelection(
                f"{bundle.name}: no counts above the background within {reach:.0f} pixels of the peak: give "
                "the centre as 'RA DEC'"
            )
        moved = (weight @ rows[seen]) / total - row, (weight @ cols[seen]) / total - col
        # Each step covers only part of the distance, since the circle moves with the centroid: double it.
        row, col = row + 2.0 * moved[0], col + 2.0 * moved[1]
        if np.hypot(*moved) < 0.02:
            break
    return float(row), float(col)


def _given(bundle: Bundle, text: str) -> tuple[float, float]:
    try:
        ra, dec = parse_position(text)
    except ValueError:
        raise ConfigError(
            f"centre {quoted(text)}: expected {', '.join(CENTRES)} or 'RA DEC', such as '150.02 20.01' or "
            "'10:00:04.8 +20:00:36'"
        ) from None
    col, row = (float(value) for value in bundle.wcs.all_world2pix(ra, dec, 0))
    ny, nx = bundle.mask.shape
    # This form of the condition is also true for NaN.
    if not (-0.5 <= row < ny - 0.5 and -0.5 <= col < nx - 0.5):
        raise ConfigError(
            f"centre {quoted(text)} is outside of the images of {bundle.name}, "
            f"{ny} x {nx} pixels: correct it, or make the crop region larger"
        )
    return row, col
