"""Detailed results of one region: its row in the map, and its fit in each bin."""

from dataclasses import dataclass

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.brightness.sky import SkyBrightness
from pyxt_hpc.fit.inputs import source_model
from pyxt_hpc.fit.region_map import RegionSet
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.fit.single.fit import SingleFit, fit_single
from pyxt_hpc.fit.single.region_spectra import spectra_in_bins
from pyxt_hpc.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class OneRegion:
    """Row of one region in the map, and data for a plot of its fit.

    Parameters
    ----------
    row
        () ROW_DTYPE, as `fit-spectra` stores it.
    fit
        Fit of the same spectra, in which vignetting is applied before the redistribution to channels; it
        differs from `row` by at most 0.02 sigma.
    spectra
        Spectra in the bins of the fit, with observed background counts for every statistic.
    """

    row: np.ndarray
    fit: SingleFit
    spectra: tuple[Spectrum, ...]


def fit_one_region(
    bundle: Bundle, config: ClusterConfig, region: RegionSet, sky: SkyBrightness | None = None
) -> OneRegion:
    """Fit one region as for the map, and again with the data for a plot.

    Parameters
    ----------
    sky
        Brightness of the cluster; None: it is estimated from the bundle.

    Raises
    ------
    ConfigError
        If no observation saw enough of the region.
    """
    fits = RegionFits.of(bundle, config, region.table, sky, region.runs)
    row = fits.fit(np.arange(1))[0]
    (spectra,) = spectra_in_bins(bundle, config, fits)
    if not spectra:
        raise ConfigError(
            f"region {region.table['region'][0]}: no observation has "
            f"{config.minimum_exposure_fraction:.0%} of its brightness live; choose another region, or "
            "lower minimum_exposure_fraction"
        )
    shapes = [bundle.observations[i].background_spectrum for i in spectra]
    fit = fit_single(list(spectra.values()), source_model(bundle), fits.options, background_shapes=shapes)
    return OneRegion(row, fit, tuple(spectra.values()))
