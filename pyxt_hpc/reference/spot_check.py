"""Fits of some regions by either engine, without a results store."""

import re

import numpy as np

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.fit.inputs import read_cluster_bundle, read_region_map
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.layout import Layout
from pyxt_hpc.reference.comparison import fit_regions_with_sherpa
from pyxt_hpc.spectra.fit import FIT_COLUMNS
from pyxt_hpc.store.rows import REGION_COLUMNS, ROW_DTYPE


def region_numbers(text: str) -> np.ndarray:
    """Ascending region numbers from a list such as ``1,2,5-9``, without repetition.

    Raises ConfigError if the text is not such a list.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last or last - first >= 100_000:
            raise ConfigError(f"regions are {quoted(text)}, expected numbers and ranges, e.g. 1,2,5-9")
        numbers.update(range(first, last + 1))
    return np.array(sorted(numbers))


def check_regions(config: ClusterConfig, numbers: np.ndarray, engine: str) -> np.ndarray:
    """Fit regions by their numbers (n,) with ``fast`` or ``sherpa``; the results store stays as it is.

    Returns
    -------
    numpy.ndarray
        (n,) of ROW_DTYPE. Rows of Sherpa have no goodness and no counts.

    Raises
    ------
    ConfigError
        If there is no such region.
    MissingInput, DamagedFile, ForeignProduct
        If bundle, scale map or Sherpa are missing, or bundle and scale map do not belong together.
    """
    bundle = read_cluster_bundle(config)
    where = read_region_map(config, bundle)
    regions, runs = where.numbered(numbers, str(Layout.of(config).region_index_map))
    fits = RegionFits.of(bundle, config, regions, runs=runs)
    if engine == "fast":
        return fits.fit(np.arange(len(regions)))
    rows = np.zeros(len(regions), ROW_DTYPE)
    rows["goodness"] = np.nan
    rows[FIT_COLUMNS] = fit_regions_with_sherpa(bundle, config, fits)
    rows[list(REGION_COLUMNS)] = regions
    rows["area"] = fits.shapes(np.arange(len(regions))).runs.area
    return rows
