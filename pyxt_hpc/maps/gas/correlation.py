"""Correlations of the errors of kT, norm and abundance in the fits of a cluster."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.fit.observations import ObservationSet, fold_observations
from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.spectra.fit import FitOptions

_FRACTIONS = np.linspace(0.0, 0.95, 20)
"""Background fractions of the counts for which correlations are tabulated."""

_NODES = 4


@dataclass(frozen=True, eq=False)
class JointErrors:
    """Correlations and shifts that the intervals of single parameters do not contain, (n,) each.

    Parameters
    ----------
    kT_norm, kT_abundance, norm_abundance
        Correlations of the errors of ln kT, ln norm and abundance; those with the abundance are 0 if it was
        frozen.
    kT_shift, norm_shift
        Bias of ln kT and ln norm per solar abundance by which the true abundance exceeds the frozen one; 0 if
        the abundance was free.
    """

    kT_norm: NDArray[np.float64]
    kT_abundance: NDArray[np.float64]
    norm_abundance: NDArray[np.float64]
    kT_shift: NDArray[np.float64]
    norm_shift: NDArray[np.float64]


def joint_errors(regions: FittedRegions) -> JointErrors:
    """Correlations and shifts of every region.

    The results store has no covariances. They are computed from the Fisher information of model spectra with
    the region's kT and background fraction, in the cluster's responses and with the full exposure of all
    observations, since the distribution of the exposure hardly changes the shape of the spectra. Abundance
    and nH are free parameters if they were fitted.
    """
    rows, settings = regions.rows, regions.settings
    bundle = regions.bundle
    nH_free = settings["nH_bounds"] is not None
    options = FitOptions(
        abundance=bundle.abundance,
        nH_bounds=(0.8 * bundle.nH, 1.25 * bundle.nH + 0.01) if nH_free else None,
    )
    model = fold_observations(bundle, None, regions.config.minimum_exposure_fraction, options, "resolution")
    used = np.flatnonzero((model.kT > 0.2) & (model.kT < 30.0))
    free = settings["abundance_bounds"] is not None
    table = np.array(
        [
            [_joint_errors(model, k, fraction, options.abundance, free) for fraction in _FRACTIONS]
            for k in used.tolist()
        ]
    )
    fraction = np.clip(rows["background_counts"] / np.maximum(rows["counts"], 1), 0.0, _FRACTIONS[-1])
    at = np.interp(np.log(rows["kT"]), np.log(model.kT[used]), np.arange(len(used)))
    left = np.clip(at.astype(int), 0, len(used) - 2)
    column = np.clip((fraction / _FRACTIONS[1]).astype(int), 0, len(_FRACTIONS) - 2)
    u, v = (at - left)[:, None], (fraction / _FRACTIONS[1] - column)[:, None]
    lower = (1 - v) * table[left, column] + v * table[left, column + 1]
    upper = (1 - v) * table[left + 1, column] + v * table[left + 1, column + 1]
    return JointErrors(*((1 - u) * lower + u * upper).T)


def _joint_errors(
    model: ObservationSet, k: int, fraction: float, abundance: float, abundance_free: bool
) -> tuple[float, float, float, float, float]:
    """Fields of `JointErrors` for one temperature of the model and one background fraction."""
    exposure, ratio = map(model.by_bin, (model.exposure_s, model.ratio))
    middle = len(model.nH) // 2
    rates = (model.hhe + abundance * model.metals) * exposure
    source = rates[middle, k]
    background = model.background_shape / ratio
    background = background * (fraction / (1.0 - fraction) * source.sum() / max(background.sum(), 1e-300))
    # The slope spans several temperatures of the plasma table, because its spectra have small steps.
    below, above = k - _NODES, k + _NODES
    slopes = [
        (rates[middle, above] - rates[middle, below]) / np.log(model.kT[above] / model.kT[below]),
        source,
    ]
    metals = model.metals[middle, k] * exposure
    if abundance_free:
        slopes.append(metals)
    if len(model.nH) > 1:
        slopes.append(rates[-1, k] - rates[0, k])
    # In wstat, the error of the background is that of the blank-sky counts.
    sigma = np.sqrt(np.maximum(source + background * (1.0 + 1.0 / ratio), 1e-300))
    scaled = np.array(slopes) / sigma
    covariance = np.linalg.inv(scaled @ scaled.T)
    error = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(error, error)
    if abundance_free:
        return correlation[0, 1], correlation[0, 2], correlation[1, 2], 0.0, 0.0
    # Response of the fitted parameters to emission of metals above the frozen abundance.
    shift = covariance @ (scaled @ (metals / sigma))
    return correlation[0, 1], 0.0, 0.0, shift[0], shift[1]
