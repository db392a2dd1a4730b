"""Where the regions of a cluster are: a circle around every pixel, or bins that share no pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pyxt_hpc.binning.circles import region_index
from pyxt_hpc.binning.lattice import lattice
from pyxt_hpc.binning.runs import PixelRuns, middle_pixels, runs_of_labels
from pyxt_hpc.config.cluster import RESOLUTION_STEP
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.store.rows import REGION_DTYPE

EVERY_REGION = 3
"""The resolution at which bins are fitted: all of them, whatever is asked for."""


class RegionSet(NamedTuple):
    """Some regions.

    Parameters
    ----------
    table
        (n,) of REGION_DTYPE.
    runs
        Their pixels; None: those of the circles in the table.
    """

    table: np.ndarray
    runs: PixelRuns | None


@dataclass(frozen=True, eq=False)
class RegionMap:
    """The regions of a cluster.

    Parameters
    ----------
    radius
        (ny, nx) radius [pixels] of the circle around every pixel, or of the circle with the area of the
        pixel's bin; 0 where there is no region.
    labels
        (ny, nx) number of every pixel's bin, 0 where there is none; None: regions are circles.
    """

    radius: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def of_labels(cls, labels: np.ndarray) -> RegionMap:
        """Bins; errors as `regions_of_labels`."""
        table, _ = regions_of_labels(labels)
        by_number = np.concatenate([[0], table["region"]])
        radius = np.concatenate([[0], table["radius"]])[np.searchsorted(by_number, labels)]
        return cls(radius.astype(np.float32), labels.astype(np.int32))

    @property
    def index(self) -> np.ndarray:
        """(ny, nx) number of the region of every pixel, that is centred there or holds it; 0: none."""
        return region_index(self.radius) if self.labels is None else self.labels

    def effective_resolution(self, resolution: int) -> int:
        """The one at which regions are chosen: bins are all fitted."""
        return resolution if self.labels is None else EVERY_REGION

    def select(self, resolution: int) -> RegionSet:
        """Regions to be fitted at resolution 1, 2 or 3, ascending by number; of bins all."""
        if self.labels is not None:
            return RegionSet(*regions_of_labels(self.labels))
        row, col = lattice(self.radius > 0, RESOLUTION_STEP[resolution])
        table = np.zeros(len(row), REGION_DTYPE)
        table["region"] = self.index[row, col]
        table["row"], table["col"], table["radius"] = row, col, self.radius[row, col]
        return RegionSet(table[np.argsort(table["region"])], None)

    def numbered(self, numbers: np.ndarray, index_map: str) -> RegionSet:
        """Regions by their numbers (n,).

        Parameters
        ----------
        numbers
            Of regions, as `index` has them.
        index_map
            Where to look numbers up, for the message.

        Raises
        ------
        ConfigError
            If there is no such region.
        """
        index = self.index
        unknown = numbers[~np.isin(numbers, index) | (numbers < 1)]
        if len(unknown):
            raise ConfigError(
                f"region {unknown[0]}: {index_map} has regions 1 to {index.max()}; look the number up there"
            )
        found, runs = regions_of_labels(np.where(np.isin(index, numbers), index, 0))
        at = np.searchsorted(found["region"], numbers)
        if self.labels is not None:
            return RegionSet(found[at], runs.take(at))
        found["radius"] = self.radius[found["row"], found["col"]]
        return RegionSet(found[at], None)


def regions_of_labels(labels: np.ndarray) -> tuple[np.ndarray, PixelRuns]:
    """The regions of a label image.

    Parameters
    ----------
    labels : (ny, nx) int
        Number of the region that holds each pixel; 0: none.

    Returns
    -------
    table : (n,) REGION_DTYPE
        Ascending by label, which is the number ``region``. ``row``, ``col``: the pixel of the region nearest
        to its centroid; ``radius``: that of the circle with the same area [pixels].
    runs : PixelRuns
        Their pixels.

    Raises
    ------
    ConfigError
        If labels are not whole numbers from 0 on.
    """
    numbers, runs = runs_of_labels(labels)
    table = np.zeros(len(numbers), REGION_DTYPE)
    table["region"] = numbers
    table["row"], table["col"] = middle_pixels(runs)
    table["radius"] = np.sqrt(runs.area / np.pi)
    return table, runs
