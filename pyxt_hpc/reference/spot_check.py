"""Single regions looked at closely: fitted by either engine, and drawn."""

import re
from dataclasses import dataclass

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.files.quoting import quoted
from pyxt_hpc.fit.extract import disc_areas
from pyxt_hpc.fit.inputs import read_cluster_bundle, read_scale_map, source_model
from pyxt_hpc.fit.region_spectra import spectra_as_fitted
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.fit.single import SingleFit, fit_single
from pyxt_hpc.layout import Layout
from pyxt_hpc.reference.comparison import fit_regions_with_sherpa
from pyxt_hpc.stages.fitting import select_regions
from pyxt_hpc.store.rows import REGION_COLUMNS, ROW_DTYPE

ENGINES = ("fast", "sherpa")
EVERY_PIXEL = 3
"""The resolution at which every region has its turn: any of them may be looked at."""


def region_numbers(text: str) -> np.ndarray:
    """Region numbers from a list such as ``1,2,5-9``: ascending, none twice.

    Raises
    ------
    ConfigError
        If it is anything else.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last or last - first >= 100_000:
            raise ConfigError(f"regions are {quoted(text)}, expected numbers and ranges, e.g. 1,2,5-9")
        numbers.update(range(first, last + 1))
    return np.array(sorted(numbers))


def _regions(config: ClusterConfig, bundle: Bundle, numbers: np.ndarray) -> np.ndarray:
    """(n,) of REGION_DTYPE with these numbers."""
    every = select_regions(read_scale_map(config, bundle), EVERY_PIXEL)
    unknown = numbers[~np.isin(numbers, every["region"])]
    if len(unknown):
        raise ConfigError(
            f"region {unknown[0]}: {Layout.of(config).region_index_map} has regions 1 to "
            f"{every['region'].max()}; look the number up there"
        )
    return every[np.searchsorted(every["region"], numbers)]


def check_regions(config: ClusterConfig, numbers: np.ndarray, engine: str) -> np.ndarray:
    """Fit some regions, by their numbers (n,), with one of `ENGINES`, without touching the results store.

    Returns
    -------
    numpy.ndarray
        (n,) of ROW_DTYPE. Sherpa's rows lack what its fit does not tell: goodness and counts.

    Raises
    ------
    ConfigError
        If there is no such region.
    MissingInput, DamagedFile, ForeignProduct
        If bundle, scale map or Sherpa are absent or do not belong together.
    """
    bundle = read_cluster_bundle(config)
    regions = _regions(config, bundle, numbers)
    fits = RegionFits.of(bundle, config, regions)
    if engine == "fast":
        return fits.fit(np.arange(len(regions)))
    rows = np.zeros(len(regions), ROW_DTYPE)
    rows["goodness"] = np.nan
    found = fit_regions_with_sherpa(bundle, config, fits)
    for name in found.dtype.names or ():
        rows[name] = found[name]
    for name in REGION_COLUMNS:
        rows[name] = regions[name]
    rows["area"] = disc_areas(regions["radius"])
    return rows


@dataclass(frozen=True, eq=False)
class RegionLook:
    """One region: what the map has, and what a picture needs.

    Parameters
    ----------
    row
        () of ROW_DTYPE, as `fit-spectra` stores it.
    fit
        The same spectra, with the vignetting of each photon energy folded in: within 0.02 sigma of the row.
    """

    row: np.ndarray
    fit: SingleFit


def look_at_region(config: ClusterConfig, number: int) -> RegionLook:
    """Fit one region for a picture; arguments and errors as `check_regions`."""
    bundle = read_cluster_bundle(config)
    fits = RegionFits.of(bundle, config, _regions(config, bundle, np.array([number])))
    row = fits.fit(np.arange(1))[0]
    (spectra,) = spectra_as_fitted(bundle, config, fits)
    if not spectra:
        raise ConfigError(
            f"region {number}: no observation has {config.minimum_exposure_fraction:.0%} of its circle's "
            f"brightness live; choose another region, or lower minimum_exposure_fraction in {config.path}"
        )
    shapes = [bundle.observations[i].background_spectrum for i in spectra]
    fit = fit_single(list(spectra.values()), source_model(bundle), fits.options, background_shapes=shapes)
    return RegionLook(row, fit)
