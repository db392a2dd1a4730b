"""Scale map and fits of a bundle without files, for simulations."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.fit.flags import UNUSABLE
from pyxt_hpc.fit.inputs import config_of
from pyxt_hpc.fit.region_map import RegionMap
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.stages.bins.scale_map import circles_of

_CHUNK = 2000
"""Number of regions with spectra in memory at a time."""


def fit_in_memory(
    bundle: Bundle,
    signal_to_noise: float = 40.0,
    resolution: int = 2,
    radius: NDArray[np.float32] | None = None,
    **keys: object,
) -> FittedRegions:
    """Compute and fit the circles of a bundle on one core, as `create-bins` and `fit-spectra` do.

    Parameters
    ----------
    bundle
        Data of the cluster.
    signal_to_noise
        S/N of the circles.
    resolution
        1, 2 or 3.
    radius : (ny, nx)
        Scale map [pixels]; None: computed from the bundle.
    keys
        Further attributes of the configuration.
    """
    config = replace(config_of(bundle), signal_to_noise=signal_to_noise, **keys)  # type: ignore[arg-type]
    if radius is None:
        radius, _ = circles_of(bundle, config)
    regions = RegionMap(radius).select(resolution).table
    fits = RegionFits.of(bundle, config, regions)
    parts = [fits.fit(np.arange(i, min(i + _CHUNK, len(regions)))) for i in range(0, len(regions), _CHUNK)]
    rows = np.concatenate(parts)
    good = (rows["flags"] & UNUSABLE) == 0
    return FittedRegions(
        config=config,
        bundle=bundle,
        radius=radius,
        rows=rows[good],
        resolution=resolution,
        settings={"abundance_bounds": fits.options.abundance_bounds, "nH_bounds": fits.options.nH_bounds},
        total=len(rows),
        bad=int(np.sum(~good)),
        history=("simulated",),
    )
