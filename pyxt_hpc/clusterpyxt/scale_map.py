"""Radii and numbers of regions from ClusterPyXT's scale map."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.circles import RADIUS_MAX, RADIUS_MIN, RADIUS_STEP
from pyxt_hpc.config.cluster import RESOLUTION_STEP


@dataclass(frozen=True, eq=False)
class TakenRadii:
    """Radii (ny, nx) float32 [pixels] that pyxt_hpc can use, and numbers of pixels with changed radii.

    ``blank``: ClusterPyXT found no circle with enough counts (NaN); ``dead``: the pixel is in a source or was
    not observed; ``moved``: the radius was between our steps or out of range, and was changed by at most
    ``shift`` pixels.
    """

    radius: NDArray[np.float32]
    blank: int
    dead: int
    moved: int
    shift: float


def take_radii(scale_map: NDArray[np.float64], mask: NDArray[np.uint8]) -> TakenRadii:
    """Radii of a scale map (ny, nx) on live pixels, in our steps; early ClusterPyXT versions had others."""
    blank = ~np.isfinite(scale_map)
    radius = np.where(blank, 0.0, scale_map)
    dead = (radius > 0) & (mask == 0)
    radius = np.where(dead | (radius < 0), 0.0, radius)
    stepped = RADIUS_MIN + np.round((radius - RADIUS_MIN) / RADIUS_STEP) * RADIUS_STEP
    stepped = np.where(radius > 0, np.clip(stepped, RADIUS_MIN, RADIUS_MAX), 0.0)
    shift = np.abs(stepped - radius)
    return TakenRadii(
        radius=stepped.astype(np.float32),
        blank=int(blank.sum()),
        dead=int(dead.sum()),
        moved=int(np.count_nonzero(shift)),
        shift=float(shift.max(initial=0.0)),
    )


def clusterpyxt_numbers(scale_map: NDArray[np.float64]) -> NDArray[np.int64]:
    """ClusterPyXT's number of the region at each pixel (ny, nx); 0: none.

    It numbers all pixels with a scale map other than 0, including NaN, from 1 and row by row
    (``create_scale_map_region_index`` of acb.py).
    """
    has_region = scale_map != 0
    return np.where(has_region, np.cumsum(has_region).reshape(scale_map.shape), 0)


def resolution_of(row: NDArray[np.int64], col: NDArray[np.int64]) -> int:
    """Coarsest resolution with a lattice that contains all centres row, col (n,)."""
    for resolution, step in sorted(RESOLUTION_STEP.items()):
        if not (row % step).any() and not (col % step).any():
            return resolution
    raise AssertionError("every pixel is on the lattice of resolution 3")
