"""Spectra of a page: those of the worst regions, and of others spread evenly over the map."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.brightness.sky import SkyBrightness
from pyxt_hpc.fit.flags import DOUBTFUL
from pyxt_hpc.fit.observations import base_bins
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.plots.spectra import COUNTS_OF_POINT, COUNTS_OF_SEVERAL, DrawnSpectrum, added_up, join_bins
from pyxt_hpc.report.figures.payload import PackedArrays

MAX_SPECTRA = 300
"""Largest number of spectra of a page."""

N_WORST = 10
"""Number of worst regions, which are always included."""


def worst_regions(rows: NDArray) -> NDArray[np.int64]:
    """Indices of the worst fits, the worst first; each is outside the circles of those before it.

    Fits are sorted by the number of doubtful flags, then by goodness.
    """
    n_flags = np.bitwise_count(rows["flags"] & int(DOUBTFUL)).astype(int)
    order = np.lexsort((-np.nan_to_num(rows["goodness"], nan=-np.inf), -n_flags))
    chosen: list[int] = []
    for i in order.tolist():
        apart = [
            np.hypot(rows["row"][i] - rows["row"][j], rows["col"][i] - rows["col"][j])
            >= max(rows["radius"][i], rows["radius"][j])
            for j in chosen
        ]
        if all(apart):
            chosen.append(i)
        if len(chosen) == N_WORST:
            break
    return np.array(chosen, np.int64)


def spread_regions(rows: NDArray, number: int) -> NDArray[np.int64]:
    """Indices of at most `number` evenly spread regions: the one nearest to the centre of each square."""
    if len(rows) <= number:
        return np.arange(len(rows))
    y, x = rows["row"].astype(float), rows["col"].astype(float)
    small, large = 1.0, max(float(np.ptp(y)), float(np.ptp(x))) + 1.0

    def squares(side: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        i, j = np.floor(y / side), np.floor(x / side)
        return (i * 100_000 + j).astype(np.int64), np.hypot(y - (i + 0.5) * side, x - (j + 0.5) * side)

    while large - small > 0.01:  # search the smallest squares with at most `number` regions
        middle = 0.5 * (small + large)
        if len(np.unique(squares(middle)[0])) <= number:
            large = middle
        else:
            small = middle
    square, distance = squares(large)
    order = np.lexsort((distance, square))
    return np.sort(order[np.unique(square[order], return_index=True)[1]])


def chosen_regions(rows: NDArray) -> NDArray[np.int64]:
    """Ascending indices of the regions whose spectra are on the page."""
    worst = worst_regions(rows)
    return np.union1d(worst, spread_regions(rows, MAX_SPECTRA - len(worst)))


def add_spectra(
    regions: FittedRegions,
    config: ClusterConfig,
    sky: SkyBrightness,
    chosen: NDArray[np.int64],
    place: NDArray[np.int64],
    payload: PackedArrays,
) -> dict[str, Any]:
    """Add the spectra of regions with their models, summed over observations.

    Parameters
    ----------
    regions, config, sky
        The cluster, with the settings of its fits.
    chosen
        (n,) regions, as indices of `regions.rows`.
    place
        (n,) the same regions, as indices among those of the page.

    Returns
    -------
    dict
        Names of the arrays for the page's JavaScript. ``region``: index of each spectrum's region on the
        page; ``first_point``, ``first_bin``: indices where points and bins of each spectrum begin, and the
        total numbers; ``points``: energy and half width [keV], rate and its errors [count s^-1 keV^-1],
        residual; ``bins``: edges [keV], model rates of source plus background, and of the background.
    """
    rows, bundle = regions.rows[chosen], regions.bundle
    found = regions.where.numbered(rows["region"], str(regions.layout.region_index_map))
    fits = RegionFits.of(bundle, config, found.table, sky, found.runs)
    spectra, source, smooth = fits.as_fitted(np.arange(len(rows)), rows)
    first = fits.observations.first_bin
    energies = []
    for observation in bundle.observations:
        edges, rmf = base_bins(bundle, observation.rmf, config.spectral_grouping), observation.rmf
        low, high = rmf.channel_lo_keV[edges[:-1]], rmf.channel_hi_keV[edges[1:] - 1]
        energies.append(np.stack([low, high], axis=1))
    points, bins = [], []
    for k in range(len(rows)):
        drawn = []
        for i, (observation, energy) in enumerate(zip(bundle.observations, energies, strict=True)):
            if not spectra.takes_part[k, i]:
                continue
            own = slice(first[i], first[i + 1])
            ratio = 1.0 / observation.background_scale
            drawn.append(
                DrawnSpectrum(
                    name=observation.dataset,
                    energy=energy,
                    per=observation.exposure_s * np.ptp(energy, axis=1),
                    counts=spectra.source[k, own].astype(float),
                    background=spectra.background[k, own].astype(float),
                    ratio=ratio,
                    source_model=np.nan_to_num(source[k, own]),
                    background_model=smooth[k, own] / ratio,
                )
            )
        one = drawn[0] if len(drawn) == 1 else added_up(drawn)
        min_counts = COUNTS_OF_POINT if len(drawn) == 1 else COUNTS_OF_SEVERAL
        points.append(join_bins(one, fits.options.statistic, min_counts))
        bins.append(one)

    def together(name: str, parts: list[NDArray]) -> str:
        return payload.add(f"spectra_{name}", np.concatenate(parts))

    def starts(name: str, lengths: list[int]) -> str:
        return payload.add(f"spectra_{name}", np.cumsum([0, *lengths]).astype(np.int32))

    return {
        "region": payload.add("spectra_region", place.astype(np.int32)),
        "first_point": starts("first_point", [len(p.energy) for p in points]),
        "first_bin": starts("first_bin", [len(b.energy) for b in bins]),
        "points": {
            name: together(name, [getattr(p, name) for p in points])
            for name in ("energy", "half_width", "rate", "error_lo", "error_hi", "residual")
        },
        "bins": {
            "low": together("low", [b.energy[:, 0] for b in bins]),
            "high": together("high", [b.energy[:, 1] for b in bins]),
            "total": together("total", [(b.source_model + b.background_model) / b.per for b in bins]),
            "background": together("background", [b.background_model / b.per for b in bins]),
        },
    }
