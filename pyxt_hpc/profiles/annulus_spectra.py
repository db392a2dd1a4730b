"""Spectra of annuli: a separate fit of each, and all in one array for the joint fit of shells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.errors import EmptySelection
from pyxt_hpc.fit.brightness.sky import BETA_TIMES_IMAGE, SkyBrightness
from pyxt_hpc.fit.region_map import regions_of_labels
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.profiles.annuli import Annuli
from pyxt_hpc.profiles.brightness.beta_models import BetaProfile
from pyxt_hpc.spectra.fit import FitOptions

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AnnulusSpectra:
    """The bins of the spectra of all annuli, concatenated.

    Parameters
    ----------
    annulus
        (n_bin,) annulus of each bin.
    source, background
        (n_bin,) counts of source and background spectrum.
    smooth
        (n_bin,) smooth expectation of the background spectrum's counts.
    ratio
        (n_bin,) background exposure over source exposure.
    kT
        (n_kT,) temperatures [keV] of the model, which is linear between them.
    hhe, metals
        (n_kT, n_bin) expected counts for norm 1 in the whole annulus: from H and He, and from metals at
        abundance 1.
    options
        Options of the fits.
    """

    annulus: NDArray[np.int64]
    source: FloatArray
    background: FloatArray
    smooth: FloatArray
    ratio: FloatArray
    kT: FloatArray
    hhe: FloatArray
    metals: FloatArray
    options: FitOptions


def fit_annuli(
    bundle: Bundle, config: ClusterConfig, annuli: Annuli, model: BetaProfile
) -> tuple[np.ndarray, AnnulusSpectra]:
    """Extract the spectra of annuli, and fit each separately.

    Parameters
    ----------
    bundle, config
        The cluster.
    annuli
        The annuli.
    model
        Brightness model that corrects norms to whole annuli, for parts that are not live, outside the sector
        or outside the images.

    Returns
    -------
    rows : (n,) ROW_DTYPE
        Results as `fit-spectra` stores them, except that norms are those of whole annuli.
    spectra : AnnulusSpectra
        Spectra for `deprojection.fit_shells`, with nH of the bundle.

    Raises
    ------
    EmptySelection
        If no observation saw enough of an annulus.
    """
    shape = bundle.mask.shape
    image = annuli.brightness(model, shape)
    sky = SkyBrightness((image / image.mean()).astype(np.float32), BETA_TIMES_IMAGE)
    regions, runs = regions_of_labels(annuli.labels(shape))
    fits = RegionFits.of(bundle, config, regions, sky, runs)
    everything = np.arange(len(annuli))
    share = annuli.share_in_images(model, shape)
    rows = fits.fit(everything)
    for name in ("norm", "norm_lo", "norm_hi"):
        rows[name] /= share
    spectra = fits.extract(everything)
    for i in np.flatnonzero(~spectra.takes_part.any(axis=1)).tolist():
        raise EmptySelection(
            f"annulus {annuli.edges[i]:.1f} to {annuli.edges[i + 1]:.1f} arcsec: no observation saw "
            f"{config.minimum_exposure_fraction:.0%} of it: lower minimum_exposure_fraction, or set a "
            "largest radius"
        )
    observations, levels = fits.observations, fits.observations.levels()
    nH = int(np.abs(observations.nH - bundle.nH).argmin())
    expected_background = fits.smooth_background(spectra)
    parts = []
    for i, level in enumerate(fits.levels_of(spectra).tolist()):
        starts = levels[level][:-1]
        used = np.flatnonzero(spectra.weight[i, starts] > 0)
        exposure = spectra.weight[i] * share[i]
        parts.append(
            (
                np.full(len(used), i),
                np.add.reduceat(spectra.source[i], starts)[used],
                np.add.reduceat(spectra.background[i], starts)[used],
                np.add.reduceat(expected_background[i], starts)[used],
                spectra.ratio[i, starts][used],
                *(
                    np.add.reduceat(rates[nH] * exposure, starts, axis=1)[:, used]
                    for rates in (observations.hhe, observations.metals)
                ),
            )
        )
    annulus, source, background, smooth, ratio, hhe, metals = (
        np.concatenate(columns, axis=-1) for columns in zip(*parts, strict=True)
    )
    return rows, AnnulusSpectra(
        annulus, source.astype(float), background.astype(float), smooth, ratio, observations.kT, hhe, metals,
        fits.options,
    )  # fmt: skip
