"""Outlines of the bins of a label image along the edges of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.binning.runs import runs_of_labels

# Directions along pixel edges, each a quarter turn after the one before: right, up, left, down.
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def outlines(labels: NDArray, numbers: NDArray) -> list[list[NDArray[np.float64]]]:
    """Outer outlines of bins.

    Parameters
    ----------
    labels : (ny, nx) int
        Bin of every pixel; 0: none.
    numbers : (n,) int
        Bins to outline; each must occur in the image.

    Returns
    -------
    list of n lists of (m, 2)
        For each bin, the polygons around its connected parts: row and column [pixels] of their corners, where
        (0, 0) is the centre of the first pixel. Pixels that touch only at a corner are not connected. Holes
        have no polygons.
    """
    known, runs = runs_of_labels(labels)
    found = []
    for i in np.searchsorted(known, numbers).tolist():
        own = slice(runs.indptr[i], runs.indptr[i + 1])
        found.append(_outline(runs.row[own], runs.start[own], runs.stop[own]))
    return found


def _outline(row: NDArray, start: NDArray, stop: NDArray) -> list[NDArray[np.float64]]:
    top, left = int(row.min()), int(start.min())
    inside = np.zeros((int(row.max()) - top + 3, int(stop.max()) - left + 2), bool)
    for y, first, end in zip(row.tolist(), start.tolist(), stop.tolist(), strict=True):
        inside[y - top + 1, first - left + 1 : end - left + 1] = True
    # Edges with the bin on their left: for the corner where they begin, one bit for each direction.
    leaving: dict[tuple[int, int], int] = {}
    for way, edges in enumerate(
        (
            inside[1:, :] & ~inside[:-1, :],  # right along the lower edge
            inside[:, :-1] & ~inside[:, 1:],  # up along the right edge
            inside[:-1, :] & ~inside[1:, :],  # left along the upper edge
            inside[:, 1:] & ~inside[:, :-1],  # down along the left edge
        )
    ):
        y, x = np.nonzero(edges)
        corner_y = (y + 1, y, y + 1, y + 1)[way]
        corner_x = (x, x + 1, x + 1, x + 1)[way]
        for corner in zip(corner_y.tolist(), corner_x.tolist(), strict=True):
            leaving[corner] = leaving.get(corner, 0) | 1 << way
    polygons = []
    while leaving:
        first = min(leaving)
        corner, way = first, next(k for k in range(4) if leaving[first] >> k & 1)
        turns: list[tuple[int, int]] = []
        area = 0
        while corner in leaving:
            # Turn left if possible, so that pixels that touch only at a corner are separated.
            after = next(k % 4 for k in (way + 1, way, way + 3, way + 2) if leaving[corner] >> k % 4 & 1)
            if after != way or not turns:
                turns.append(corner)
            way = after
            leaving[corner] &= ~(1 << way)
            if not leaving[corner]:
                del leaving[corner]
            step = _STEPS[way]
            area += corner[1] * step[0]
            corner = corner[0] + step[0], corner[1] + step[1]
            if corner == first:
                break
        if area > 0:  # the outline of a hole runs the other way
            polygons.append(np.array(turns, float) + np.array([top - 1.5, left - 1.5]))
    return polygons
