"""Storing of ClusterPyXT's fits in a results store, which also holds the regions that are not fitted yet."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.clusterpyxt.choices import fit_choices
from pyxt_hpc.clusterpyxt.fits import ClusterpyxtFits
from pyxt_hpc.clusterpyxt.scale_map import resolution_of
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.brightness.sky import sky_brightness
from pyxt_hpc.fit.flags import FitFlag, quality_flags
from pyxt_hpc.fit.inputs import fit_fingerprint, fit_settings
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.layout import Layout
from pyxt_hpc.preprocess.crop_data import channels_in_band
from pyxt_hpc.store.reader import BLOCK
from pyxt_hpc.store.rows import Status, packed_observations
from pyxt_hpc.store.writer import ResultsStore

SOFTWARE = "ClusterPyXT"
"""Name of the software in the settings of such a store; stores of our fits have the version of pyxt_hpc."""


@dataclass(frozen=True)
class StoredFits:
    """Numbers of stored fits and of regions, resolution, and numbers of fits that could not be stored.

    ``without_circle``: the pixel has no circle; ``unknown``: the scale map does not have the region's number.
    """

    stored: int
    regions: int
    resolution: int
    without_circle: int
    unknown: int


def store_fits(
    config: ClusterConfig,
    bundle: Bundle,
    radius: NDArray[np.float32],
    numbers: NDArray[np.int64],
    fits: ClusterpyxtFits,
    fitted_nH: float,
    files: list[Path],
) -> StoredFits:
    """Store fits at the positions of their regions; counts, area and quality flags come from the bundle.

    The statistic is the reduced statistic times the degrees of freedom, which are the number of channels of
    the band in the fitted observations, minus two.

    Parameters
    ----------
    radius
        (ny, nx) imported radii.
    numbers
        (ny, nx) ClusterPyXT's numbers of the regions; 0: none.
    fitted_nH
        Absorbing column [1e22 cm^-2] of these fits.
    files
        Files of the fits.

    Raises
    ------
    EmptySelection
        If none of the fits has a circle.
    """
    place = np.full(int(numbers.max(initial=0)) + 1, -1, np.int64)
    flat = np.flatnonzero(numbers)
    place[numbers.ravel()[flat]] = flat
    known = fits.rows["region"] < len(place)
    row, col = np.divmod(place[fits.rows["region"][known]], numbers.shape[1])
    has_circle = radius[row, col] > 0
    rows, row, col = fits.rows[known][has_circle], row[has_circle], col[has_circle]
    if not len(rows):
        raise EmptySelection(f"{files[0]}: none of its {len(fits.rows)} fits has a circle in the scale map")
    where, resolution = RegionMap(radius), resolution_of(row, col)
    chosen = where.select(resolution)
    index = np.searchsorted(chosen.table["region"], where.index[row, col])
    as_clusterpyxt = replace(config, **fit_choices())
    sky = sky_brightness(bundle)
    settings = fit_settings(as_clusterpyxt, bundle, sky, resolution) | {
        "nH": fitted_nH,
        "software": SOFTWARE,
        "taken_from": [path.name for path in files],
    }
    measured = RegionFits.of(bundle, as_clusterpyxt, chosen.table, sky)
    fingerprint = fit_fingerprint(settings, chosen)
    order = np.argsort(index)
    index, rows = index[order], rows[order]
    with ResultsStore.create(
        Layout.of(config).results, regions=chosen.table, fingerprint=fingerprint, settings=settings
    ) as store:
        for start in range(0, len(index), BLOCK):
            part = slice(start, start + BLOCK)
            stored = _stored_rows(rows[part], measured, index[part], bundle, fitted_nH)
            store.write(index[part], stored, np.full(len(stored), Status.DONE, np.uint8))
    return StoredFits(
        stored=len(rows),
        regions=len(chosen.table),
        resolution=resolution,
        without_circle=int((~has_circle).sum()),
        unknown=int((~known).sum()),
    )


def _stored_rows(
    fits: NDArray[np.void], measured: RegionFits, index: NDArray[np.int64], bundle: Bundle, fitted_nH: float
) -> NDArray[np.void]:
    rows, _ = measured.described(index)
    for name, column in (("kT", "T"), ("norm", "Norm")):
        value, plus, minus = (fits[f"{column}{end}"] for end in ("", "_err_+", "_err_-"))
        rows[name] = value
        rows[f"{name}_lo"], rows[f"{name}_hi"] = value - np.abs(minus), value + np.abs(plus)
    for name, frozen in (("abundance", bundle.abundance), ("nH", fitted_nH)):
        rows[name] = frozen
        rows[f"{name}_lo"] = rows[f"{name}_hi"] = np.nan
    obsids = [observation.obsid for observation in bundle.observations]
    used = np.array([[o in text.split(",") for o in obsids] for text in fits["obs_id"]])
    rows["observations"] = packed_observations(used)
    channels = [
        np.count_nonzero(channels_in_band(o.rmf, bundle.energy_min_keV, bundle.energy_max_keV))
        for o in bundle.observations
    ]
    rows["bins"] = used @ np.array(channels)
    rows["dof"] = np.maximum(rows["bins"] - 2, 0)
    rows["statistic"] = fits["reduced_x2"] * rows["dof"]
    rows["goodness"] = np.nan
    for flag, end in (
        (FitFlag.KT_LO_OPEN, "kT_lo"),
        (FitFlag.KT_HI_OPEN, "kT_hi"),
        (FitFlag.NORM_LO_OPEN, "norm_lo"),
        (FitFlag.NORM_HI_OPEN, "norm_hi"),
    ):
        rows["flags"] |= np.where(np.isnan(rows[end]), np.int32(flag), np.int32(0))
    rows["flags"] |= quality_flags(
        rows["counts"], rows["background_counts"], rows["goodness"], rows["live_fraction"]
    )
    rows["attempts"] = 1
    return rows
