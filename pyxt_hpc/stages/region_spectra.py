"""The spectra of one region as spectra in their own right: every channel, with a response for that region."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.response import Arf, Rmf
from pyxt_hpc.config import ClusterConfig
from pyxt_hpc.spectra.extract import disc_area, disc_sums, extract_regions
from pyxt_hpc.spectra.grouping import bin_lookup, resolution_bins
from pyxt_hpc.spectra.spectrum import Spectrum
from pyxt_hpc.stages.joint import base_bins, extract_spectra
from pyxt_hpc.stages.region_fits import RegionFits


def region_spectra(
    bundle: Bundle, row: int, col: int, radius: float, minimum_fraction: float
) -> list[Spectrum]:
    """Spectra of the observations that take part in a region, in the bundle's order.

    What `joint.extract_spectra` gives in bins for many regions. One thing is finer here: the area of each
    photon energy counts before the photons are redistributed to channels, not that of the channel's energy
    afterwards.

    Parameters
    ----------
    bundle
        The cluster.
    row, col, radius
        Centre and radius [pixels] of the circle.
    minimum_fraction
        An observation takes part where at least this fraction of the circle is live.
    """
    spectra = []
    for observation in bundle.observations:
        live_fraction, area = _effective_area(observation, row, col, radius)
        # rounded as in `joint.extract_spectra`, whose choice it must be
        if live_fraction > 0 and round(live_fraction, 9) >= minimum_fraction:
            spectra.append(_spectrum(bundle, observation, row, col, radius, area))
    return spectra


def spectra_as_fitted(bundle: Bundle, config: ClusterConfig, fits: RegionFits) -> Iterator[list[Spectrum]]:
    """Each region's spectra in the bins, and for cstat with the background, of the map's fits.

    Parameters
    ----------
    bundle
        The cluster.
    config
        Bins and threshold of the exposure.
    fits
        Of the regions.

    Yields
    ------
    list of Spectrum
        As `region_spectra`, for one region after the other.
    """
    model, regions = fits.model, fits.regions
    extracted = extract_spectra(model, regions["row"], regions["col"], regions["radius"])
    levels, chosen = model.levels(), fits.levels_of(extracted)
    finest = [base_bins(bundle, observation.rmf, config.binning) for observation in bundle.observations]
    for region, level in zip(regions, chosen, strict=True):
        row, col, radius = int(region["row"]), int(region["col"]), float(region["radius"])
        found = region_spectra(bundle, row, col, radius, config.minimum_exposure_fraction)
        by_name, own = {spectrum.name: spectrum for spectrum in found}, []
        for i, observation in enumerate(bundle.observations):
            if observation.dataset not in by_name:
                continue
            first, last = model.first_bin[i], model.first_bin[i + 1]
            edges = levels[level][(levels[level] >= first) & (levels[level] <= last)] - first
            lookup = bin_lookup(finest[i][edges], observation.rmf.n_channels)
            spectrum = replace(by_name[observation.dataset], bin_of_channel=lookup)
            if fits.options.statistic == "cstat":
                spectrum = _with_smooth_background(spectrum, observation)
            own.append(spectrum)
        yield own


def _with_smooth_background(spectrum: Spectrum, observation: BundleObservation) -> Spectrum:
    """The background that cstat takes for known: the whole file's spectrum, scaled to the region's counts."""
    whole = np.bincount(observation.background_channel, minlength=observation.rmf.n_channels).astype(float)
    share = spectrum.binned(spectrum.background).sum() / max(spectrum.binned(whole).sum(), 1.0)
    return replace(spectrum, background=share * whole)


def _effective_area(
    observation: BundleObservation, row: int, col: int, radius: float
) -> tuple[float, np.ndarray]:
    """Live fraction of a circle; area relative to the ARF at `vignetting_keV`, mean over the circle."""
    images = np.concatenate([observation.mask[None], observation.mask * observation.vignetting])
    sums = disc_sums([row], [col], [radius], images)[0]
    mean = sums / disc_area([radius])
    return float(mean[0]), mean[1:]


def _spectrum(
    bundle: Bundle, observation: BundleObservation, row: int, col: int, radius: float, area: np.ndarray
) -> Spectrum:
    arf, rmf = observation.arf, observation.rmf
    counts, background = (
        extract_regions([row], [col], [radius], indptr, channel, rmf.n_channels, observation.mask.shape)[0]
        for indptr, channel in (
            (observation.event_indptr, observation.event_channel),
            (observation.background_indptr, observation.background_channel),
        )
    )
    relative = np.interp(0.5 * (arf.energy_lo + arf.energy_hi), observation.vignetting_keV, area)
    return Spectrum(
        name=observation.dataset,
        counts=counts.astype(np.float64),
        background=background.astype(np.float64),
        exposure_s=observation.exposure_s,
        ratio=1.0 / observation.background_scale,
        arf=Arf(arf.energy_lo, arf.energy_hi, arf.area * relative),
        rmf=rmf,
        bin_of_channel=_bins(rmf, bundle.energy_min_keV, bundle.energy_max_keV),
    )


@lru_cache(maxsize=64)
def _bins(rmf: Rmf, energy_min: float, energy_max: float) -> np.ndarray:
    """Bin of each channel, the same for all regions of an observation."""
    return bin_lookup(resolution_bins(rmf, energy_min, energy_max), rmf.n_channels)
