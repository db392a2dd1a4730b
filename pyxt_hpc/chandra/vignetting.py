"""Vignetting: how the effective area falls away from the optical axis, by energy.

The table (``data/acis_i_vignetting.txt``, source in ``data/SOURCES.md``) is an azimuthal average; it serves
the simulator and the builtin preprocessing backend, which therefore agree.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import RegularGridInterpolator


@lru_cache
def _table() -> RegularGridInterpolator:
    lines = (files("pyxt_hpc") / "data" / "acis_i_vignetting.txt").read_text(encoding="utf-8").splitlines()
    table = np.loadtxt(lines)
    return RegularGridInterpolator((table[1:, 0], table[0, 1:]), table[1:, 1:])


def vignetting(energy_keV: ArrayLike, theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Effective area relative to the optical axis, for every energy at every angle.

    Bilinear in the table; beyond its energies (1.49-8.6 keV) and angles (25') the last value holds.

    Parameters
    ----------
    energy_keV : (n_energy,)
    theta_arcmin : (...)
        Angle from the optical axis.

    Returns
    -------
    (n_energy, ...) float64
        1 on the axis.
    """
    energy = np.asarray(energy_keV, dtype=np.float64)
    theta = np.asarray(theta_arcmin, dtype=np.float64)
    return vignetting_pairs(energy.reshape(energy.shape + (1,) * theta.ndim), theta)


def vignetting_pairs(energy_keV: ArrayLike, theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """As `vignetting`, for energies and angles taken together (broadcast against each other)."""
    table = _table()
    energies, angles = table.grid
    energy, theta = np.broadcast_arrays(energy_keV, theta_arcmin)
    inside = np.stack(
        [np.clip(energy, energies[0], energies[-1]), np.clip(theta, angles[0], angles[-1])], axis=-1
    )
    return table(inside)


def off_axis_arcmin(ra: ArrayLike, dec: ArrayLike, ra_pnt: float, dec_pnt: float) -> NDArray[np.float64]:
    """Angles [arcmin] of positions (...) [deg] from the optical axis, RA_PNT and DEC_PNT [deg]."""
    ra, dec = np.radians(ra), np.radians(dec)
    ra_0, dec_0 = np.radians([ra_pnt, dec_pnt])
    # haversine: exact for the small angles of a field of view
    half = np.sin((dec - dec_0) / 2) ** 2 + np.cos(dec) * np.cos(dec_0) * np.sin((ra - ra_0) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(half))) * 60
