"""Classification of cool cores by the concentration of the brightness and by the central cooling time."""

from dataclasses import dataclass

import numpy as np

from pyxt_hpc.profiles.brightness.rings import Rings

INNER_KPC, OUTER_KPC = 40.0, 400.0
CONCENTRATIONS = ((0.075, "no cool core"), (0.155, "moderate cool core"), (np.inf, "pronounced cool core"))
"""Upper limits of c_SB, Santos et al. 2008 (A&A 483, 35)."""

COOLING_TIMES = ((1.0, "strong cool core"), (7.7, "weak cool core"), (np.inf, "no cool core"))
"""Upper limits of the central cooling time [Gyr], Hudson et al. 2010 (A&A 513, A37). Their unit has the
factor h71^-1/2, which is 1 within 2% for Hubble constants from 68 to 74."""


@dataclass(frozen=True)
class Core:
    """Two classifications.

    Parameters
    ----------
    concentration, concentration_error
        c_SB, flux within 40 kpc over that within 400 kpc; NaN if the profile does not reach 400 kpc.
    by_concentration
        Class by c_SB, or why it is unknown.
    cooling_time, cooling_time_lo, cooling_time_hi
        Cooling time of the innermost shell with its 68% interval [Gyr].
    cooling_radius_kpc
        Radius of this shell. Gas within it cools faster, so that a large radius may hide a cool core.
    by_cooling_time
        Class by the cooling time, or why it is unknown.
    """

    concentration: float
    concentration_error: float
    by_concentration: str
    cooling_time: float
    cooling_time_lo: float
    cooling_time_hi: float
    cooling_radius_kpc: float
    by_cooling_time: str


def concentration(rings: Rings, kpc_per_arcsec: float, constant: float) -> tuple[float, float]:
    """c_SB with its Poisson error; NaN if the rings do not reach 400 kpc.

    Parameters
    ----------
    rings
        Rings around the peak; the dead part of a ring is given the brightness of its live part.
    kpc_per_arcsec
        Scale.
    constant
        Residual background [count s^-1 arcmin^-2].
    """
    edges = rings.edges * kpc_per_arcsec
    if edges[-1] < OUTER_KPC:
        return np.nan, np.nan
    middle = 0.5 * (edges[1:] + edges[:-1])
    known = rings.exposure > 0
    if not known[middle <= INNER_KPC].any():
        return np.nan, np.nan
    brightness = np.interp(middle, middle[known], (rings.brightness - constant)[known])
    variance = np.where(known, rings.error**2, np.interp(middle, middle[known], rings.error[known] ** 2))
    area = np.diff(rings.edges**2)

    def part(outer: float) -> np.ndarray:
        """Area of every ring within a radius [arcsec^2, over pi]."""
        inside = (outer**2 - edges[:-1] ** 2) / np.diff(edges**2)
        return np.asarray(area * np.clip(inside, 0.0, 1.0))

    inner, outer = part(INNER_KPC), part(OUTER_KPC)
    flux_in, flux_out = float(inner @ brightness), float(outer @ brightness)
    if not flux_out > 0:
        return np.nan, np.nan
    ratio = flux_in / flux_out
    error = np.sqrt(float((inner - ratio * outer) ** 2 @ variance)) / flux_out
    return ratio, float(error)


def classify(
    c_sb: tuple[float, float], cooling_time: tuple[float, float, float], cooling_radius_kpc: float
) -> Core:
    """Classify the core by both numbers.

    Parameters
    ----------
    c_sb
        Result of `concentration`.
    cooling_time
        Cooling time of the innermost shell, with both ends of its interval [Gyr].
    cooling_radius_kpc
        Radius of that shell.
    """
    return Core(
        *c_sb,
        _words(c_sb[0], CONCENTRATIONS, f"unknown: the profile does not reach {OUTER_KPC:g} kpc"),
        *cooling_time,
        cooling_radius_kpc,
        _words(cooling_time[0], COOLING_TIMES, "unknown: the innermost shell has none"),
    )


def _words(value: float, limits: tuple[tuple[float, str], ...], unknown: str) -> str:
    if not np.isfinite(value):
        return unknown
    return next(words for limit, words in limits if value < limit)
