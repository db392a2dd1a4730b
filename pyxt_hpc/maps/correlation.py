"""How the errors of kT and norm go together in fits of a cluster."""

import numpy as np
from numpy.typing import NDArray

from pyxt_hpc.maps.fitted import FittedRegions
from pyxt_hpc.spectra.fit import FitOptions
from pyxt_hpc.stages.joint import JointModel, joint_model

_FRACTIONS = np.linspace(0.0, 0.95, 20)
"""Of background among the counts, at which the correlation is computed."""

_NODES = 4


def kT_norm_correlation(regions: FittedRegions) -> NDArray[np.float64]:
    """Correlation of the errors of ln kT and ln norm in every region, (n,).

    The results store has no covariance. It follows from the Fisher information of the spectra that a region
    of this kT and this share of background has in the cluster's own responses (whole exposure of all
    observations; how that is split changes the shape of the spectrum little). Abundance and nH count
    as unknown where they were fitted.
    """
    rows, settings = regions.rows, regions.settings
    bundle = regions.bundle
    nH_free = settings["nH_bounds"] is not None
    options = FitOptions(
        abundance=bundle.abundance,
        nH_bounds=(0.8 * bundle.nH, 1.25 * bundle.nH + 0.01) if nH_free else None,
    )
    model = joint_model(bundle, regions.config.minimum_exposure_fraction, options, binning="resolution")
    used = np.flatnonzero((model.kT > 0.2) & (model.kT < 30.0))
    table = np.array(
        [
            [
                _correlation(model, k, fraction, options.abundance, settings["abundance_bounds"] is not None)
                for fraction in _FRACTIONS
            ]
            for k in used.tolist()
        ]
    )
    fraction = np.clip(rows["background_counts"] / np.maximum(rows["counts"], 1), 0.0, _FRACTIONS[-1])
    at = np.interp(np.log(rows["kT"]), np.log(model.kT[used]), np.arange(len(used)))
    left = np.clip(at.astype(int), 0, len(used) - 2)
    column = np.clip((fraction / _FRACTIONS[1]).astype(int), 0, len(_FRACTIONS) - 2)
    u, v = at - left, fraction / _FRACTIONS[1] - column
    lower = (1 - v) * table[left, column] + v * table[left, column + 1]
    upper = (1 - v) * table[left + 1, column] + v * table[left + 1, column + 1]
    return (1 - u) * lower + u * upper


def _correlation(model: JointModel, k: int, fraction: float, abundance: float, abundance_free: bool) -> float:
    exposure = np.repeat(model.exposure_s, np.diff(model.first_bin))
    ratio = np.repeat(model.ratio, np.diff(model.first_bin))
    middle = len(model.nH) // 2
    rates = (model.hhe + abundance * model.metals) * exposure
    source = rates[middle, k]
    background = model.background_shape / ratio
    background = background * (fraction / (1.0 - fraction) * source.sum() / max(background.sum(), 1e-300))
    # over several of the plasma table's temperatures, between which its spectra have small steps
    below, above = k - _NODES, k + _NODES
    slope = (rates[middle, above] - rates[middle, below]) / np.log(model.kT[above] / model.kT[below])
    slopes = [slope, source]
    if abundance_free:
        slopes.append(model.metals[middle, k] * exposure)
    if len(model.nH) > 1:
        slopes.append(rates[-1, k] - rates[0, k])
    # wstat: the background is known only as well as the blank-sky counts are many
    variance = source + background * (1.0 + 1.0 / ratio)
    scaled = np.array(slopes) / np.sqrt(np.maximum(variance, 1e-300))
    covariance = np.linalg.inv(scaled @ scaled.T)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
