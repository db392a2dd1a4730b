"""Spectra of one region in all channels, with responses for this region."""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import numpy as np

from pyxt_hpc.bundle import Bundle, BundleObservation
from pyxt_hpc.chandra.ogip.response import Arf, Rmf
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.extraction.background import background_share
from pyxt_hpc.fit.extraction.shapes import Shapes
from pyxt_hpc.fit.observations import base_bins
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.spectra.grouping import bin_lookup, resolution_bins
from pyxt_hpc.spectra.spectrum import Spectrum


def region_spectra(bundle: Bundle, shape: Shapes) -> dict[int, Spectrum]:
    """Spectra of one region, by the index in the bundle of each observation that takes part.

    They are the same as from `shapes.extract_spectra`, but not binned, and with a more exact response: the
    effective area is applied to photon energies before the redistribution, not to channel energies after it.
    """
    spectra = {}
    for i in range(len(bundle.observations)):
        _, area, takes_part = shape.seen_by(i)
        if takes_part[0]:
            spectra[i] = _spectrum(bundle, i, shape, area[0])
    return spectra


def spectra_as_fitted(
    bundle: Bundle, config: ClusterConfig, fits: RegionFits
) -> Iterator[dict[int, Spectrum]]:
    """`spectra_in_bins`; for cstat, with smooth background."""
    for spectra in spectra_in_bins(bundle, config, fits):
        if fits.options.statistic == "cstat":
            spectra = {i: _with_smooth_background(s, bundle.observations[i]) for i, s in spectra.items()}
        yield spectra


def spectra_in_bins(bundle: Bundle, config: ClusterConfig, fits: RegionFits) -> Iterator[dict[int, Spectrum]]:
    """`region_spectra` of each region in the bins of the map's fits."""
    observations = fits.observations
    levels, chosen = observations.levels(), fits.levels_of(fits.extract(np.arange(len(fits.regions))))
    finest = [
        base_bins(bundle, observation.rmf, config.spectral_grouping) for observation in bundle.observations
    ]
    for number, level in enumerate(chosen):
        own = {}
        for i, spectrum in region_spectra(bundle, fits.shapes(np.array([number]))).items():
            first, last = observations.first_bin[i], observations.first_bin[i + 1]
            edges = levels[level][(levels[level] >= first) & (levels[level] <= last)] - first
            lookup = bin_lookup(finest[i][edges], spectrum.rmf.n_channels)
            own[i] = replace(spectrum, bin_of_channel=lookup)
        yield own


def _with_smooth_background(spectrum: Spectrum, observation: BundleObservation) -> Spectrum:
    """Replace the background by the spectrum of the whole file, scaled to the region's counts, for cstat."""
    whole = observation.background_spectrum
    share = background_share(spectrum.binned(spectrum.background).sum(), spectrum.binned(whole).sum())
    return replace(spectrum, background=share * whole)


def _spectrum(bundle: Bundle, i: int, shape: Shapes, area: np.ndarray) -> Spectrum:
    observation = bundle.observations[i]
    arf, rmf = observation.arf, observation.rmf
    counts, background = (
        shape.counts(i, indptr, channel, rmf.n_channels)[0].astype(np.float64)
        for indptr, channel in (
            (observation.event_indptr, observation.event_channel),
            (observation.background_indptr, observation.background_channel),
        )
    )
    relative = np.interp(0.5 * (arf.energy_lo + arf.energy_hi), observation.vignetting_keV, area)
    return Spectrum(
        name=observation.dataset,
        counts=counts,
        background=background,
        exposure_s=observation.exposure_s,
        ratio=1.0 / observation.background_scale,
        arf=Arf(arf.energy_lo, arf.energy_hi, arf.area * relative),
        rmf=rmf,
        bin_of_channel=_bins(rmf, bundle.energy_min_keV, bundle.energy_max_keV),
    )


@lru_cache(maxsize=64)
def _bins(rmf: Rmf, energy_min: float, energy_max: float) -> np.ndarray:
    """Bin of each channel; it is the same for all regions of an observation."""
    return bin_lookup(resolution_bins(rmf, energy_min, energy_max), rmf.n_channels)
