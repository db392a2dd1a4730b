"""ClusterPyXT's scale map and the numbers of its regions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.circles import RADIUS_MAX, RADIUS_MIN, RADIUS_STEP
from pyxt_hpc.config.cluster import RESOLUTION_STEP


@dataclass(frozen=True, eq=False)
class TakenRadii:
    """Radii (ny, nx) float32 [pixels] that pyxt_hpc can use, and how many of them are not as they were.

    ``blank``: NaN, where ClusterPyXT had no circle with enough counts; ``dead``: on pixels that no
    observation saw outside the sources; ``moved``: between the steps, or too large, by ``shift`` pixels at
    most.
    """

    radius: NDArray[np.float32]
    blank: int
    dead: int
    moved: int
    shift: float


def take_radii(scale_map: NDArray[np.float64], mask: NDArray[np.uint8]) -> TakenRadii:
    """Radii of a scale map (ny, nx) on live pixels; ClusterPyXT's first versions had other steps."""
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
    """Number of the region at every pixel (ny, nx), 0 where there is none.

    From 1, row by row, wherever the scale map is not 0, which NaN is not either
    (``create_scale_map_region_index`` of acb.py).
    """
    has_region = scale_map != 0
    return np.where(has_region, np.cumsum(has_region).reshape(scale_map.shape), 0)


def resolution_of(row: NDArray[np.int64], col: NDArray[np.int64]) -> int:
    """The coarsest resolution whose lattice holds all regions centred at row, col (n,)."""
    for resolution, step in sorted(RESOLUTION_STEP.items()):
        if not (row % step).any() and not (col % step).any():
            return resolution
    raise AssertionError("every pixel is on the lattice of resolution 3")
