"""Make the package's vignetting table from a ray trace of the mirrors.

    python -m pyxt_hpc.data.makers.vignetting_table [RAY_TRACE] [-o OUT]

Each energy has its own smooth curve: a penalised spline (Eilers & Marx 1996, Statistical Science 11, 89) that
is even in the angle, so that its slope on the axis is 0, and that is 1 on the axis. The number of rays on the
axis has an error that is common to all ratios of an energy; therefore the fit includes a common factor,
constrained by this error. The stiffness is the same for all energies and minimises the generalised
cross-validation score.
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
_END_arcmin = 4.0  # the last part of the traced angles, which gives the slope beyond them
_ON_AXIS_ERROR = 1e-5  # error assigned to the ratio 1 on the axis


def read_ray_trace(path: Path) -> tuple[NDArray[np.float64], ...]:
    """Read energies (n_energy,) [keV], angles (n_angle,) [arcmin], ratios and errors (n_angle, n_energy)."""
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
    """Values (n, n_spline) of splines that are even in the angle, and the matrix of third differences."""
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
        The first angle is 0; the error there is not used.
    stiffness : float
        Weight of the squared third differences of the spline's coefficients.

    Returns
    -------
    coefficients, covariance
        For the splines of `even_basis`, then for the relative error that is common to all ratios.
    chi2, used : float
        Chi^2 of data and constraint; effective number of parameters.
    """
    splines, differences = even_basis(angle, angle[-1])
    # The errors of N/N_0 include the Poisson errors of N and N_0. The relative error of N_0 is `on_axis`; the
    # part from N alone is sqrt(ratio) times this.
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
    """Fit the curves of all energies and evaluate them at `ANGLES_arcmin`.

    Beyond the last traced angle, the logarithm is extrapolated with the mean slope over the last 4 arcmin.

    Returns
    -------
    curves, errors : (n_energy, n) float64
        Values and standard deviations.
    chi2, dof : float
        Sums over all energies.
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
    """Write the table made from a ray trace."""
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
    """Run this module from the command line."""
    parser = argparse.ArgumentParser(description="Make the vignetting table from a ray trace.")
    parser.add_argument("ray_trace", type=Path, nargs="?", default=RAY_TRACE_PATH, help="%(default)s")
    parser.add_argument("-o", "--out", type=Path, default=TABLE_PATH, help="table to write (%(default)s)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make_table(options.ray_trace, options.out)


if __name__ == "__main__":
    main()
