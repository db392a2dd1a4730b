"""Agreement of observations: each is fitted alone where the cluster is bright, and they are compared."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pyxt_hpc.binning.circles import RADIUS_STEP
from pyxt_hpc.bundle import Bundle
from pyxt_hpc.config.cluster import ClusterConfig
from pyxt_hpc.fit.brightness.sky import SkyBrightness
from pyxt_hpc.fit.regions import RegionFits
from pyxt_hpc.store.rows import REGION_DTYPE

RADIUS_ARCSEC = 120.0
"""Radius of the circle around the centre that is compared."""

MIN_LIVE = 0.8
"""Smallest fraction of the circle's brightness that an observation must have seen to be compared."""

_SIGMA = 4.0
_MIN_DIFFERENCE = {"kT": 0.05, "norm": 0.10}
"""Relative differences that the calibration may cause."""


@dataclass(frozen=True)
class DatasetFit:
    """The fit of one dataset alone: values and half their 68% intervals, NaN if it is not comparable."""

    dataset: str
    kT: float
    kT_error: float
    norm: float
    norm_error: float
    live_fraction: float


def fit_alone(
    bundle: Bundle, config: ClusterConfig, sky: SkyBrightness, row: float, col: float
) -> list[DatasetFit]:
    """Fit a circle around a position in every dataset alone.

    The fits may be poor, because the gas in the circle has more than one temperature, but all are of the same
    gas.
    """
    circle = np.zeros(1, REGION_DTYPE)
    circle["region"], circle["row"], circle["col"] = 1, round(row), round(col)
    circle["radius"] = round(RADIUS_ARCSEC / bundle.pixel_scale_arcsec / RADIUS_STEP) * RADIUS_STEP
    found = []
    for observation in bundle.observations:
        one = replace(bundle, observations=(observation,))
        fit = RegionFits.of(one, config, circle, sky).fit(np.arange(1))[0]
        live = float(fit["live_fraction"])
        values = [float(fit[name]) for name in ("kT", "norm")]
        errors = [0.5 * float(fit[f"{name}_hi"] - fit[f"{name}_lo"]) for name in ("kT", "norm")]
        if not live >= MIN_LIVE:
            values, errors = [np.nan] * 2, [np.nan] * 2
        found.append(DatasetFit(observation.dataset, values[0], errors[0], values[1], errors[1], live))
    return found


def disagreements(fits: list[DatasetFit]) -> Iterator[str]:
    """A sentence for every dataset that differs from the others by more than errors and calibration allow."""
    for name, title, unit in (("kT", "kT", " keV"), ("norm", "norm", "")):
        values = np.array([getattr(f, name) for f in fits])
        errors = np.array([getattr(f, f"{name}_error") for f in fits])
        known = np.isfinite(values) & np.isfinite(errors) & (errors > 0)
        for i in np.flatnonzero(known).tolist():
            others = known.copy()
            others[i] = False
            if not others.any():
                continue
            weight = errors[others] ** -2.0
            mean = float(np.average(values[others], weights=weight))
            sigma = abs(values[i] - mean) / float(np.hypot(errors[i], weight.sum() ** -0.5))
            part = values[i] / mean - 1.0
            if sigma > _SIGMA and abs(part) > _MIN_DIFFERENCE[name]:
                yield (
                    f"Observation {fits[i].dataset} disagrees with the others: fitted alone within "
                    f"{RADIUS_ARCSEC:.0f} arcsec of the centre, its {title} is {values[i]:.3g} ± "
                    f"{errors[i]:.2g}{unit}; the mean of the others is {mean:.3g}{unit} ({part:+.0%}, "
                    f"{sigma:.1f} sigma). Check its background, flares and response."
                )
