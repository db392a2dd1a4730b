"""Vignetting: the decrease of the effective area with the off-axis angle, as a function of energy.

The table (``data/tables/vignetting.txt``, made by `pyxt_hpc.data.makers`, source in ``data/SOURCES.md``) is a
mean over azimuth. The simulator and stages 1 to 4 use the same table.
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
    # Between the energies of the ray trace, the area must not overshoot, as it would with a cubic spline.
    fine = np.linspace(energy[0], energy[-1], 1 + round((energy[-1] - energy[0]) / _ENERGY_STEP_keV))
    area = PchipInterpolator(energy, area)(fine)
    # The table is mirrored, so that the slope on the axis is 0.
    both = np.concatenate([-angle[:0:-1], angle])
    return RectBivariateSpline(fine, both, np.concatenate([area[:, :0:-1], area], axis=1))


def vignetting(energy_keV: ArrayLike, theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """Effective area relative to the optical axis (n_energy, ...) at energies (n_energy,) and angles (...).

    The function is smooth in both; on the axis it is 1 with slope 0. The ray trace covers 0.7 to 8.6 keV;
    beyond these energies, the value at the nearest one is used. It covers angles to 20 arcmin; the logarithm
    is extrapolated linearly to 25 arcmin, and the value there is used for larger angles.
    """
    energy = np.asarray(energy_keV, dtype=np.float64)
    theta = np.asarray(theta_arcmin, dtype=np.float64)
    return vignetting_pairs(energy.reshape(energy.shape + (1,) * theta.ndim), theta)


def vignetting_pairs(energy_keV: ArrayLike, theta_arcmin: ArrayLike) -> NDArray[np.float64]:
    """The same as `vignetting`, for pairs of energy and angle (arrays are broadcast against each other)."""
    energies, angles, _ = _table()
    energy, theta = np.broadcast_arrays(energy_keV, theta_arcmin)
    return _surface().ev(np.clip(energy, energies[0], energies[-1]), np.clip(theta, angles[0], angles[-1]))


def off_axis_arcmin(ra: ArrayLike, dec: ArrayLike, ra_pnt: float, dec_pnt: float) -> NDArray[np.float64]:
    """Angles [arcmin] of positions (...) [deg] from the optical axis RA_PNT, DEC_PNT [deg]."""
    return 60.0 * separation(ra, dec, ra_pnt, dec_pnt)
