"""Make the vignetting table of the package from a ray trace of the mirrors.

    python -m pyxt_hpc.data.makers.vignetting_table [RAY_TRACE] [-o OUT]

Each energy has a smooth curve of the angle of its own, a penalised spline (Eilers & Marx 1996, Statistical
Science 11, 89) that is even in the angle, so that it is flat on the axis. The rays counted on the axis have
an error too, which all ratios of an energy share: the curve is 1 on the axis, and the ratios may all be off
by a factor that this error allows. All energies have one stiffness, where generalised cross-validation is
least.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline

from pyxt_hpc.chandra.sky.vignetting import RAY_TRACE_PATH, TABLE_PATH
from pyxt_hpc.files.writing import write_text

log = logging.getLogger(__name__)

ANGLES_arcmin = np.arange(26.0)
_KNOT_arcmin = 2.0
_DEGREE = 3
_STIFFNESSES = 10.0 ** np.arange(0.0, 8.0)
_END_arcmin = 4.0  # of the traced angles, gives the slope beyond them
_ON_AXIS_ERROR = 1e-5  # how closely a curve is held to 1 on the axis


def read_ray_trace(path: Path) -> tuple[NDArray[np.float64], ...]:
    """Energies (n_energy,) [keV], angles (n_angle,) [arcmin], ratios and their errors (n_angle, n_energy)."""
    tables: list[list[str]] = []
    energy = np.zeros(0)
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# angle"):
            energy = np.array(line.split()[2:], dtype=np.float64)
            tables.append([])
        elif line.strip() and not line.startswith("#"):
            tables[-1].append(line)
    ratio, error = (np.loadtxt(table) for table in tables)
    return energy, ratio[:, 0], ratio[:, 1:], error[:, 1:]


def even_basis(angle: NDArray[np.float64], largest: float) -> tuple[NDArray, NDArray]:
    """Splines that are even in the angle, at some angles (n, n_spline), and their third differences."""
    knots = np.arange(-largest, largest + _KNOT_arcmin / 2, _KNOT_arcmin)
    padded = np.pad(knots, _DEGREE, mode="edge")
    plain = BSpline.design_matrix(angle, padded, _DEGREE).toarray()
    n = plain.shape[1]
    fold = np.zeros((n, (n + 1) // 2))
    fold[np.arange(n), np.minimum(np.arange(n), n - 1 - np.arange(n))] = 1.0
    return plain @ fold, np.diff(np.eye(n), 3, axis=0) @ fold


def fit_curve(
    angle: NDArray[np.float64], ratio: NDArray[np.float64], error: NDArray[np.float64], stiffness: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Fit the curve of one energy.

    Parameters
    ----------
    angle, ratio, error : (n,)
        The first angle is 0; of it the error is not used.
    stiffness : float
        Weight of the squared third differences of the spline's coefficients.

    Returns
    -------
    coefficients, covariance
        Of the splines of `even_basis`, and last of the common factor less 1.
    chi2, used : float
        Of the data; parameters that they determine.
    """
    splines, differences = even_basis(angle, angle[-1])
    # N/N_0 with Poisson errors of both: of the angle alone it is sqrt(ratio) times that of the axis
    on_axis = error[1] / np.sqrt(1.0 + 1.0 / ratio[1]) / ratio[1]
    own = np.where(angle > 0, on_axis * np.sqrt(ratio), _ON_AXIS_ERROR)
    common = np.where(angle > 0, ratio, 0.0)
    data = np.column_stack([splines, common]) / own[:, None]
    prior = np.append(np.zeros(splines.shape[1]), 1.0 / on_axis)
    design, target = np.vstack([data, prior]), np.append(ratio / own, 0.0)
    penalty = np.column_stack([differences, np.zeros(len(differences))])
    normal = design.T @ design + stiffness * penalty.T @ penalty
    covariance = np.linalg.inv(normal)
    coefficients = covariance @ design.T @ target
    chi2 = float(np.sum((design @ coefficients - target) ** 2))
    return coefficients, covariance, chi2, float(np.trace(covariance @ design.T @ design))


def smooth_curves(
    angle: NDArray[np.float64], ratio: NDArray[np.float64], error: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Curves of all energies at `ANGLES_arcmin`.

    Beyond the last angle traced, the logarithm goes on with the slope of the last 4 arcmin.

    Returns
    -------
    curves, errors : (n_energy, n) float64
    chi2, dof : float
        Of all energies.
    """
    n = ratio.size + ratio.shape[1]

    def fits(stiffness: float) -> list:
        return [fit_curve(angle, r, e, stiffness) for r, e in zip(ratio.T, error.T, strict=True)]

    def cross_validation(stiffness: float) -> float:
        made = fits(stiffness)
        return sum(f[2] for f in made) / (n - sum(f[3] for f in made)) ** 2

    stiffness = min(_STIFFNESSES, key=cross_validation)
    made = fits(stiffness)
    last = angle[-1]
    splines, _ = even_basis(np.minimum(ANGLES_arcmin, last), last)
    ends, _ = even_basis(np.array([last - _END_arcmin, last]), last)
    curves, errors = [], []
    for coefficients, covariance, _, _ in made:
        curve = splines @ coefficients[:-1]
        before, end = ends @ coefficients[:-1]
        slope = np.log(end / before) / _END_arcmin
        curves.append(curve * np.exp(slope * np.maximum(ANGLES_arcmin - last, 0.0)))
        errors.append(np.sqrt(np.einsum("ij,jk,ik->i", splines, covariance[:-1, :-1], splines)))
    dof = n - sum(f[3] for f in made)
    return np.array(curves), np.array(errors), sum(f[2] for f in made), dof


def make_table(ray_trace: Path, out: Path) -> None:
    """Write the table of a ray trace."""
    energy, angle, ratio, error = read_ray_trace(ray_trace)
    curves, errors, chi2, dof = smooth_curves(angle, ratio, error)
    for e, of_energy in zip(energy, errors, strict=True):
        log.info("%.2f keV: error at most %.4f", e, of_energy[angle[-1] >= ANGLES_arcmin].max())
    log.info("chi^2 %.1f, %.1f degrees of freedom", chi2, dof)
    lines = [
        "# Effective area of the mirrors relative to the optical axis (mean over azimuth).",
        f"# Smooth curves through {ray_trace.name}, by `python -m pyxt_hpc.data.makers.vignetting_table`.",
        f"# First row: off-axis angle [arcmin] (beyond {angle[-1]:g}' continued, not traced); then one row",
        "# per energy: energy [keV], relative area at each angle. Accuracy and source: SOURCES.md.",
        "0.00 " + "".join(f"{a:8.1f}" for a in ANGLES_arcmin),
        *(f"{e:.2f} " + "".join(f"{v:8.4f}" for v in curve) for e, curve in zip(energy, curves, strict=True)),
    ]
    write_text(out, "\n".join(lines) + "\n")


def main(arguments: list[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Make the vignetting table from a ray trace.")
    parser.add_argument("ray_trace", type=Path, nargs="?", default=RAY_TRACE_PATH, help="%(default)s")
    parser.add_argument("-o", "--out", type=Path, default=TABLE_PATH, help="table to write (%(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_table(options.ray_trace, options.out)


if __name__ == "__main__":
    main()
