"""Regions of a cluster: a circle around each pixel, or bins without common pixels."""

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
"""Resolution at which all regions are fitted; bins are always fitted at it."""


class RegionSet(NamedTuple):
    """A list of regions.

    Parameters
    ----------
    table
        (n,) REGION_DTYPE.
    runs
        Pixels of the regions; None: they are the circles in `table`.
    """

    table: np.ndarray
    runs: PixelRuns | None


@dataclass(frozen=True, eq=False)
class RegionMap:
    """The regions of a cluster.

    Parameters
    ----------
    radius
        (ny, nx) radius [pixels] of the circle around each pixel, or of the circle with the area of the
        pixel's bin; 0 without a region.
    labels
        (ny, nx) number of each pixel's bin, 0 without a bin; None: regions are circles.
    """

    radius: np.ndarray
    labels: np.ndarray | None = None

    @classmethod
    def of_labels(cls, labels: np.ndarray) -> RegionMap:
        """Make a map of bins; raises as `regions_of_labels`."""
        table, _ = regions_of_labels(labels)
        by_number = np.concatenate([[0], table["region"]])
        radius = np.concatenate([[0], table["radius"]])[np.searchsorted(by_number, labels)]
        return cls(radius.astype(np.float32), labels.astype(np.int32))

    @property
    def index(self) -> np.ndarray:
        """(ny, nx) number of the circle around each pixel, or of the pixel's bin; 0 without a region."""
        return region_index(self.radius) if self.labels is None else self.labels

    def effective_resolution(self, resolution: int) -> int:
        """Resolution at which regions are selected: `EVERY_REGION` for bins."""
        return resolution if self.labels is None else EVERY_REGION

    def select(self, resolution: int) -> RegionSet:
        """Regions to be fitted at resolution 1, 2 or 3, in order of their numbers; all regions for bins."""
        if self.labels is not None:
            return RegionSet(*regions_of_labels(self.labels))
        row, col = lattice(self.radius > 0, RESOLUTION_STEP[resolution])
        table = np.zeros(len(row), REGION_DTYPE)
        table["region"] = self.index[row, col]
        table["row"], table["col"], table["radius"] = row, col, self.radius[row, col]
        return RegionSet(table[np.argsort(table["region"])], None)

    def numbered(self, numbers: np.ndarray, index_map: str) -> RegionSet:
        """Regions with these numbers, in the same order.

        Parameters
        ----------
        numbers
            (n,) numbers as in `index`.
        index_map
            Name of the map with the numbers, for the message.

        Raises
        ------
        ConfigError
            If a region does not exist.
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
    """Regions of a label image.

    Parameters
    ----------
    labels : (ny, nx) int
        Number of the region with each pixel; 0: no region.

    Returns
    -------
    table : (n,) REGION_DTYPE
        Regions in order of their labels, which are the numbers ``region``. ``row``, ``col``: pixel of the
        region nearest to its centroid; ``radius``: radius of the circle with the same area [pixels].
    runs : PixelRuns
        Pixels of the regions.

    Raises
    ------
    ConfigError
        If labels are not an image of integers from 0 to 2^31 - 1.
    """
    numbers, runs = runs_of_labels(labels)
    table = np.zeros(len(numbers), REGION_DTYPE)
    table["region"] = numbers
    table["row"], table["col"] = middle_pixels(runs)
    table["radius"] = np.sqrt(runs.area / np.pi)
    return table, runs
