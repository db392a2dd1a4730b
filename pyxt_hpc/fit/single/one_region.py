"""One region looked at closely: its row of the map, and the fit behind it bin by bin."""

from dataclasses import dataclass, replace

import numpy as np

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import ConfigError
from pyxt_hpc.fit.brightness.sky import SkyBrightness
from pyxt_hpc.fit.inputs import source_model
from pyxt_hpc.fit.region_map import RegionSet
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.fit.single.fit import SingleFit, fit_single
from pyxt_hpc.fit.single.region_spectra import region_spectra, spectra_as_fitted
from pyxt_hpc.spectra.spectrum import Spectrum


@dataclass(frozen=True, eq=False)
class OneRegion:
    """What the map has of one region, and what a picture needs.

    Parameters
    ----------
    row
        () of ROW_DTYPE, as `fit-spectra` stores it.
    fit
        The same spectra, with the vignetting of each photon energy folded in: within 0.02 sigma of the row.
    spectra
        The spectra in the bins of the fit, with the counts of the background as they are, whatever the
        statistic makes of them.
    """

    row: np.ndarray
    fit: SingleFit
    spectra: tuple[Spectrum, ...]


def fit_one_region(
    bundle: Bundle, config: ClusterConfig, region: RegionSet, sky: SkyBrightness | None = None
) -> OneRegion:
    """Fit one region as the map does, and once more with everything that a picture shows.

    Parameters
    ----------
    sky
        The cluster's brightness; None: estimated from the bundle.

    Raises
    ------
    ConfigError
        If no observation saw enough of the region.
    """
    fits = RegionFits.of(bundle, config, region.table, sky, region.runs)
    row = fits.fit(np.arange(1))[0]
    (spectra,) = spectra_as_fitted(bundle, config, fits)
    if not spectra:
        raise ConfigError(
            f"region {region.table['region'][0]}: no observation has "
            f"{config.minimum_exposure_fraction:.0%} of its brightness live; choose another region, or "
            "lower minimum_exposure_fraction"
        )
    shapes = [bundle.observations[i].background_spectrum for i in spectra]
    fit = fit_single(list(spectra.values()), source_model(bundle), fits.options, background_shapes=shapes)
    counted = region_spectra(bundle, fits.shapes(np.arange(1)))
    bins = {i: one.bin_of_channel for i, one in spectra.items()}
    return OneRegion(row, fit, tuple(replace(counted[i], bin_of_channel=own) for i, own in bins.items()))
