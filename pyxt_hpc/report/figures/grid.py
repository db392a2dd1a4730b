"""The grid of a page: each pixel's region, or why it has none, at a useful resolution."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.arrays.box import bounding_box
from pyxt_hpc.fit.flags import UNUSABLE, flag_names
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.maps.kinds.blanks import FIRST_BLANK, MEANINGS, Blank, flag_image
from pyxt_hpc.store.rows import is_final

_MAX_SIDE = 1600
"""Largest side of the grid [pixels]: screens do not show more."""

REASONS = {FIRST_BLANK - int(blank).bit_length(): meaning for blank, meaning in MEANINGS.items()}
"""Reasons of pixels without a fitted region, by codes -1, -2, ... in the order of `Blank`."""

DEAD = frozenset(FIRST_BLANK - int(blank).bit_length() for blank in (Blank.OUTSIDE, Blank.HOLE))
"""Codes of `REASONS` for pixels that are not live."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Regions on the pixels of a page.

    Parameters
    ----------
    first_row, first_col, step
        The page's pixel (i, j) is the image's (first_row + i step, first_col + j step).
    labels
        (m, n) int32: 1 + index among the page's regions, or a code of `REASONS`.
    regions
        (k,) the page's regions, as indices of `FittedRegions.rows`.
    at
        (k,) index of a pixel of each region in the flattened image.
    blank
        Fraction of the image's live pixels for each code of `REASONS`; of all pixels for those in `DEAD`.
    """

    first_row: int
    first_col: int
    step: int
    labels: NDArray[np.int32]
    regions: NDArray[np.int64]
    at: NDArray[np.int64]
    blank: dict[int, float]

    def cut(self, image: NDArray) -> NDArray:
        """An image (ny, nx) on the page's pixels."""
        rows, cols = (
            slice(first, first + n * self.step, self.step)
            for first, n in zip((self.first_row, self.first_col), self.labels.shape, strict=True)
        )
        return image[rows, cols]


def page_grid(regions: FittedRegions, max_regions: int) -> Grid:
    """Put the regions on a page: all, or those of every second, third, ... pixel if they are too many."""
    painted = regions.paint(np.arange(len(regions.rows)).astype(np.float64))
    labels = np.where(np.isfinite(painted), painted + 1, 0).astype(np.int32)
    blank = labels == 0
    # Exactly one bit of `Blank` is set, and these are above the bits of flags.
    _, bits = np.frexp(flag_image(regions)[blank])
    labels[blank] = FIRST_BLANK - bits
    live = regions.bundle.mask > 0
    share = {
        reason: float(np.mean(labels == reason) if reason in DEAD else np.mean(labels[live] == reason))
        for reason in REASONS
    }
    rows, cols = bounding_box(regions.radius > 0)
    margin = max(4, round(0.03 * (max(rows.stop - rows.start, cols.stop - cols.start) - 1)))
    first_row, first_col = (max(side.start - margin, 0) for side in (rows, cols))
    inside = labels[first_row : rows.stop + margin, first_col : cols.stop + margin]
    step = max(-(-max(inside.shape) // _MAX_SIDE), 1)
    while True:
        thin = inside[::step, ::step]
        kept, place = np.unique(thin[thin > 0], return_inverse=True)
        if len(kept) <= max_regions:
            break
        step += 1
    thin = thin.copy()
    thin[thin > 0] = place + 1
    numbers, first = np.unique(labels, return_index=True)
    return Grid(
        first_row=first_row,
        first_col=first_col,
        step=step,
        labels=thin,
        regions=kept.astype(np.int64) - 1,
        at=first[np.searchsorted(numbers, kept)].astype(np.int64),
        blank={reason: part for reason, part in share.items() if part > 0},
    )


def reasons_of_bad(regions: FittedRegions) -> dict[str, int]:
    """Reasons why regions have no fit, with their numbers, the most frequent first."""
    found: Counter[str] = Counter()
    for i in np.flatnonzero(is_final(regions.left_out_status)).tolist():
        flags = flag_names(int(regions.left_out["flags"][i]) & int(UNUSABLE)).lower().replace("_", " ")
        found[regions.left_out_messages[i] or flags or "no reason is stored"] += 1
    return dict(found.most_common())
