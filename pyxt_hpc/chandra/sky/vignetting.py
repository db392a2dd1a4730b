"""Vignetting: how the effective area falls away from the optical axis, by energy.

The table (``data/tables/vignetting.txt``, made by `pyxt_hpc.data.makers`, source in ``data/SOURCES.md``) is a
mean over azimuth; the simulator and stages 1 to 4 use it, so they agree.
"""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyxt_hpc.chandra.sky.tangent import separation

if TYPE_CHECKING:
    from scipy.interpolate import RectBivariateSpline

TABLE_PATH = Path(str(files("pyxt_hpc") / "data" / "tables" / "vignetting.txt"))
RAY_TRACE_PATH = TABLE_PATH.with_name("vignetting_ray_trace.txt")
_ENERGY_STEP_keV = 0.1


@lru_cache
def _table() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Energies (n_energy,) [keV], angles (n_angle,) [arcmin], relative areas (n_energy, n_angle)."""
    table = np.loadtxt(TABLE_PATH)
    return table[1:, 0], table[0, 1:], table[1:, 1:]


@lru_cache
def _surface() -> "RectBivariateSpline":
    from scipy.interpolate import PchipInterpolator, RectBivariateSpline  # slow to import

    energy, angle, area = _table()
    # between the energies of the ray trace the area must not swing beyond them, as a plain spline would
    fine = np.linspace(energy[0], energy[-1], 1 + round((energy[-1] - energy[0]) / _ENERGY_STEP_keV))
    area = PchipInterpolator(energy, area)(fine)
    # mirrored: flat on the axis
    both = np.concatenate([-angle[:0:-1], angle])
    return RectBivariateSpline(fine, both, np.concatenate([area[:, :0:-1], area], axis=1))


def vignetting(energy_keV: ArrayLike, theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Effective area relative to the optical axis (n_energy, ...) at energies (n_energy,) and angles (...).

    Smooth in both, 1 and flat on the axis. Traced from 0.7 to 8.6 keV, beyond which the value there holds,
    and to 20 arcmin; from there to 25 arcmin the logarithm goes on with its slope, and farther out the last
    value holds.
    """
    energy = np.asarray(energy_keV, dtype=np.float64)
    theta = np.asarray(theta_arcmin, dtype=np.float64)
    return vignetting_pairs(energy.reshape(energy.shape + (1,) * theta.ndim), theta)


def vignetting_pairs(energy_keV: ArrayLike, theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """As `vignetting`, for energies and angles taken together (broadcast against each other)."""
    energies, angles, _ = _table()
    energy, theta = np.broadcast_arrays(energy_keV, theta_arcmin)
    return _surface().ev(np.clip(energy, energies[0], energies[-1]), np.clip(theta, angles[0], angles[-1]))


def off_axis_arcmin(ra: ArrayLike, dec: ArrayLike, ra_pnt: float, dec_pnt: float) -> NDArray[np.float64]:
    """Angles [arcmin] of positions (...) [deg] from the optical axis, RA_PNT and DEC_PNT [deg]."""
    return 60.0 * separation(ra, dec, ra_pnt, dec_pnt)
