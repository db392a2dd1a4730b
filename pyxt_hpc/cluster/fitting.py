"""Fits of given regions of a bundle, without files."""

import os
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from pyxt_hpc.binning.circles import RADIUS_MAX, RADIUS_STEP
from pyxt_hpc.binning.lattice import block_number
from pyxt_hpc.binning.runs import MAX_LABEL
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.cluster.arguments import checked, pool_or_this_process
from pyxt_hpc.cluster.results import FitResults
from pyxt_hpc.config.cluster import KEYS, RESOLUTION_STEP, ClusterConfig
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.brightness.sky import SkyBrightness, sky_brightness
from pyxt_hpc.fit.inputs import OF_FITS, config_of, fit_settings, with_settings
from pyxt_hpc.fit.region_map import EVERY_REGION, RegionMap, RegionSet
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.parallel.pools import choose
from pyxt_hpc.parallel.pools.pool import Pool
from pyxt_hpc.stages.in_memory import fit_in_memory
from pyxt_hpc.store.rows import REGION_COLUMNS, REGION_DTYPE


def choose_pool(n_workers: int = 0) -> Pool:
    """Pool of processes on this machine, which start when there is work.

    Parameters
    ----------
    n_workers
        Number of processes. 1: this process; 0: one for each core.

    Raises
    ------
    ConfigError
        If `n_workers` is no whole number from 0 to 4096.
    """
    n_workers = checked("n_workers", n_workers, KEYS["num_cpus"].parse)
    return choose.choose_pool(n_workers or len(os.sched_getaffinity(0)))


def fit_spectra(
    bundle: Bundle, regions: ArrayLike, pool: Pool | None = None, **settings: object
) -> FitResults:
    """Fit an absorbed APEC model in every region, as ``pyxt-hpc fit-spectra`` does, and write no file.

    Parameters
    ----------
    bundle
        Data of the cluster, from `read_bundle`.
    regions
        (n,) with the columns region (a number from 1), row, col, radius [pixels], from ``Cluster.regions`` or
        your own table; radii are multiples of 1/8. Alternatively a label image (ny, nx) of whole numbers: the
        pixels with the same number form a region, and 0 means none, as does a mask.
    pool
        Pool from `choose_pool`; None: this process.
    **settings
        Keys of ``[spectral]`` in the configuration, such as ``free_abundance = True``.

    Raises
    ------
    ConfigError
        If a column is missing, a number, centre or radius is out of range or no whole number, a label image
        has another shape than the bundle, or a setting is unknown, out of range or not of ``[spectral]``.

    Examples
    --------
    >>> import pyxt_hpc as px
    >>> cluster = px.open_bundle("A1795_bundle.h5")  # doctest: +SKIP
    >>> rows = px.fit_spectra(cluster.bundle, cluster.regions(1), pool=px.choose_pool(4))  # doctest: +SKIP
    """
    fitted = fit_configured(bundle, with_settings(config_of(bundle), settings, OF_FITS), regions, pool)
    fitted.settings["signal_to_noise"] = None  # it is not known for these circles
    return fitted


def fit_configured(
    bundle: Bundle,
    config: ClusterConfig,
    regions: ArrayLike,
    pool: Pool | None = None,
    sky: SkyBrightness | None = None,
) -> FitResults:
    """Fit regions as `fit_spectra`, with all settings from a configuration; `sky` None: it is computed."""
    pool = pool_or_this_process(pool)
    sky = sky or sky_brightness(bundle)
    if np.ndim(regions) == 2:
        where = RegionMap.of_labels(_checked_labels(np.ma.filled(regions, 0), bundle))
        chosen, resolution = where.select(EVERY_REGION), EVERY_REGION
    else:
        where, chosen = None, RegionSet(_checked(regions, bundle), None)
        resolution = _resolution(chosen.table)
    settings = fit_settings(config, bundle, sky, resolution, bins=where is not None)
    fits = RegionFits.of(bundle, config, chosen.table, sky, chosen.runs)
    stored = fit_in_memory(fits, settings, pool)
    return FitResults(stored, bundle, None if where is None else partial(_same, where))


def _same(where: RegionMap) -> RegionMap:
    return where


def _checked_labels(labels: np.ndarray, bundle: Bundle) -> np.ndarray:
    if labels.shape != bundle.mask.shape:
        raise ConfigError(
            f"label image: found {labels.shape[0]} x {labels.shape[1]} pixels, expected those of the bundle, "
            f"{bundle.mask.shape[0]} x {bundle.mask.shape[1]}"
        )
    if not np.any(labels):
        raise ConfigError("there is no region to fit: every label is 0")
    return labels


def _checked(regions: ArrayLike, bundle: Bundle) -> np.ndarray:
    """Given regions (n,) as REGION_DTYPE; raises ConfigError if one cannot be fitted."""
    given = np.atleast_1d(np.asarray(regions))
    missing = [name for name in REGION_COLUMNS if name not in (given.dtype.names or ())]
    if missing:
        raise ConfigError(
            f"regions have no column {', '.join(missing)}: expected {', '.join(REGION_COLUMNS)}, as from "
            "Cluster.regions"
        )
    if not len(given):
        raise ConfigError("there is no region to fit: give one or more")
    ny, nx = bundle.mask.shape
    try:
        number, row, col, radius = (given[name].astype(float, casting="same_kind") for name in REGION_COLUMNS)
    except TypeError:
        kinds = ", ".join(f"{name} {given[name].dtype}" for name in REGION_COLUMNS)
        raise ConfigError(f"columns of regions are {kinds}: expected numbers in all of them") from None
    # In this form, NaN is wrong, too.
    right = (number >= 1) & (number <= MAX_LABEL) & (row >= 0) & (row < ny) & (col >= 0) & (col < nx)
    right &= (radius > 0) & (radius <= RADIUS_MAX)
    for value in (number, row, col, radius / RADIUS_STEP):
        right &= value == np.round(value)
    if not right.all():
        at = int(np.flatnonzero(~right)[0])
        raise ConfigError(
            f"region {number[at]:.10g} has row {row[at]:.10g}, column {col[at]:.10g}, radius {radius[at]:g} "
            f"pixels: expected a number from 1 to {MAX_LABEL}, a centre in the image of {ny} x {nx} pixels "
            f"(whole numbers), and a radius up to {RADIUS_MAX:g} in steps of {RADIUS_STEP:g}"
        )
    chosen = np.zeros(len(given), REGION_DTYPE)
    for name in REGION_COLUMNS:
        chosen[name] = given[name]
    return chosen


def _resolution(regions: np.ndarray) -> int:
    """Coarsest resolution at which each region has its own block, for painting maps."""
    for resolution, step in sorted(RESOLUTION_STEP.items()):
        blocks = np.stack([block_number(regions[name], step) for name in ("row", "col")], axis=1)
        if len(np.unique(blocks, axis=0)) == len(regions):
            return resolution
    return max(RESOLUTION_STEP)
